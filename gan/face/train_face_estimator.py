"""Train the stand-in face estimator: `python -m gan.face.train_face_estimator` (minutes on one core).

Renders are functions of (seed, index); those from `SHRINK_FROM` on are not trained on. What is
minimised: squared distances of the 68 landmarks, those that expression alone explains, and a little of the 257 numbers,
each as a part of what the mean of all renders would leave.
"""

from __future__ import annotations

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dataprep.files.npz_files import write_npz
from dataprep.models.face.bfm import EXP, ID, FaceModel, load_face
from gan.data.stream import to_unit_range
from gan.face.face_estimator import STANDIN_PX, WEIGHTS_PATH, StandinFaceNet, load_standin_estimator, resized
from gan.face.face_renders import draw_face, render_face

SHRINK_FROM, HELD_OUT_FROM = 500_000, 1_000_000
ANGLE = slice(224, 227)
MM_IN_DM = 100.0
WEIGHT_DECAY = 0.03


class Renders(NamedTuple):
    """Pictures, and the 257 numbers behind each."""

    image_N3HW: UInt8[Tensor, "n 3 64 64"]
    row_NK: Float[Tensor, "n 257"]


class Accuracy(NamedTuple):
    """Over renders that took no part: mean distances and root mean squares; `chance` is what the mean render gets."""

    landmarks_mm: float
    landmarks_chance_mm: float
    expression_mm: float
    expression_chance_mm: float
    angle_deg: float
    angle_chance_deg: float


def make_renders(model: FaceModel, seed: int, first: int, count: int, workers: int = 1) -> Renders:
    """Render indices `first` to `first + count`, shared by some processes."""
    blocks = [range(start, min(start + 500, first + count)) for start in range(first, first + count, 500)]
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            parts = list(pool.map(_render_block, repeat(model), repeat(seed), blocks))
    else:
        parts = [_render_block(model, seed, block) for block in blocks]
    images, rows = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Renders(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(rows))


def _render_block(model: FaceModel, seed: int, indices: range) -> tuple[np.ndarray, np.ndarray]:
    images, rows = [], []
    for index in indices:
        random = np.random.default_rng(np.random.SeedSequence((seed, index)))
        face = draw_face(random)
        images.append(render_face(model, face, STANDIN_PX, random))
        rows.append(face.row())
    return np.stack(images), np.stack(rows)


