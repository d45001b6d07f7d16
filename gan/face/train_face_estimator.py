"""Train the stand-in face estimator on renders with exact labels: minutes on one core.

    python -m gan.face.train_face_estimator --data CG

CG is a folder of `tools.render.training_people` (docs/training.md). The people of its val split take no part; on them
the result is measured. A run that was ended goes on where it was when the same command is given again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dataprep.errors import ConfigError, ShhqError
from dataprep.files.npz_files import write_npz
from dataprep.models.body.smpl import load_body
from dataprep.models.face.bfm import load_face
from dataprep.tables.store import atomic_file
from gan.config import GeneratorConfig
from gan.data.shards import Split
from gan.face.face_accuracy import measure
from gan.face.face_estimator import WEIGHTS_PATH, load_standin_estimator
from gan.face.face_pictures import FacePictures, draw_batch, load_faces, split_label
from gan.face.face_space import FaceSpace, face_from_3dmm
from gan.face.standin_network import STANDIN_PX, StandinFaceNet, centred
from gan.rendering.cameras import face_camera, project

STATE_FILE = Path("build/face_estimator.pt")
MEASURED_PX = (32, STANDIN_PX)
SPLITS: tuple[Split, ...] = ("train", "val")
WEIGHT_DECAY, ADAM_BETAS = 0.03, (0.9, 0.99)
WARM_UP_STEPS, FALLING_SHARE = 100, 0.4  # in between the rate is the same for every number of steps
# Of parts of the loss, each a share of what the mean answer leaves. Expression counts twice: it is the hardest to see.
EXPRESSION_WEIGHT, NUMBERS_WEIGHT, CAMERA_WEIGHT = 2.0, 0.05, 0.3
SEEN_SCALE = 0.05  # of half the picture's side: 6 mm of a landmark's place count as much as guessing the codes
_OTHER_STATE = "remove it, or name another"
_MEASURED_ON = 512  # pictures give the mean answer's losses


@dataclass(frozen=True)
class EstimatorRecipe:
    """What a run is of; `data` is the sha256 over labels and pictures."""

    data: str
    face_sha256: str
    steps: int = 4_000
    seed: int = 11
    batch: int = 16
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        if self.steps < 1 or self.seed < 0:
            raise ConfigError(f"--steps {self.steps} --seed {self.seed}: expected at least 1 and 0")


class Guess(NamedTuple):
    """What the mean label loses, in face units."""

    expression: float
    landmarks: float


@dataclass(eq=False)
class Training:
    """A network on its way."""

    recipe: EstimatorRecipe
    network: StandinFaceNet
    optimiser: torch.optim.AdamW
    steps_done: int = 0

    def save(self, path: Path) -> None:
        content = {
            "recipe": asdict(self.recipe), "steps_done": self.steps_done, "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }  # fmt: skip
        with atomic_file(path) as file:
            torch.save(content, file)

    def go_on_from(self, path: Path) -> None:
        """Take over a state; raise ConfigError where it is of another run.

        Runs of different lengths are the same at first.
        """
        try:
            content = torch.load(path, weights_only=True)
            before, done = dict(content["recipe"]), int(content["steps_done"])
        except Exception as error:
            raise ConfigError(f"--state {path}: no state of such a run ({error}); {_OTHER_STATE}") from error
        now = asdict(self.recipe)
        differ = [name for name in now if before.get(name) != now[name]]
        if differ == ["steps"] and done <= (1 - FALLING_SHARE) * min(before["steps"], now["steps"]):
            differ = []  # the rate has not begun to fall: the steps done are those of the new number, too
        if differ:
            said = "; ".join(f"{name} was {before.get(name)}, is {now[name]}" for name in differ)
            raise ConfigError(f"--state {path} is of another run, {done:,} steps old: {said}; {_OTHER_STATE}")
        self.network.load_state_dict(content["network"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.steps_done = done


def begin(recipe: EstimatorRecipe, faces: FacePictures) -> Training:
    """Initialise a network from the seed; it begins by saying what is usual in the labels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = StandinFaceNet()
    network.mean_K.copy_(faces.label_NK.mean(0))
    network.scale_K.copy_(faces.label_NK.std(0))
    optimiser = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, betas=ADAM_BETAS, weight_decay=WEIGHT_DECAY
    )
    return Training(recipe, network, optimiser)


def train(
    training: Training, faces: FacePictures, space: FaceSpace, until: int | None = None, state: Path | None = None
) -> None:
    """Go on to step `until`, by default the last; every 200th is reported and saved to `state`."""
    recipe, guess = training.recipe, guessing(faces, space)
    training.network.train()
    for step in range(training.steps_done, recipe.steps if until is None else until):
        random = np.random.default_rng(np.random.SeedSequence((recipe.seed, step)))
        for group in training.optimiser.param_groups:
            group["lr"] = recipe.learning_rate * rate(step, recipe.steps)
        loss = loss_of(training.network, *draw_batch(faces, recipe.batch, random), space, guess)
        training.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        training.optimiser.step()
        training.steps_done = step + 1
        if training.steps_done % 200 == 0 and state is not None:
            print(f"step {training.steps_done:>5,} of {recipe.steps:,}: loss {loss.item():.3f}", flush=True)
            training.save(state)
    training.network.eval()


