"""`python -m tools.gpu_check`: does every check, writes JSON and page, and ends with 1 if something failed."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dataprep.errors import ShhqError
from dataprep.models.devices import resolve_device
from dataprep.tables.store import atomic_file
from gan.presets import PRESETS
from gan.training.cost.gpu_check import DEFAULT_FILE, CheckResult, GpuCheck, read_check, write_check
from gan.training.execution import DTYPES
from tools.gpu_check.check_list import CHECKS, CPU_S, CPU_WHOLE_S, MACHINE, WHOLE_S, Planned, step_of
from tools.gpu_check.check_page import page, shown
from tools.gpu_check.isolated_worker import Worker
from tools.gpu_check.trial import Trial

_LEAST_S = 2.0  # left of the whole: less begins nothing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks that are asked for; 1 if one failed, 2 on bad options."""
    options = _parser().parse_args(arguments)
    try:
        trial = _trial(options)
    except ShhqError as error:
        print(f"gpu_check: {error}", file=sys.stderr)
        return 2
    whole_s = 60 * options.minutes if options.minutes else WHOLE_S if trial.is_gpu else CPU_WHOLE_S
    found = run_checks(trial, _planned(options), options.json, whole_s)
    print(f"{options.json}, {options.json.with_suffix('.md')}: {_verdict(found)}")
    return bool(found.failed)


def run_checks(trial: Trial, planned: Sequence[Planned], path: Path, whole_s: float) -> GpuCheck:
    """Do checks one after another and write all that is known after each."""
    worker, end = Worker(trial), time.monotonic() + whole_s
    settings = {"size": trial.size, "precision": trial.precision, "tf32": str(trial.tf32 and trial.is_gpu)}
    facts = worker.check(MACHINE.name, MACHINE.function, MACHINE.budget_s if trial.is_gpu else CPU_S)
    found = GpuCheck(facts.numbers or {"name": "unknown"}, {**settings, "micro": trial.micro or "auto"}, (facts,))
    _say(facts)
    try:
        for name, function, budget_s in planned:
            left = end - time.monotonic()
            if left < _LEAST_S:
                check = CheckResult(name, "skipped", f"the {whole_s / 60:g} minutes of the whole are over (--minutes)")
            else:
                check = worker.check(name, function, min(budget_s if trial.is_gpu else CPU_S, left))
            found = GpuCheck(found.machine, found.settings, (*found.checks, check))
            _say(check)
            _write(path, found)
    finally:
        worker.close()
    return found


def _write(path: Path, found: GpuCheck) -> None:
    write_check(path, found)
    with atomic_file(path.with_suffix(".md")) as file:
        file.write(page(read_check(path)).encode())


def _say(check: CheckResult) -> None:
    few = ", ".join(f"{name} {shown(value)}" for name, value in list(check.numbers.items())[:4])
    print(f"{check.name:<10} {check.status:<8} {check.seconds:6.1f} s {check.peak_gb:7.2f} GB  "
          f"{check.reason or few}", flush=True)  # fmt: skip


def _verdict(found: GpuCheck) -> str:
    return f"failed: {', '.join(check.name for check in found.failed)}" if found.failed else "nothing failed"


def _trial(options: argparse.Namespace) -> Trial:
    where = resolve_device(options.device)
    on_gpu = where.type == "cuda"
    return Trial(
        str(where),
        options.size or ("paper" if on_gpu else "tiny"),
        options.precision or ("bfloat16" if on_gpu else "float32"),
        options.micro,
        not options.no_tf32,
    )


def _planned(options: argparse.Namespace) -> list[Planned]:
    chosen = [check for check in CHECKS if options.only is None or check.name in options.only]
    return chosen + [step_of(name) for name in options.preset]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.gpu_check", description=__doc__)
    add = parser.add_argument
    add("--device", default="auto", help="auto (default), cpu or cuda")
    add("--size", choices=("paper", "tiny"), help="default: paper on a GPU, tiny on a CPU")
    add("--precision", choices=tuple(DTYPES), help="of critics and U; default: bfloat16 on a GPU")
    add("--no-tf32", action="store_true", help="let no float32 product be rounded to TF32")
    add("--micro", type=int, default=0, metavar="N", help="pictures in memory at a time (default: what fits)")
    add(
        "--only",
        nargs="*",
        metavar="CHECK",
        choices=[check.name for check in CHECKS],
        help="these checks alone: " + ", ".join(check.name for check in CHECKS),
    )
    add("--preset", nargs="+", default=[], metavar="NAME", choices=list(PRESETS), help="steps of these, too")
    add("--minutes", type=float, metavar="N", help="of the whole (default: 8 on a GPU, 60 on a CPU)")
    add("--json", type=Path, default=DEFAULT_FILE, help="file to write; the page lies beside it as .md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
