"""A run: from where it stands to its end, leaving a log, snapshots and checkpoints."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataprep.errors import ConfigError
from dataprep.models.bfm import FaceModel
from dataprep.models.smpl import BodyModel
from dataprep.store import atomic_file, file_sha256
from gan.animate_setup import body_arrays
from gan.checkpoint import Bases
from gan.coefficients import FaceEstimator
from gan.data.mirror import mirror_of_models
from gan.data.priors import LabelPrior
from gan.data.shards import ShardDataset
from gan.data.stream import real_batches
from gan.errors import BasisError
from gan.face_space import FaceSpace, nominal_face_from_3dmm, shared_vertices_face_from_3dmm
from gan.presets import Preset, describe
from gan.training.snapshots import snapshot_png
from gan.training.state import STATE_FILE, RunKey, TrainState, begin_from, new_state, resume, save_state
from gan.training.steps import Sources, step

LOG_FILE = "log.jsonl"


@dataclass(frozen=True)
class RunOptions:
    """What does not change the outcome (but for rounding, `micro` and `device`)."""

    device: str = "cpu"
    micro: int = 4  # pictures in memory at a time
    workers: int = 0
    checkpoint_images: int = 10_000
    snapshot_images: int = 10_000  # 0: no snapshots


def train(
    roots: Sequence[Path],
    preset: Preset,
    out: Path,
    body: BodyModel,
    face: FaceModel,
    seed: int = 0,
    begun_from: Path | None = None,
    options: RunOptions | None = None,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    estimator: FaceEstimator | None = None,
) -> TrainState:
    """Train until `preset.images`; continues what lies in `out`. Stage 2 begins from the stage-1 run `begun_from`.

    Without an `estimator` Eq. 9 is left out.
    """
    options = options or RunOptions()
    dataset = ShardDataset(roots, "train", preset.portrait_px, preset.face_px)
    _require_models(dataset.bases, body, face)
    estimator = _prepared(estimator, face, preset, options.device)
    reader = estimator.weights_sha256 if estimator else ""
    key = RunKey(preset, seed, dataset.bases, _digest(roots), _begun_digest(preset, begun_from), reader)
    arrays = body_arrays(body)
    state = new_state(key, arrays, options.device)
    if (out / STATE_FILE).is_file():
        resume(state, out)
    elif begun_from is not None:
        begin_from(state, begun_from)
    mirror = None
    if preset.mirror:
        mirror = mirror_of_models(face.mean, face.id_base, face.exp_base, body.v_template, body.shapedirs)
    prior = LabelPrior(dataset.labels, seed, mirror)
    transform = nominal_face_from_3dmm()
    if face.body_vertex is not None:
        transform = shared_vertices_face_from_3dmm(face, arrays)
    sources = Sources(prior, FaceSpace(face, transform).to(options.device), options.device, estimator)

    out.mkdir(parents=True, exist_ok=True)
    (out / "preset.txt").write_text(describe(preset) + "\n")
    log = _Log(out / LOG_FILE, state.images_seen)
    micro = min(options.micro, preset.batch)
    if preset.batch % micro:
        raise ConfigError(f"micro {micro} does not divide the batch of {preset.batch}")
    real = real_batches(dataset, seed, state.images_seen, micro, mirror, workers=options.workers)
    while state.images_seen < preset.images:
        before = state.images_seen
        losses = step(state, sources, real, micro)
        log.add({"images_seen": state.images_seen, **losses})
        if on_step is not None:
            on_step(state.images_seen, losses)
        done = state.images_seen >= preset.images
        if options.snapshot_images and (done or _passed(before, state.images_seen, options.snapshot_images)):
            with atomic_file(out / f"snapshot-{state.images_seen:09d}.png") as file:
                file.write(snapshot_png(state.average, prior, preset))
        if done or _passed(before, state.images_seen, options.checkpoint_images):
            save_state(state, out)
    return state


class _Log:
    """One JSON line a step; lines after the checkpoint that a run resumes from are taken back."""

    def __init__(self, path: Path, images_seen: int) -> None:
        self.path = path
        kept = [line for line in _lines(path) if json.loads(line)["images_seen"] <= images_seen]
        with atomic_file(path) as file:
            file.write("".join(line + "\n" for line in kept).encode())

    def add(self, row: dict[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def _lines(path: Path) -> list[str]:
    """Complete lines: a killed process may leave half of one."""
    return path.read_text().split("\n")[:-1] if path.is_file() else []


def _passed(before: int, now: int, every: int) -> bool:
    return before // every != now // every


def _digest(roots: Sequence[Path]) -> str:
    """sha256 over the shard indexes, which hold the hashes of all shards."""
    digest = hashlib.sha256()
    for root in roots:
        folder = root / "shards" if (root / "shards").is_dir() else root
        digest.update(hashlib.sha256((folder / "index.json").read_bytes()).digest())
    return digest.hexdigest()


def _begun_digest(preset: Preset, begun_from: Path | None) -> str:
    if preset.stage == 1:
        if begun_from is not None:
            raise ConfigError("stage 1 begins from nothing; --from belongs to stage 2")
        return ""
    path = (begun_from or Path()) / STATE_FILE
    if begun_from is None or not path.is_file():
        raise ConfigError(f"stage 2 trains U on a frozen stage 1: pass its run folder with --from (no {path})")
    return file_sha256(path)


def _prepared(estimator: FaceEstimator | None, face: FaceModel, preset: Preset, device: str) -> FaceEstimator | None:
    """Freeze the estimator; None where the preset gives Eq. 9 no weight. BasisError if it speaks of another face."""
    if estimator is None or preset.stage == 2 or not preset.deformation.landmark:
        return None
    if estimator.face_sha256 != face.sha256:
        raise BasisError(
            f"{estimator.name} reads coefficients of the face model {estimator.face_sha256[:12]}, the labels are of "
            f"{face.name} ({face.sha256[:12]}); use an estimator of that model"
        )
    return estimator.to(device).eval().requires_grad_(False)


def _require_models(bases: Bases, body: BodyModel, face: FaceModel) -> None:
    if (bases.body_sha256, bases.face_sha256) != (body.sha256, face.sha256):
        given = Bases(body.name, body.sha256, face.name, face.sha256)
        raise BasisError(f"the labels speak of {bases}, the models given are {given}; pass the models of the labels")
