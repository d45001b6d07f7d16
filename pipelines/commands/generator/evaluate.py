"""The command `shhq-hs evaluate`: from options to numbers, and what is said meanwhile."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import torch

from dataprep.errors import ConfigError
from dataprep.models.devices import resolve_device
from dataprep.models.face.face_files import STANDIN as FACE
from dataprep.tables.store import atomic_file
from gan.evaluation.evaluation_files import NUMBERS_FILE, PAGE_FILE, SUMMARY_FILE, as_json, summary_lines, write_report
from gan.evaluation.evaluation_run import Options, evaluate
from gan.evaluation.resize import RESIZES
from pipelines import config_file
from pipelines.accuracy.known_truth import known_of
from pipelines.engine.progress import clock
from pipelines.engine.resume import command_line, hint
from pipelines.executors.chosen_executor import worker_count

LABELS = "labels"  # in place of a folder of truth files
_SAY_EVERY_S = 10.0


def run(options: argparse.Namespace) -> int:
    """Evaluate a run; returns the exit status."""
    if options.resize not in RESIZES:
        raise ConfigError(f"--resize {options.resize}: expected one of {', '.join(RESIZES)}")
    device = str(resolve_device(options.device))
    folder = options.run_folder if options.run_folder.is_dir() else options.run_folder.parent
    chosen = Options(
        run=options.run_folder,
        data=tuple(options.data),
        out=options.out or folder / "evaluation",
        count=options.count,
        real=options.real,
        split=options.split,
        seed=options.seed,
        psi=options.psi,
        inception=options.inception,
        resize=options.resize,
        control=options.control,
        people=options.people,
        initial=not options.no_initial,
        body=options.body,
        face=options.face or FACE,
        reader=options.reader,
        exact_labels=str(options.truth) == LABELS,
        workers=_workers(options.workers, device),
        device=device,
    )
    with hint(command_line(options.arguments)):
        outcome = evaluate(chosen, _say, known_of(options.truth) if options.truth and not chosen.exact_labels else None)
        write_report(chosen, outcome)
        with atomic_file(chosen.out / config_file.NAME) as file:
            file.write(config_file.as_toml(options.resolved))
    for line in summary_lines(as_json(chosen, outcome)):
        print(line)
    if all(one.protocol.metric != "FID" for one in outcome.measurements):
        print("FID and KID need the Inception weights: shhq-hs evaluate --help says which file")
    print(f"{chosen.out}: {PAGE_FILE}, {SUMMARY_FILE}, {NUMBERS_FILE}")
    return 0


def _workers(wanted: str, device: str) -> int:
    """One a core on the CPU, one a GPU where none is named, or as many as wanted."""
    if wanted != "auto" or device == "cpu":
        return worker_count(wanted)
    return max(1, torch.cuda.device_count()) if device == "cuda" else 1


def _say(what: str, total: int) -> Callable[[int], None]:
    """One line now and then, with what was there before apart from the speed."""
    state = {"done": 0, "before": -1, "began": time.monotonic(), "said": 0.0}

    def hear(images: int) -> None:
        state["done"] += images
        if state["before"] < 0:  # what lay there already is told first
            state["before"] = images
        now = time.monotonic()
        finished = state["done"] >= total
        if now - state["said"] < _SAY_EVERY_S and not finished:
            return
        state["said"] = now
        fresh = state["done"] - state["before"]
        left = clock((total - state["done"]) * (now - state["began"]) / fresh) if fresh else "-"
        print(f"{what}: {state['done']:,} of {total:,}" + ("" if finished else f"  ETA {left}"), file=sys.stderr)

    return hear
