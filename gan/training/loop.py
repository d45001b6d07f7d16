"""A run: from where it stands to its end, leaving a log, snapshots and checkpoints."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from dataprep.errors import ConfigError
from dataprep.files.locations import Location
from dataprep.tables.store import atomic_file
from gan.data.stream import real_batches
from gan.presets import Preset, describe
from gan.rendering.generator import Generator
from gan.training.checkpoints import KEEP, best_of, forget, publish_best, state_to_go_on_from
from gan.training.errors import Diverged
from gan.training.execution import Execution
from gan.training.log import SEEN, Log, Row
from gan.training.machine.fitting import fitted
from gan.training.setup import Models, Run, open_run
from gan.training.snapshots import snapshot_pngs
from gan.training.state import TrainState, save_state
from gan.training.steps import step
from gan.training.watchers import Watcher

PRESET_FILE = "preset.txt"


@runtime_checkable
class CheckpointMeter(Protocol):
    """Measures a generator; all ranks call it together. None: `stops` said so, or nothing could be measured."""

    def __call__(
        self, generators: Sequence[Generator], execution: Execution, stops: Callable[[], bool]
    ) -> dict[str, float] | None: ...


@dataclass(frozen=True)
class RunOptions:
    """What does not change the weights (but for rounding, `execution`)."""

    execution: Execution = field(default_factory=Execution)
    workers: int = 0  # loader processes
    checkpoint_images: int = 10_000
    snapshot_images: int = 10_000  # 0: no snapshots
    keep: int = KEEP  # checkpoints
    keep_best: int = 1  # further ones, of those that `meter` measured
    meter: CheckpointMeter | None = None  # of every checkpoint but those of a stop

    def __post_init__(self) -> None:
        for name, value, least in (
            ("workers", self.workers, 0),
            ("every", self.checkpoint_images, 1),
            ("every", self.snapshot_images, 0),
            ("keep", self.keep, 1),
            ("keep-best", self.keep_best, 0),
        ):
            if value < least:
                raise ConfigError(f"--{name} {value}: expected a number of at least {least}")


def train(
    roots: Sequence[Location],
    preset: Preset,
    out: Path,
    models: Models,
    seed: int = 0,
    begun_from: Path | None = None,
    options: RunOptions | None = None,
    watcher: Watcher | None = None,
) -> TrainState:
    """Train until `preset.images` or until the watcher stops it; continues what lies in `out`.

    Stage 2 begins from the stage-1 run `begun_from`. Of several ranks the first one writes.
    """
    options, watcher = options or RunOptions(), watcher or Watcher()
    execution = options.execution
    run = open_run(roots, preset, out, models, seed, begun_from, execution, watcher.prepares)
    execution = fitted(run.state, run.sources, execution)
    watcher.computes(execution)
    state, writes = run.state, execution.ranks.is_first
    watcher.begins(run)
    if writes:
        with atomic_file(out / PRESET_FILE) as file:
            file.write(f"{describe(preset)}\n".encode())
    log = Log(out, state.images_seen) if writes else None
    if log:
        publish_best(out, log.metrics, options.keep_best)
    told = _Telling(run, out, replace(options, execution=execution), watcher, log)
    real = real_batches(
        run.dataset,
        seed,
        state.images_seen,
        execution.micro_of(preset.batch),
        run.mirror,
        execution.ranks.rank,
        execution.ranks.world,
        options.workers,
        run.weights,
    )
    stopped = told.measures()  # of a run that ended before it had measured its checkpoint
    while state.images_seen < preset.images and not stopped:
        before = state.images_seen
        try:
            losses = step(state, run.sources, real, execution)
        except Diverged as diverged:
            raise Diverged(f"{diverged}. {_advice(out, diverged.who)}", diverged.who) from None
        if log:
            log.add({SEEN: state.images_seen, **losses})
        watcher.did_step(state.images_seen, losses)
        done = state.images_seen >= preset.images
        stopped = execution.ranks.any(watcher.stops(), execution.where)
        if log and options.snapshot_images and (done or _passed(before, state.images_seen, options.snapshot_images)):
            told.takes_snapshots(log)
        if done or stopped or _passed(before, state.images_seen, options.checkpoint_images):
            if log:
                save_state(state, out, options.keep, best_of(log.metrics, options.keep_best))
            stopped = stopped or told.measures()
    return state


@dataclass(frozen=True, eq=False)
class _Telling:
    """What a run lets be seen of itself; `log` is the first rank's."""

    run: Run
    out: Path
    options: RunOptions
    watcher: Watcher
    log: Log | None

    def takes_snapshots(self, log: Log) -> None:
        state = self.run.state
        pngs = snapshot_pngs(state.average, self.run.sources.prior, state.key.preset)
        log.add_pictures(state.images_seen, pngs)
        self.watcher.did_snapshots(state.images_seen, pngs)

    def measures(self) -> bool:
        """Measure the checkpoint where the run stands, if that is due and not done; returns whether a stop cut it off.

        It comes after the checkpoint: a stop must not wait for it, and who goes on from there does it first.
        """
        state, execution, options = self.run.state, self.options.execution, self.options
        stands = state.images_seen
        due = stands >= state.key.preset.images or _passed(
            stands - state.key.preset.batch, stands, options.checkpoint_images
        )
        known = self.log is None or any(row[SEEN] == stands for row in self.log.metrics)
        if options.meter is None or not stands or not due or not execution.ranks.any(not known, execution.where):
            return False
        stops = lambda: execution.ranks.any(self.watcher.stops(), execution.where)  # noqa: E731
        metrics = options.meter([average for average, _ in state.averages], execution, stops)
        if metrics is None:
            return stops()
        if self.log:
            row: Row = {SEEN: stands, **metrics}
            self.log.add_metrics(row)
            self.watcher.did_measure(stands, metrics)
            publish_best(self.out, self.log.metrics, options.keep_best)
            forget(self.out, options.keep, best_of(self.log.metrics, options.keep_best))
        return False


def _advice(out: Path, who: str) -> str:
    """How to go on after a divergence, with what is there."""
    lower = f"a lower learning rate (--set {who}_lr=...)"
    if state_to_go_on_from(out):
        return f"The last checkpoint is from before: go on from it in a new folder with {lower}: --from {out}"
    return f"There is no checkpoint yet: begin again with {lower}"


def _passed(before: int, now: int, every: int) -> bool:
    return before // every != now // every
