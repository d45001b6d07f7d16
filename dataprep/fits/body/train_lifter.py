"""Train the key-point lifter of a body model: `python -m dataprep.fits.body.train_lifter`; minutes on one core.

The result depends on the body model, the seed and the configuration only (one torch thread).
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dataprep.fits.body.detector_errors import DETECTOR_PATH, DetectorModel, assumed, load_detector
from dataprep.fits.body.mediapipe_standin import Exemplars, ExtraNoise, observe
from dataprep.fits.body.random_people import People, sample_people
from dataprep.frames.rotations import angle_between_rad, axis_angle_from_matrix, sixd_from_matrix
from dataprep.frames.smpl_joints import CHEST, HEAD, NECK
from dataprep.models.body.body_files import STANDIN, open_body
from dataprep.models.body.body_points import BodyPoints, body_points
from dataprep.models.body.mediapipe_points import POINT_NAMES, POINTS
from dataprep.models.regressors.lifter import BodyEstimate, Lifter, save_lifter
from dataprep.models.regressors.lifter_file import lifter_path

# Local rotations: what the portrait shows counts most; hands, feet and legs hardly matter.
_LOCAL_WEIGHT = torch.tensor([2, *[0.3] * 2, 1, 0.3, 0.3, 1, 0.3, 0.3, 1, 0.1, 0.1, *[1] * 8, 0.3, 0.3, 0.1, 0.1])
# Global rotations: pelvis, chest, neck, head, upper arms.
_GLOBAL_WEIGHT = {0: 1.0, CHEST: 3.0, NECK: 1.0, HEAD: 3.0, 16: 0.5, 17: 0.5}

# Key points: what a portrait shows; without this the feet, which are farthest off, take most of the loss.
_PARTS = {"shoulder": 1.5, "wrist": 0.5, "hip": 0.7, "knee": 0.2, "ankle": 0.1, "heel": 0.1, "index": 0.1}
_POINT_WEIGHT = torch.tensor([_PARTS.get(name.split("_")[-1], 1.0) for name in POINTS])
_UNSEEN = 0.2  # weight of the reprojection of a point that the picture does not show


@dataclass(frozen=True)
class TrainConfig:
    """What the weights depend on besides the body model."""

    seed: int = 1
    hidden: int = 512
    steps: int = 6000
    batch: int = 256
    peak_lr: float = 1e-3
    final_lr: float = 1e-5
    warmup_steps: int = 100
    weight_decay: float = 1e-4
    clip: float = 1.0
    extra: ExtraNoise = ExtraNoise(independent=0.25, portraits=0.2, worldless=0.15)  # noqa: RUF009


def training_loss(estimate: BodyEstimate, people: People, seen: Exemplars, body: BodyPoints) -> Tensor:
    """Local and global rotations, 3D points about the neck, reprojection, scale, the neck's place, and shape."""
    posed = body(estimate.rotations, estimate.betas)
    scale, offset = estimate.camera[:, :1, None], estimate.camera[:, None, 1:]
    local = ((estimate.rotations - people.rotations) ** 2).sum((-2, -1)) @ _LOCAL_WEIGHT / _LOCAL_WEIGHT.sum()
    turned = sum(
        weight * ((posed.rotations[:, j] - people.posed.rotations[:, j]) ** 2).sum((-2, -1))
        for j, weight in _GLOBAL_WEIGHT.items()
    )
    own = posed.points - posed.joints[:, NECK, None]
    truth = people.posed.points - people.posed.joints[:, NECK, None]
    projected = scale * posed.points[..., :2] + offset
    seen_weight = _POINT_WEIGHT * (_UNSEEN + (1 - _UNSEEN) * seen.inputs.visible)
    neck = scale[:, :, 0] * posed.joints[:, NECK, :2] + offset[:, 0]
    return (
        local.mean()
        + 0.3 * torch.as_tensor(turned).mean()
        + 20 * _weighted_mean((own - truth).square().sum(-1), _POINT_WEIGHT.expand(own.shape[:2]))
        + 20 * _weighted_mean((projected - seen.clean).square().sum(-1), seen_weight)
        + 40 * (neck - seen.neck).square().sum(-1).mean()
        + 10 * (estimate.camera[:, 0].log() - seen.scale.log()).square().mean()
        + 0.02 * (estimate.betas - people.betas).square().mean()
    )


def _weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum()


def train(body: BodyPoints, detector: DetectorModel, config: TrainConfig, log_every: int = 0) -> Lifter:
    """Train from scratch on `body` with the detector's image offsets; AdamW, linear warm-up, cosine fall."""
    rng = np.random.default_rng(config.seed)
    torch.manual_seed(config.seed)
    mean_sixd = sixd_from_matrix(sample_people(rng, 4096, body).rotations).mean(0)
    network = Lifter(body, config.hidden, mean_sixd)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.peak_lr, weight_decay=config.weight_decay)
    started, running = time.monotonic(), 0.0
    for step in range(config.steps):
        optimiser.param_groups[0]["lr"] = _learning_rate(config, step)
        people = sample_people(rng, config.batch, body)
        seen = observe(rng, people, body, detector, config.extra)
        loss = training_loss(network(seen.inputs), people, seen, body)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        optimiser.step()
        running += loss.item()
        if log_every and (step + 1) % log_every == 0:
            print(f"step {step + 1}: loss {running / log_every:.4f}, {time.monotonic() - started:.0f} s", flush=True)
            running = 0.0
    network.eval()
    return network