def rate(step: int, steps: int) -> float:
    """Return the part of the learning rate: it rises for a moment, stays, and falls to nothing in the end."""
    return min(1.0, (step + 1) / WARM_UP_STEPS, (steps - step) / (FALLING_SHARE * steps))


def loss_of(network: StandinFaceNet, image_B3HW: Tensor, label_BK: Tensor, space: FaceSpace, guess: Guess) -> Tensor:
    """Return what a batch loses: by expression alone, by both codes, by landmarks seen, and by the numbers."""
    z_id_BK, z_exp_BK, camera_B2 = split_label(label_BK)
    landmark_BL2, (said_id_BK, said_exp_BK), said_camera_B2 = network(image_B3HW)
    no_one = torch.zeros_like(z_id_BK)
    true_BL3 = space.landmarks(z_id_BK, z_exp_BK)
    expression = _apart(space.landmarks(no_one, said_exp_BK), space.landmarks(no_one, z_exp_BK)) / guess.expression
    both = _apart(space.landmarks(said_id_BK, said_exp_BK), true_BL3) / guess.landmarks
    true_BL2 = project(true_BL3, camera_B2, face_camera(GeneratorConfig()))[0]
    seen = _apart(centred(landmark_BL2), centred(true_BL2)) / SEEN_SCALE
    said_BK = torch.cat([said_id_BK, said_exp_BK, said_camera_B2], 1)
    numbers_BK = ((said_BK - label_BK) / network.scale_K).square()
    numbers = NUMBERS_WEIGHT * numbers_BK.mean() + CAMERA_WEIGHT * numbers_BK[:, -2:].mean()
    return EXPRESSION_WEIGHT * expression + both + seen + numbers


def guessing(faces: FacePictures, space: FaceSpace) -> Guess:
    """Measure what the mean label loses."""
    z_id_NK, z_exp_NK, _ = split_label(faces.label_NK[:_MEASURED_ON])
    mean_id_NK, mean_exp_NK = z_id_NK.mean(0).expand_as(z_id_NK), z_exp_NK.mean(0).expand_as(z_exp_NK)
    return Guess(
        float(_apart(space.landmarks(mean_id_NK, mean_exp_NK), space.landmarks(mean_id_NK, z_exp_NK))),
        float(_apart(space.landmarks(mean_id_NK, mean_exp_NK), space.landmarks(z_id_NK, z_exp_NK))),
    )


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """Return the mean distance, not its square: what a few hidden faces lose should not drown the rest."""
    return (one - other).square().sum(-1).add(1e-12).sqrt().mean()


def digest(faces: FacePictures) -> str:
    """Return the sha256 of what is trained on."""
    content = hashlib.sha256(faces.image_N3HW.numpy().tobytes())
    content.update(faces.label_NK.numpy().tobytes())
    return content.hexdigest()


def write_weights(training: Training, path: Path) -> None:
    """Write the network in half precision, with the recipe."""
    arrays = {name: value.numpy().astype(np.float16) for name, value in training.network.state_dict().items()}
    write_npz(path, arrays | {"meta": np.array(json.dumps(asdict(training.recipe), sort_keys=True))})


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, or go on, then measure what was written; returns the exit status."""
    given = _options(arguments)
    try:
        _run(given)
    except ShhqError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(given: argparse.Namespace) -> None:
    torch.set_num_threads(1)  # sums of several come out otherwise
    face, body = load_face(), load_body()
    space = FaceSpace(face, face_from_3dmm(face, body))
    faces, held_out = (load_faces(given.data, split, face, body) for split in SPLITS)
    training = begin(EstimatorRecipe(digest(faces), face.sha256, given.steps, given.seed), faces)
    if given.state.is_file():
        training.go_on_from(given.state)
    print(f"{len(faces):,} pictures; {training.steps_done:,} of {given.steps:,} steps are done", flush=True)
    train(training, faces, space, state=given.state)
    write_weights(training, given.out)
    shipped = load_standin_estimator(given.out)
    for size_px in MEASURED_PX:
        reached = measure(shipped.network, space, held_out, size_px)._asdict()
        said = ", ".join(f"{name} {value:.2f}" for name, value in reached.items())
        print(f"{len(held_out)} pictures of people held out, at {size_px} px: {said}")
    given.state.unlink(missing_ok=True)
    print(f"{given.out}: {given.out.stat().st_size:,} bytes, sha256 {shipped.weights_sha256}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m gan.face.train_face_estimator",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of tools.render.training_people")
    parser.add_argument("--out", type=Path, default=WEIGHTS_PATH, help="weights (%(default)s)")
    parser.add_argument("--state", type=Path, default=STATE_FILE, help="where an ended run goes on from (%(default)s)")
    parser.add_argument("--steps", type=int, default=EstimatorRecipe.steps, help="of 16 pictures (%(default)s)")
    parser.add_argument("--seed", type=int, default=EstimatorRecipe.seed, help="(%(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
