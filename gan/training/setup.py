"""What a run needs before its first step: data, label prior, face space, and networks, new or resumed."""

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dataprep.errors import ConfigError
from dataprep.files.file_hashes import file_sha256
from dataprep.files.locations import Location
from dataprep.models.body.smpl import BodyModel
from dataprep.models.face.bfm import FaceModel
from dataprep.tables.shard_folders import SHARDS_INDEX, shard_folder
from gan.checkpoint import Bases, read_checkpoint
from gan.data.appearance_basis import Basis
from gan.data.company import basis_of
from gan.data.mirror import Mirror, mirror_of_models
from gan.data.priors import LabelPrior
from gan.data.shards import ShardDataset
from gan.errors import BasisError
from gan.face.face_coefficients import FaceEstimator
from gan.face.face_space import FaceSpace, face_from_3dmm
from gan.presets import Preset
from gan.rendering.body_arrays import body_arrays
from gan.training.checkpoints import STATE_FILE, state_to_go_on_from
from gan.training.execution import Execution
from gan.training.left_out import left_out_of, remember_left_out
from gan.training.state import RunKey, TrainState, begin_from, new_state, resume
from gan.training.steps import Sources
from gan.training.warm_start.appearance import appearance_codes, read_appearance, write_appearance
from gan.training.warm_start.beginnings import begin_with_expressions
from gan.training.warm_start.kept_rays import KEPT_BYTES, FinePictures, KeptRays
from gan.training.warm_start.paired import Paired

APPEARANCE_FILE = "appearance.npz"


class Preparing(Enum):
    """What can take long before the first step, and what it counts."""

    EXPRESSIONS = "steps in which D_e learns the 3DMM's expressions"
    APPEARANCES = "pictures read for what people look like"


@dataclass(frozen=True)
class Models:
    """The models whose coefficients the labels are; the estimator, for Eq. 9, is optional."""

    body: BodyModel
    face: FaceModel
    estimator: FaceEstimator | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """A run as it stands."""

    dataset: ShardDataset
    weights: Float[np.ndarray, " n"] | None  # of its samples; None: all are drawn equally often
    mirror: Mirror | None
    sources: Sources
    state: TrainState


def open_run(
    roots: Sequence[Location],
    preset: Preset,
    out: Path,
    models: Models,
    seed: int,
    begun_from: Path | None,
    execution: Execution,
    told: Callable[[Preparing, int, int], None] = lambda what, done, whole: None,
) -> Run:
    """Continue the run in `out`, else begin one, stage 2 from the stage-1 run `begun_from`.

    `told` hears how much is done of what comes before the first step.
    """
    rejected = left_out_of(roots, out, execution.ranks)
    dataset = ShardDataset(roots, "train", preset.portrait_px, preset.face_px, left_out=rejected)
    remember_left_out(out, dataset.left_out, execution.ranks)
    _require_models(dataset.bases, models)
    estimator = _prepared(models, preset, execution)
    key = RunKey(
        preset,
        seed,
        dataset.bases,
        _digest(roots, dataset.left_out),
        _begun_digest(preset, begun_from),
        estimator.weights_sha256 if estimator else "",
    )
    arrays = body_arrays(models.body)
    mirror = _mirror(models) if preset.mirror else None
    weights = dataset.sampling_weights() if preset.balance else None
    prior = LabelPrior(dataset.labels, seed, mirror, weights)
    space = FaceSpace(models.face, face_from_3dmm(models.face, models.body), preset.deformation.canonical_mouth_mm)
    state = new_state(key, arrays, execution)
    if path := state_to_go_on_from(out):
        resume(state, path)
    elif begun_from is not None:
        begin_from(state, begun_from)
    elif preset.expression_steps:
        steps, tell = preset.expression_steps, partial(told, Preparing.EXPRESSIONS)
        begin_with_expressions(state.generator.cpu(), space, prior, steps, tell)
        state.generator.to(execution.where)
        state.begin_averages()
    execution.ranks.agree(state.images_seen, "the images seen so far", execution.where)
    paired = None
    if state.is_paired:
        paired = _paired(
            state, dataset, mirror, out, begun_from, execution.ranks.is_first, partial(told, Preparing.APPEARANCES)
        )
    return Run(dataset, weights, mirror, Sources(prior, space.to(execution.where), estimator, paired), state)


