"""`make bench`: what each stage costs an image, as a table and in build/bench.json.

    python -m pipelines.bench [SOURCE] [--json FILE] [--set stage.param=value ...]

Everything runs in this process on one core, into a temporary folder. The first part of every stage also loads its
models and is left out. Machines differ and are shared: the shares compare, the seconds only describe this run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataprep.store import write_json
from pipelines import config
from pipelines.executors import SerialExecutor
from pipelines.run import run
from pipelines.summary import table


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?", default=Path("samples/people"))
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.PARAM=VALUE")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, SerialExecutor() as executor:
        run(options.source, Path(folder), config.build(options.set), executor)
        costs = stage_costs(Path(folder))
    _print(costs)
    if options.json:
        write_json(options.json, costs)
    return 0


def stage_costs(out: Path) -> dict[str, dict[str, float]]:
    """Seconds an image, images a second and share of the whole, per map stage, from the event logs of a data set.

    Images that did not reach a stage (`upstream`) do not count.
    """
    seconds: dict[str, float] = defaultdict(float)
    images: dict[str, int] = defaultdict(int)
    started: set[str] = set()
    for event in _events(out):
        if event["event"] != "part":
            continue
        worked = sum(n for status, n in event["counts"].items() if status != "upstream")
        if worked and event["stage"] in started:
            seconds[event["stage"]] += event["seconds"]
            images[event["stage"]] += worked
        elif worked:
            started.add(event["stage"])
    each = {stage: seconds[stage] / images[stage] for stage in seconds}
    whole = sum(each.values())
    return {
        stage: {"seconds_per_image": s, "images_per_second": 1 / s, "share": s / whole, "images": images[stage]}
        for stage, s in each.items()
    }


def _events(out: Path) -> list[dict[str, Any]]:
    logs = sorted(out.glob("runs/*/events.jsonl"))
    return [json.loads(line) for log in logs for line in log.read_text().splitlines()]


def _print(costs: dict[str, dict[str, float]]) -> None:
    rows = [
        (stage, f"{c['seconds_per_image']:.3f}", f"{c['images_per_second']:.2f}", f"{c['share']:.1%}", int(c["images"]))
        for stage, c in costs.items()
    ]
    print(table(("stage", "s/image", "images/s", "share", "images"), rows))
    total = sum(c["seconds_per_image"] for c in costs.values())
    print(f"  together {total:.2f} s an image on one core: 40,000 images take {40_000 * total / 3600:.1f} core hours")


if __name__ == "__main__":
    sys.exit(main())
