"""The command `shhq-hs train`: from options to a run, and what it says meanwhile."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import torch

from dataprep.errors import ConfigError
from dataprep.models.body.body_files import STANDIN as BODY
from dataprep.models.body.body_files import open_body
from dataprep.models.devices import resolve_device
from dataprep.models.face.face_files import STANDIN as FACE
from dataprep.models.face.face_files import open_face
from dataprep.settings import apply, settings_of
from dataprep.tables.store import atomic_file
from gan.evaluation.evaluation_run import features_cache
from gan.evaluation.feature_networks import find_networks
from gan.evaluation.training_meter import TrainingMeter
from gan.face.face_estimator import open_estimator
from gan.presets import Preset, describe, preset
from gan.shipped import DEMO, DEMO_FILE
from gan.training.checkpoints import BEST_FILE, GENERATOR_FILE, LEADING
from gan.training.errors import Diverged
from gan.training.execution import Execution
from gan.training.loop import RunOptions, train
from gan.training.ranks import Ranks, open_ranks
from gan.training.setup import Models, Preparing, Run
from gan.training.state import TrainState
from gan.training.wandb_watcher import WandbWatcher
from gan.training.watchers import Watcher, Watchers
from pipelines import config_file
from pipelines.commands.generator.preset_files import as_preset_file, preset_and_entries
from pipelines.commands.generator.train_plan import plan_text
from pipelines.engine.lock import run_lock
from pipelines.engine.progress import clock
from pipelines.engine.resume import command_line
from pipelines.machine.resources import cores
from pipelines.machine.stopping import StopRequest, stop_request

LEAST_MEASURED, MOST_MEASURED = 50, 2000  # pictures
_SAY_EVERY_S = 10.0
_LOADERS = 8  # at 70 decoded samples a second and core, more than a GPU uses up at any preset's size
_STOPPING = "stopping after this step, with a checkpoint; once more abandons what came after the last checkpoint"


def run(options: argparse.Namespace) -> int:
    """Print a preset, or train by it; returns the exit status."""
    base, entries = preset_and_entries(options.preset)
    chosen = apply(preset(base), [*entries, *options.set])
    if options.print:
        print(describe(chosen) if options.print == "table" else as_preset_file(base, chosen))
        return 0
    if options.plan is not None:
        print(plan_text(options, base, chosen))
        return 0
    options.resolved["train"]["preset"] = base  # what a file of the user's changes stands below, entry by entry
    if not options.data or not options.out:
        raise ConfigError("--data OUT and --out RUN are needed to train; --print and --plan need neither")
    torch.set_num_threads(max(1, options.threads or cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    device = str(resolve_device(options.device))
    command = command_line(options.arguments)
    with open_ranks(device) as (ranks, place), stop_request(_STOPPING, patient=ranks.world > 1) as stop:
        watcher = _Watcher(options, chosen, stop, talks=ranks.is_first)
        try:
            with run_lock(options.out) if ranks.is_first else nullcontext(), _heard(options, watcher, ranks) as hearing:
                state = _train(options, chosen, _execution(options, place, ranks), hearing)
        except BaseException as error:
            if watcher.began and not isinstance(error, Diverged):
                print(f"\nto resume, run the same command again: {command}", file=sys.stderr)
            raise
    if ranks.is_first:
        _say_what_came(options, state, command)
    return 0 if state.images_seen >= state.key.preset.images else stop.exit_status


@contextmanager
def _heard(options: argparse.Namespace, watcher: Watcher, ranks: Ranks) -> Iterator[Watcher]:
    """Let W&B hear of the run as well, where that is asked for; the first rank speaks for all."""
    if options.log is None or not ranks.is_first:
        yield watcher
        return
    with closing(WandbWatcher(options.out)) as sending:
        yield Watchers([watcher, sending])


def _execution(options: argparse.Namespace, place: str, ranks: Ranks) -> Execution:
    recompute = {"auto": None, "yes": True, "no": False}[options.recompute]
    return Execution(place, options.micro, options.precision, ranks, recompute, options.products)


def _workers(options: argparse.Namespace, execution: Execution) -> int:
    """Return how many loader processes to start: beside a GPU the cores are idle, on a CPU they are not."""
    if options.workers is not None or execution.where.type == "cpu":
        return int(options.workers or 0)
    return min(_LOADERS, max(1, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def _train(options: argparse.Namespace, chosen: Preset, execution: Execution, watcher: Watcher) -> TrainState:
    every = options.every or max(chosen.batch, chosen.images // 20)
    count = _measured(options.measure, every)
    body, face = open_body(options.body or BODY), open_face(options.face or FACE)
    reads_faces = chosen.stage == 1 and chosen.deformation.landmark > 0
    return train(
        options.data,
        chosen,
        options.out,
        Models(body, face, open_estimator(face) if reads_faces else None),
        options.seed,
        DEMO_FILE if options.begun_from == Path(DEMO) and not options.begun_from.exists() else options.begun_from,
        RunOptions(
            *(execution, _workers(options, execution), every, every, options.keep, options.keep_best),
            _meter(options, chosen, count) if count else None,
        ),
        watcher,
    )


def _measured(wanted: str, every: int) -> int:
    """Return how many pictures a checkpoint is measured with: a small part of what is trained in between."""
    if wanted == "auto":
        return min(max(every // 20, LEAST_MEASURED), MOST_MEASURED)
    if not wanted.isdecimal() or int(wanted) == 1:
        raise ConfigError(f"--measure {wanted}: expected auto, 0, or a number of pictures of at least 2")
    return int(wanted)


def _meter(options: argparse.Namespace, chosen: Preset, count: int) -> TrainingMeter:
    networks = tuple(find_networks(options.inception, "tf1"))
    return TrainingMeter(
        tuple(options.data), chosen, options.seed, count, max(MOST_MEASURED, count), networks, features_cache()
    )


def _say_what_came(options: argparse.Namespace, state: TrainState, command: str) -> None:
    seen, wanted = state.images_seen, state.key.preset.images
    if seen < wanted:
        print(f"stopped after {seen:,} of {wanted:,} images\nto resume, run the same command again: {command}")
        return
    print(f"{options.out}: trained on {seen:,} images")
    for path in sorted(options.out.glob("snapshot-*.png"))[-2:]:
        print(f"  snapshot grid: {path}")
    print(f"  generator:     {options.out / GENERATOR_FILE}  (shhq-hs animate --checkpoint ...)")
    if (best := options.out / BEST_FILE).is_file():
        print(f"  measured best: {best}")


def _of_eq9(run: Run, weight: float) -> str:
    """Say who reads faces for Eq. 9, or why nobody does."""
    if not weight:
        return "Eq. 9 has weight 0, the term is left out; with R-Net: --set deformation.landmark=1e4"
    estimator = run.sources.estimator
    return f"Eq. 9 reads faces with: {estimator.name if estimator else 'nothing; the term is left out'}"


class _Watcher(Watcher):
    """One line now and then: how far, how fast, and the losses that say most."""

    def __init__(self, options: argparse.Namespace, chosen: Preset, stop: StopRequest, talks: bool) -> None:
        self._options, self._preset, self._stop, self._talks = options, chosen, stop, talks
        self.began = False
        self._preparing: Preparing | None = None
        self._since = self._said = time.monotonic()
        self._first = 0

    def prepares(self, what: Preparing, done: int, whole: int) -> None:
        now = time.monotonic()
        if what is not self._preparing:
            self._preparing, self._since = what, now
        if not self._talks or (now - self._said < _SAY_EVERY_S and done < whole):
            return
        self._said = now
        rate = done / max(now - self._since, 1e-6)
        left = clock((whole - done) / rate)
        print(f"{done:>9,} of {whole:,} {what.value}  {rate:.0f}/s  ETA {left}", flush=True)

    def begins(self, run: Run) -> None:
        self.began, self._since, self._first = True, time.monotonic(), run.state.images_seen
        if not self._talks:
            return
        with atomic_file(self._options.out / config_file.NAME) as file:
            entries = settings_of(self._preset, f"{config_file.PRESET}.")
            file.write(config_file.as_toml(self._options.resolved, entries))
        trimmed = ", ".join(f"{count} by {kind}" for kind, count in run.sources.prior.trimmed.items() if count)
        print(f"{len(run.dataset):,} real images; outlying label rows left out of the prior: {trimmed or 'none'}")
        if self._preset.stage == 1:
            print(_of_eq9(run, self._preset.deformation.landmark))
        if self._first:
            print(f"going on after {self._first:,} of {self._preset.images:,} images")

    def computes(self, execution: Execution) -> None:
        if self._talks and execution.where.type != "cpu":
            how = ", patches computed again for the backward pass" if execution.recompute else ""
            print(f"{execution.micro_of(self._preset.batch)} pictures in memory at a time{how}")

    def did_step(self, images_seen: int, losses: dict[str, float]) -> None:
        now, whole = time.monotonic(), self._preset.images
        if not self._talks or (now - self._said < _SAY_EVERY_S and images_seen < whole):
            return
        self._said = now
        rate = (images_seen - self._first) / max(now - self._since, 1e-6)
        parts = [f"{who} {losses[who]:.3g}" for who in ("critic_whole", "generator_whole") if who in losses]
        if torch.cuda.is_available():
            parts.append(f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB")
        left = clock(max(0, whole - images_seen) / rate)
        print(f"{images_seen:>9,} of {whole:,} images  {rate:.2f}/s  ETA {left}  {'  '.join(parts)}", flush=True)

    def did_measure(self, images_seen: int, metrics: dict[str, float]) -> None:
        if self._talks:
            said = "  ".join(f"{name} {metrics[name]:.4g}" for name in LEADING if name in metrics)
            print(f"{images_seen:>9,} of {self._preset.images:,} images  {said}", flush=True)

    def stops(self) -> bool:
        return self._stop.requested