def _learning_rate(config: TrainConfig, step: int) -> float:
    warm = min(1.0, (step + 1) / config.warmup_steps)
    fall = 0.5 * (1 + np.cos(np.pi * step / config.steps))
    return float(warm * (config.final_lr + (config.peak_lr - config.final_lr) * fall))


@torch.no_grad()
def residual_cholesky(
    network: Lifter,
    body: BodyPoints,
    detector: DetectorModel,
    config: TrainConfig,
    count: int = 4096,
    worldless: bool = False,
) -> Tensor:
    """Cholesky factor (85, 85) of the covariance of truth minus estimate on people the training never saw.

    All of them with world points, or (`worldless`) none.
    """
    rng = np.random.default_rng([config.seed, 1])
    people = sample_people(rng, count, body)
    seen = observe(rng, people, body, detector, dataclasses.replace(config.extra, worldless=float(worldless)))
    estimate = network(seen.inputs)
    joints = body(estimate.rotations, estimate.betas).joints
    turn = axis_angle_from_matrix(estimate.rotations.mT @ people.rotations).flatten(1)
    scale = seen.scale.log() - estimate.camera[:, 0].log()
    neck = seen.neck - (estimate.camera[:, :1] * joints[:, NECK, :2] + estimate.camera[:, 1:])
    residual = torch.cat((turn, people.betas - estimate.betas, scale[:, None], neck), 1).double()
    covariance = residual.T @ residual / count + 1e-6 * torch.eye(residual.shape[1], dtype=torch.float64)
    return torch.linalg.cholesky(covariance).float()


@torch.no_grad()
def held_out_errors(
    network: Lifter, body: BodyPoints, detector: DetectorModel, config: TrainConfig, count: int = 2048
) -> dict[str, float]:
    """Median errors on fresh people: global head and chest (deg), scale (%), neck (cm), 2D points (cm)."""
    rng = np.random.default_rng([config.seed, 2])
    people = sample_people(rng, count, body)
    seen = observe(rng, people, body, detector, dataclasses.replace(config.extra, worldless=0.0))
    estimate = network(seen.inputs)
    posed = body(estimate.rotations, estimate.betas)
    scale = estimate.camera[:, :1]
    angle = torch.rad2deg(angle_between_rad(posed.rotations, people.posed.rotations))
    neck = scale * posed.joints[:, NECK, :2] + estimate.camera[:, 1:] - seen.neck
    points = scale[..., None] * posed.points[..., :2] + estimate.camera[:, None, 1:] - seen.clean
    values = {
        "head_deg": angle[:, HEAD],
        "chest_deg": angle[:, CHEST],
        "scale_pct": 100 * (scale[:, 0] / seen.scale - 1).abs(),
        "neck_cm": 100 * neck.norm(dim=-1) / seen.scale,
        "points_cm": 100 * points.norm(dim=-1).mean(1) / seen.scale,
    }
    return {name: round(float(value.median()), 3) for name, value in values.items()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--body", default=STANDIN, help="body model: a path, or a file name in the assets folder")
    parser.add_argument("--out", type=Path, help="where the weights go (default: where the body stage looks)")
    parser.add_argument("--detector", type=Path, default=DETECTOR_PATH, help="errors measured by measure_detector")
    parser.add_argument("--assumed-detector", action="store_true", help="assume errors instead of measured ones")
    parser.add_argument("--seed", type=int, default=TrainConfig.seed)
    parser.add_argument("--steps", type=int, default=TrainConfig.steps)
    parser.add_argument("--hidden", type=int, default=TrainConfig.hidden)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    config = TrainConfig(seed=options.seed, steps=options.steps, hidden=options.hidden)
    model = open_body(options.body)
    detector = assumed() if options.assumed_detector else load_detector(options.detector)
    body = body_points(model, POINT_NAMES).with_offsets(detector.image_offset_m)
    network = train(body, detector, config, log_every=200)
    errors = held_out_errors(network, body, detector, config)
    print(errors)
    meta = {
        "body_name": model.name,
        "body_sha256": model.sha256,
        "detector_sha256": detector.sha256,
        "hidden": config.hidden,
        "config": dataclasses.asdict(config),
        "held_out_medians": errors,
        "licence": model.licence,
    }
    chol, worldless = (residual_cholesky(network, body, detector, config, worldless=flag) for flag in (False, True))
    out = options.out or lifter_path(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_lifter(out, network, chol, worldless, detector.image_offset_m, meta)
    print(f"lifter for {model.name} (sha256 {model.sha256[:12]}): {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