def train_network(
    model: FaceModel, renders: Renders, steps: int, batch: int, learning_rate: float, seed: int
) -> StandinFaceNet:
    """Adam with a falling rate; half of the batches are seen through 32 pixels, as the tiny generator renders."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = StandinFaceNet()
    network.mean_K.copy_(renders.row_NK.mean(0))
    network.scale_K.copy_(renders.row_NK.std(0))
    basis_L3K = _landmark_basis(model)
    of_expression_L3K = _of_expression(basis_L3K)
    spread = [
        float(_landmarks(basis, renders.row_NK - network.mean_K).square().sum(-1).mean())
        for basis in (basis_L3K, of_expression_L3K)
    ]
    optimiser = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps)
    for step in range(steps):
        random = np.random.default_rng(np.random.SeedSequence((seed, 7, step)))
        chosen = torch.from_numpy(random.integers(0, len(renders.row_NK), batch))
        wanted_BK = renders.row_NK[chosen]
        image_B3HW = _spoilt(to_unit_range(renders.image_N3HW[chosen]), random)
        error_BK = network(image_B3HW) - wanted_BK
        landmarks = _landmarks(basis_L3K, error_BK).square().sum(-1).mean() / spread[0]
        expression = _landmarks(of_expression_L3K, error_BK).square().sum(-1).mean() / spread[1]
        numbers = (error_BK / network.scale_K).square()
        loss = landmarks + expression + 0.1 * numbers.mean() + 0.3 * numbers[:, ANGLE].mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 200 == 0 or step == steps - 1:
            shown = f"loss {float(loss.detach()):.3f}, landmarks {float(landmarks.detach()):.3f}"
            print(f"step {step:>5,} of {steps:,}: {shown}", flush=True)
    return network.eval()


def _spoilt(image_B3HW: Tensor, random: np.random.Generator) -> Tensor:
    """Half the time at 32 pixels; always with a little noise and another contrast."""
    if random.random() < 0.5:
        image_B3HW = resized(resized(image_B3HW, STANDIN_PX // 2), STANDIN_PX)
    noise = torch.from_numpy(random.standard_normal(image_B3HW.shape, dtype=np.float32))
    return image_B3HW * float(random.uniform(0.8, 1.1)) + 0.05 * noise


@torch.no_grad()
def shrink(network: StandinFaceNet, renders: Renders) -> None:
    """Scale every number towards its mean by what it is worth on renders that were not trained on, in place.

    A network that has seen few renders says more than it knows; least squares gives the part of it to believe.
    """
    image = to_unit_range(renders.image_N3HW)
    image = torch.cat([image, resized(resized(image, STANDIN_PX // 2), STANDIN_PX)])
    said_NK = network(image) - network.mean_K
    true_NK = (renders.row_NK - network.mean_K).repeat(2, 1)
    worth_K = (said_NK * true_NK).sum(0) / said_NK.square().sum(0).clamp(min=1e-12)
    network.scale_K.mul_(worth_K.clamp(0, 1))


@torch.no_grad()
def measure(model: FaceModel, network: StandinFaceNet, renders: Renders, size_px: int = STANDIN_PX) -> Accuracy:
    """Measure on renders seen at `size_px`."""
    image = resized(resized(to_unit_range(renders.image_N3HW), size_px), STANDIN_PX)
    said_NK, basis_L3K = network(image), _landmark_basis(model)
    chance_NK = network.mean_K.expand_as(said_NK)
    of_expression = _of_expression(basis_L3K)

    def distance_mm(basis: Tensor, guess_NK: Tensor) -> float:
        return float(_landmarks(basis, guess_NK - renders.row_NK).norm(dim=-1).mean()) * MM_IN_DM

    def angle_deg(guess_NK: Tensor) -> float:
        return float(torch.rad2deg((guess_NK - renders.row_NK)[:, ANGLE].square().sum(1).mean().sqrt()))

    return Accuracy(
        distance_mm(basis_L3K, said_NK),
        distance_mm(basis_L3K, chance_NK),
        distance_mm(of_expression, said_NK),
        distance_mm(of_expression, chance_NK),
        angle_deg(said_NK),
        angle_deg(chance_NK),
    )


def _landmark_basis(model: FaceModel) -> Float[Tensor, "68 3 144"]:
    return torch.from_numpy(model.landmark_bases()[1].astype(np.float32))


def _of_expression(basis_L3K: Tensor) -> Tensor:
    """Leave identity out of a basis."""
    return torch.cat([torch.zeros_like(basis_L3K[..., :ID]), basis_L3K[..., ID:]], -1)


def _landmarks(basis_L3K: Tensor, row_BK: Tensor) -> Float[Tensor, "b 68 3"]:
    """Decimetres that coefficients move the landmarks by."""
    return torch.einsum("lck,bk->blc", basis_L3K, row_BK[:, : ID + EXP])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m gan.face.train_face_estimator", description="Train the stand-in.")
    parser.add_argument("--out", type=Path, default=WEIGHTS_PATH)
    parser.add_argument("--renders", type=int, default=4_000)
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args(arguments)
    model = load_face()
    print(f"rendering {given.renders:,} faces")
    workers = len(os.sched_getaffinity(0))
    renders = make_renders(model, given.seed, 0, given.renders, workers)
    network = train_network(model, renders, given.steps, 32, 2e-3, given.seed)
    shrink(network, make_renders(model, given.seed, SHRINK_FROM, 600, workers))
    held_out = make_renders(model, given.seed, HELD_OUT_FROM, 300, workers)
    reached = {size: measure(model, network, held_out, size)._asdict() for size in (32, STANDIN_PX)}
    meta = {"face_sha256": model.sha256, "renders": given.renders, "steps": given.steps, "seed": given.seed}
    arrays = {key: value.numpy().astype(np.float16) for key, value in network.state_dict().items()}
    write_npz(given.out, arrays | {"meta": np.array(json.dumps(meta, sort_keys=True))})
    for size, accuracy in reached.items():
        print(f"held-out renders at {size} px: " + ", ".join(f"{k} {v:.2f}" for k, v in accuracy.items()))
    print(f"{given.out}: sha256 {load_standin_estimator(given.out).weights_sha256}")


if __name__ == "__main__":
    main()
