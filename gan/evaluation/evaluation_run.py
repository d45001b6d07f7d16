"""One evaluation, from files to numbers: what to compute, in which order, and what of it is kept."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import platformdirs

from dataprep.errors import ConfigError
from dataprep.files.file_hashes import remembered_sha256
from dataprep.models.body.smpl import BodyModel
from dataprep.models.face.bfm import FaceModel
from dataprep.models.face.face_files import STANDIN as STANDIN_FACE
from dataprep.models.face.face_files import open_face
from gan.checkpoint import Bases, Checkpoint, read_checkpoint
from gan.data.shards import Split
from gan.errors import BasisError
from gan.evaluation import measure
from gan.evaluation.control import MIN_READ, Control, ControlError, control_accuracy, control_errors
from gan.evaluation.control_sweep import FRAMES, Drift, SweepJob, drifts
from gan.evaluation.fakes import Sizes, sizes_of
from gan.evaluation.feature_networks import NetworkSpec, find_networks
from gan.evaluation.initial import save_initial
from gan.evaluation.jobs import (
    JITTERS,
    FakeJob,
    FakeSource,
    FloorJob,
    NoiseJob,
    ReaderSpec,
    RealJob,
    control_of,
    known_of_labels,
    reader_of,
)
from gan.evaluation.protocol import Measurement
from gan.evaluation.reals import RealSet, choose_reals
from gan.evaluation.resize import Resize
from gan.evaluation.result_chunks import Arrays, Job, ResultChunks, compute
from gan.face.face_space import FaceSpace, face_from_3dmm
from gan.generator_files import open_body
from gan.training.checkpoints import GENERATOR_FILE

FindTruth = Callable[[RealSet], tuple[np.ndarray, Control]]  # indices within the set, and what these pictures show
Say = Callable[[str, int], Callable[[int], None]]  # what begins, of how many pictures -> what hears of progress


def features_cache() -> Path:
    """Return where the features of real pictures are kept for all runs of this machine."""
    return Path(platformdirs.user_cache_dir("shhq-hs")) / "features"


@dataclass(frozen=True)
class Options:
    """What to evaluate, against what. `control` pictures are read, `people` swept; zero leaves either out."""

    run: Path
    data: tuple[Path, ...]
    out: Path
    count: int = 1000
    real: int | None = None
    split: Split = "train"
    seed: int = 0
    psi: float = 1.0
    inception: Path | None = None
    resize: Resize = "tf1"
    control: int = 200
    people: int = 8
    initial: bool = True
    body: str | None = None
    face: str = STANDIN_FACE
    reader: Literal["landmarks", "network"] = "landmarks"
    exact_labels: bool = False  # of the real pictures: renders
    workers: int = 1
    device: str = "cpu"
    cache: Path = field(default_factory=features_cache)

    def __post_init__(self) -> None:
        if self.count < 2:
            raise ConfigError(f"--count {self.count}: a distance between sets needs at least two pictures")
        if self.control < 0 or self.people < 0:
            raise ConfigError(f"--control {self.control} --people {self.people}: expected numbers from 0 up")


@dataclass(frozen=True)
class Outcome:
    """Every number of an evaluation, and what its pages show pictures of."""

    checkpoint_sha256: str
    sizes: Sizes
    bases: Bases
    reader: str
    measurements: list[Measurement]
    control: dict[str, ControlError]
    drift: dict[str, Drift]
    floor_drift_mm: dict[str, float]
    nearest_real: np.ndarray  # of every generated portrait, in the offline network's features
    source: FakeSource
    reals: RealSet


def evaluate(options: Options, say: Say, truth: FindTruth | None = None) -> Outcome:
    """Compute what is not computed yet, and return the numbers; `truth` finds what real pictures really show."""
    path = checkpoint_of(options.run)
    checkpoint = read_checkpoint(path)
    sizes = sizes_of(checkpoint)
    reals, bases = _reals(options, sizes)
    networks = tuple(find_networks(options.inception, options.resize))
    body = open_body(checkpoint, options.body)
    face = _face(options, bases)
    source = FakeSource(path, remembered_sha256(path), reals, options.seed, options.psi, options.body, options.device)
    jobs = _Jobs(options, say)
    real = jobs.cached("real pictures", RealJob(reals, sizes, networks, options.device), len(reals))
    fake = jobs.kept("generated pictures", FakeJob(source, networks), options.count)
    measured = _against(options, networks, sizes, reals, real)
    rows = measured(measure.GENERATOR, fake)
    rows += _anchors(options, jobs, checkpoint, body, source, networks, sizes, reals, real, measured)
    reader = ""
    control: dict[str, ControlError] = {}
    drift: dict[str, Drift] = {}
    floor_drift: dict[str, float] = {}
    if options.control or options.people:
        spec = reader_of(face, options.face, options.reader == "network")
        reader = spec.describe()
        space = _space(face, body)
        if options.exact_labels:
            truth = lambda _: known_of_labels(source, spec.face)  # noqa: E731
        control, drift, floor_drift = _control(options, jobs, source, spec, space, reals, sizes, truth)
    nearest = measure.nearest_real(*(arrays[f"{networks[0].frechet_name}/portrait"] for arrays in (real, fake)))
    return Outcome(
        source.checkpoint_sha256, sizes, bases, reader, rows, control, drift, floor_drift, nearest, source, reals
    )


def checkpoint_of(run: Path) -> Path:
    """Return the averaged generator of a run, or the file itself."""
    path = run / GENERATOR_FILE if run.is_dir() else run
    if not path.is_file():
        raise ConfigError(
            f"{run}: no {GENERATOR_FILE} there; pass the folder of a run of shhq-hs train, or a checkpoint"
        )
    return path


@dataclass(frozen=True)
class _Jobs:
    options: Options
    say: Say

    def cached(self, what: str, job: Job, total: int) -> Arrays:
        """Compute what depends on real pictures alone, once for all evaluations of this machine."""
        return self._compute(ResultChunks(self.options.cache, job), what, total)

    def kept(self, what: str, job: Job, total: int) -> Arrays:
        """Compute what depends on the checkpoint, beside the report."""
        return self._compute(ResultChunks(self.options.out / "features", job), what, total)

    def _compute(self, chunks: ResultChunks, what: str, total: int) -> Arrays:
        return compute(chunks, total, self.options.workers, self.say(what, total))


def _against(
    options: Options, networks: tuple[NetworkSpec, ...], sizes: Sizes, reals: RealSet, real: Arrays
) -> Callable[[str, Arrays], list[Measurement]]:
    return lambda of, arrays: measure.distances(
        of, real, arrays, networks, sizes, reals.sha256, options.seed, options.psi
    )


def _anchors(
    options: Options, jobs: _Jobs, checkpoint: Checkpoint, body: BodyModel, source: FakeSource,
    networks: tuple[NetworkSpec, ...], sizes: Sizes, reals: RealSet, real: Arrays,
    measured: Callable[[str, Arrays], list[Measurement]],
) -> list[Measurement]:  # fmt: skip
    """Return what the generator's distances are to be held against."""
    rows = []
    initial = save_initial(options.run, body, options.out / "features") if options.initial else None
    if initial is not None:
        begun = replace(source, checkpoint=initial, checkpoint_sha256=remembered_sha256(initial))
        rows += measured(measure.INITIAL, jobs.kept("the initial generator", FakeJob(begun, networks), options.count))
    noise = NoiseJob(reals, sizes, networks, options.seed, options.device)
    rows += measured(measure.NOISE, jobs.cached("mean portrait plus noise", noise, options.count))
    if len(reals) >= 4:
        a, b = measure.halves(real, options.seed)
        rows += measure.distances(measure.HALVES, a, b, networks, sizes, reals.sha256, options.seed, options.psi)
    return rows


