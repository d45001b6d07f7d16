"""A run: from where it stands to its end, leaving a log, snapshots and checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dataprep.errors import ConfigError
from dataprep.files.locations import Location
from dataprep.tables.store import atomic_file
from gan.data.stream import real_batches
from gan.presets import Preset, describe
from gan.training.checkpoints import KEEP, state_to_go_on_from
from gan.training.errors import Diverged
from gan.training.execution import Execution
from gan.training.log import Log
from gan.training.setup import Models, Run, open_run
from gan.training.snapshots import snapshot_pngs
from gan.training.state import TrainState, save_state
from gan.training.steps import step

PRESET_FILE = "preset.txt"


@dataclass(frozen=True)
class RunOptions:
    """What does not change the outcome (but for rounding, `execution`)."""

    execution: Execution = field(default_factory=Execution)
    workers: int = 0  # loader processes
    checkpoint_images: int = 10_000
    snapshot_images: int = 10_000  # 0: no snapshots
    keep: int = KEEP  # checkpoints

    def __post_init__(self) -> None:
        for name, value, least in (
            ("workers", self.workers, 0),
            ("every", self.checkpoint_images, 1),
            ("every", self.snapshot_images, 0),
            ("keep", self.keep, 1),
        ):
            if value < least:
                raise ConfigError(f"--{name} {value}: expected a number of at least {least}")


class Watcher:
    """What a caller wants to know and to say during a run; this one neither listens nor talks."""

    def reads(self, done: int, whole: int) -> None:
        """So many of so many pictures were read before the first step (a paired start)."""

    def begins(self, run: Run) -> None:
        """The run stands where it begins or goes on."""

    def did_step(self, images_seen: int, losses: dict[str, float]) -> None:
        """A step was done; an exception from here ends the run as a crash would."""

    def stops(self) -> bool:
        """Whether to end after this step, with a checkpoint."""
        return False


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
    run = open_run(roots, preset, out, models, seed, begun_from, execution, watcher.reads)
    state, writes = run.state, execution.ranks.is_first
    watcher.begins(run)
    if writes:
        with atomic_file(out / PRESET_FILE) as file:
            file.write(f"{describe(preset)}\n".encode())
        log = Log(out, state.images_seen)
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
    stopped = False
    while state.images_seen < preset.images and not stopped:
        before = state.images_seen
        try:
            losses = step(state, run.sources, real, execution)
        except Diverged as diverged:
            raise Diverged(f"{diverged}. {_advice(out, diverged.who)}", diverged.who) from None
        if writes:
            log.add({"images_seen": state.images_seen, **losses})
        watcher.did_step(state.images_seen, losses)
        done = state.images_seen >= preset.images
        stopped = execution.ranks.any(watcher.stops(), execution.where)
        if writes and options.snapshot_images and (done or _passed(before, state.images_seen, options.snapshot_images)):
            _save_snapshots(run, out)
        if writes and (done or stopped or _passed(before, state.images_seen, options.checkpoint_images)):
            save_state(state, out, options.keep)
    return state


def _save_snapshots(run: Run, out: Path) -> None:
    state = run.state
    for name, png in snapshot_pngs(state.average, run.sources.prior, state.key.preset).items():
        with atomic_file(out / f"snapshot-{state.images_seen:09d}-{name}.png") as file:
            file.write(png)


def _advice(out: Path, who: str) -> str:
    """How to go on after a divergence, with what is there."""
    lower = f"a lower learning rate (--set {who}_lr=...)"
    if state_to_go_on_from(out):
        return f"The last checkpoint is from before: go on from it in a new folder with {lower}: --from {out}"
    return f"There is no checkpoint yet: begin again with {lower}"


def _passed(before: int, now: int, every: int) -> bool:
    return before // every != now // every