def _paired(
    state: TrainState,
    dataset: ShardDataset,
    mirror: Mirror | None,
    out: Path,
    begun_from: Path | None,
    writes: bool,
    told: Callable[[int, int], None],
) -> Paired:
    """Find out what people look like, or read what an earlier start found: of this run or of the one it began from.

    What it began from says in which basis, whatever its data were: that is what its phi understands.
    """
    known = [found for folder in (out, begun_from) if folder and (found := read_appearance(folder / APPEARANCE_FILE))]
    appearance = next((found for found in known if found.key == state.key.data), None)
    if appearance is None:
        basis = known[-1].basis if known else _basis_with(begun_from)
        on_cpu = copy.deepcopy(state.average).cpu()  # where pictures and labels are
        appearance = appearance_codes(on_cpu, dataset, state.key.data, told, basis)
    if writes:
        write_appearance(out / APPEARANCE_FILE, appearance)
    settings = state.key.preset.paired
    on_cpu_only = KEPT_BYTES if next(state.generator.parameters()).device.type == "cpu" else 0
    fine = FinePictures(dataset, settings.px) if settings.px else None
    rays = KeptRays(settings.pool, settings.middle, state.key.seed, on_cpu_only, fine)
    return Paired(dataset.labels, mirror.labels(dataset.labels) if mirror else None, appearance, rays)


def _basis_with(begun_from: Path | None) -> Basis | None:
    """Return the basis that a checkpoint file brings along."""
    return basis_of(read_checkpoint(begun_from).company) if begun_from and begun_from.is_file() else None


def _mirror(models: Models) -> Mirror:
    face, body = models.face, models.body
    return mirror_of_models(face.mean, face.id_base, face.exp_base, body.v_template, body.shapedirs)


def _digest(roots: Sequence[Location], left_out: Sequence[str]) -> str:
    """sha256 over the shard indexes, which hold the hashes of all shards, and over what is left out of them."""
    digest = hashlib.sha256()
    for root in roots:
        folder = shard_folder(root)
        digest.update(hashlib.sha256((folder / SHARDS_INDEX).read_bytes()).digest())
    digest.update("".join(left_out).encode())
    return digest.hexdigest()


def _begun_digest(preset: Preset, begun_from: Path | None) -> str:
    if begun_from is None:
        if preset.stage == 2:
            raise ConfigError("stage 2 trains U on a frozen stage 1: pass the folder of that run with --from")
        return ""
    path = begun_from if begun_from.is_file() else state_to_go_on_from(begun_from)
    if path is None:
        raise ConfigError(f"--from {begun_from}: no {STATE_FILE} there; pass the folder of a run of shhq-hs train")
    return file_sha256(path)


def _prepared(models: Models, preset: Preset, execution: Execution) -> FaceEstimator | None:
    """Freeze the estimator; None where Eq. 9 has no part. BasisError if it speaks of another face."""
    estimator, face = models.estimator, models.face
    if estimator is None or preset.stage == 2 or not preset.deformation.landmark:
        return None
    if estimator.face_sha256 != face.sha256:
        raise BasisError(
            f"{estimator.name} reads coefficients of the face model {estimator.face_sha256[:12]}, the labels are of "
            f"{face.name} ({face.sha256[:12]}); use an estimator of that model"
        )
    return estimator.to(execution.where).eval().requires_grad_(False)


def _require_models(bases: Bases, models: Models) -> None:
    body, face = models.body, models.face
    if (bases.body_sha256, bases.face_sha256) != (body.sha256, face.sha256):
        given = Bases(body.name, body.sha256, face.name, face.sha256)
        raise BasisError(f"the labels speak of {bases}, the models given are {given}; pass the models of the labels")