def _control(
    options: Options, jobs: _Jobs, source: FakeSource, spec: ReaderSpec, space: FaceSpace, reals: RealSet, sizes: Sizes,
    truth: FindTruth | None,
) -> tuple[dict[str, ControlError], dict[str, Drift], dict[str, float]]:  # fmt: skip
    total = min(len(reals), options.control or options.people)
    floor = jobs.cached("the estimator's own error", FloorJob(reals, sizes, spec), total)
    first = control_of(floor, "shown")
    floors = _means([control_errors(first, control_of(floor, f"jitter{k}"), space) for k in range(JITTERS)])
    known: dict[str, float] = {}
    if truth is not None:
        rows, really = truth(reals)
        known = _means([control_errors(really.take(rows < total), first.take(rows[rows < total]), space)])
    control, drift = {}, {}
    if options.control:
        arrays = jobs.kept("control", FakeJob(source, (), spec), min(options.control, options.count))
        control = control_accuracy(control_of(arrays, "commanded"), control_of(arrays, "shown"), space, floors, known)
    if options.people:
        swept = jobs.kept("people under many commands", SweepJob(source, spec), options.people * FRAMES)
        drift = drifts(swept["z_id"], swept["z_exp"], swept["likeness"], space)
    return control, drift, {name: floors[name] for name in ("landmarks_mm",) if name in floors}


def _means(errors: list[dict[str, np.ndarray]]) -> dict[str, float]:
    """Return the mean of every error that was read of enough pictures; `errors` are of the same pictures."""
    every = {name: np.stack([one[name] for one in errors]) for name in errors[0]}
    pictures = {name: np.isfinite(values).any(0).sum() for name, values in every.items()}
    return {name: float(np.nanmean(values)) for name, values in every.items() if pictures[name] >= MIN_READ}


def _reals(options: Options, sizes: Sizes) -> tuple[RealSet, Bases]:
    everything = RealSet(options.data, options.split, (), "")
    dataset = everything.open(sizes)
    return choose_reals(dataset, options.data, options.split, options.real, options.seed), dataset.bases


def _face(options: Options, bases: Bases) -> FaceModel:
    face = open_face(options.face)
    if face.sha256 != bases.face_sha256:
        raise BasisError(
            f"the labels speak of {bases.face_name} ({bases.face_sha256[:12]}), the face model given is {face.name} "
            f"({face.sha256[:12]}); pass theirs: --face FILE"
        )
    return face


def _space(face: FaceModel, body: BodyModel) -> FaceSpace:
    return FaceSpace(face, face_from_3dmm(face, body))
