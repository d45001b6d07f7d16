"""Measure what each stage costs in another version and in this one: `python -m tools.bench.stage_ratios REF [SOURCE]`.

    python -m tools.bench.stage_ratios v0.3.0 samples/people --pairs 2 --set superres.model=span

REF is any name that git knows. Its files are laid out in a temporary folder, and both versions measure the same
photographs by turns, so that what else the machine does meets both. The packages are today's in both. REF measures with
its own `tools.bench.stage_costs`; `--their-module` names another module that writes the same numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dataprep.tables.store import write_json
from pipelines.text_table import table

OURS = Path(__file__).resolve().parents[2]
STAGE_COSTS = "tools.bench.stage_costs"


class Ratio(NamedTuple):
    """Processor seconds an image before and after (medians over the pairs) and how many times faster it became."""

    before_s: float
    after_s: float
    ratio: float
    least: float
    most: float


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ref", help="the version to compare with, as git names it")
    parser.add_argument("source", type=Path, nargs="?", default=Path("samples/people"))
    parser.add_argument("--pairs", type=int, default=1, help="measurements of either version")
    parser.add_argument("--their-module", default=STAGE_COSTS, metavar="NAME")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.PARAM=VALUE")
    options = parser.parse_args(arguments)
    ratios = measure(options.ref, options.their_module, options.source.resolve(), options.pairs, options.set)
    rows = [
        (stage, f"{one.before_s:.3f}", f"{one.after_s:.3f}", f"{one.ratio:.2f}", f"{one.least:.2f}-{one.most:.2f}")
        for stage, one in ratios.items()
    ]
    print(table(("stage", f"{options.ref} cpu s/image", "this one", "times as fast", "range"), rows))
    if options.json:
        write_json(options.json, {stage: one._asdict() for stage, one in ratios.items()})
    return 0


def measure(ref: str, module: str, source: Path, pairs: int, settings: Sequence[str]) -> dict[str, Ratio]:
    """Return the ratios of the stages that both versions have, and of all of them together."""
    with tempfile.TemporaryDirectory() as folder:
        theirs = Path(folder) / "theirs"
        _git("worktree", "add", "--detach", str(theirs), ref)
        try:
            both = ((theirs, module), (OURS, STAGE_COSTS))
            runs = [tuple(_costs(*one, source, settings) for one in both) for _ in range(pairs)]
        finally:
            _git("worktree", "remove", "--force", str(theirs))
    return ratios(runs)


def ratios(runs: Sequence[tuple[dict[str, float], ...]]) -> dict[str, Ratio]:
    """Compare pairs of seconds an image by stage; `together` sums up the stages of either version."""
    whole = [tuple({**costs, "together": sum(costs.values())} for costs in pair) for pair in runs]
    shared = [stage for stage in whole[0][1] if all(stage in costs for pair in whole for costs in pair)]
    return {stage: _ratio([(before[stage], after[stage]) for before, after in whole]) for stage in shared}


def _ratio(pairs: Sequence[tuple[float, float]]) -> Ratio:
    each = [before / after for before, after in pairs]
    before_s, after_s = (statistics.median(values) for values in zip(*pairs, strict=True))
    return Ratio(before_s, after_s, statistics.median(each), min(each), max(each))


def _costs(checkout: Path, module: str, source: Path, settings: Sequence[str]) -> dict[str, float]:
    """Measure one version in a process of its own; returns processor seconds an image by stage."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = Path(folder) / "costs.json"
        given = [part for setting in settings for part in ("--set", setting)]
        command = [sys.executable, "-m", module, str(source), "--json", str(numbers), *given]
        subprocess.run(command, cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)}, check=True)
        stages = json.loads(numbers.read_text())["stages"]
    return {stage: one["cpu_seconds_per_image"] for stage, one in stages.items()}


def _git(*words: str) -> None:
    subprocess.run(["git", "-C", str(OURS), *words], check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
