"""`make bench`: what each stage costs an image, as a table and in build/bench.json.

    python -m tools.bench.stage_costs [SOURCE] [--json FILE] [--set stage.param=value ...]

Everything runs in this process on one core, into a temporary folder, and is measured in seconds of processor time, so
that other work on the machine counts little. The first part of every stage also loads its models and is left out. The
body stage runs once with each method of fitting.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataprep.tables.store import write_json
from pipelines import paper_stages
from pipelines.engine.run import run
from pipelines.engine.task import PartReport
from pipelines.executors.serial_executor import SerialExecutor
from pipelines.text_table import table

METHODS = ("eft", "map")
_FITS = ("body", "face", "camera")
_CORES = 2  # that the fits' rate is stated for


@dataclass(frozen=True)
class Cost:
    """What the parts of one stage took; images that did not reach it (`upstream`) do not count."""

    images: int
    cpu_seconds: float

    @property
    def seconds_per_image(self) -> float:
        return self.cpu_seconds / self.images


class MeteredExecutor(SerialExecutor):
    """Notes the processor time of every part."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[tuple[PartReport, float]] = []

    def completed(self) -> Iterator[tuple[Any, Any]]:
        started = time.process_time()
        for task, outcome in super().completed():
            if isinstance(outcome, PartReport):
                self.parts.append((outcome, time.process_time() - started))
            yield task, outcome
            started = time.process_time()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?", default=Path("samples/people"))
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.PARAM=VALUE")
    options = parser.parse_args(arguments)
    stages, bodies = measure(options.source, options.set)
    content = {"stages": stage_numbers(stages), "fits": fit_numbers(stages, bodies)}
    _print(content)
    if options.json:
        write_json(options.json, content)
    return 0


def measure(source: Path, settings: Sequence[str]) -> tuple[dict[str, Cost], dict[str, Cost]]:
    """Costs of every stage of a whole run, and of the body stage by method."""
    bodies = {}
    with tempfile.TemporaryDirectory() as folder:
        for method in METHODS:  # the second finds detections done, and stops after the body
            dag = paper_stages.build([*settings, f"body.method={method}"])
            with MeteredExecutor() as executor:
                run(source, Path(folder), dag if method == METHODS[0] else dag.until("body"), executor)
            costs = stage_costs(executor.parts)
            bodies[method] = costs["body"]
            if method == METHODS[0]:
                stages = costs
    return stages, bodies


def stage_costs(parts: Sequence[tuple[PartReport, float]]) -> dict[str, Cost]:
    """Cost per stage, in the order in which they began; a stage's first part with work is left out."""
    worked: dict[str, list[Cost]] = {}
    for report, cpu_seconds in parts:
        images = sum(n for status, n in report.counts.items() if status != "upstream")
        if images:
            worked.setdefault(report.stage, []).append(Cost(images, cpu_seconds))
    return {
        stage: Cost(sum(cost.images for cost in costs[1:]), sum(cost.cpu_seconds for cost in costs[1:]))
        for stage, costs in worked.items()
        if costs[1:]
    }


def stage_numbers(stages: dict[str, Cost]) -> dict[str, dict[str, float]]:
    """Per stage: seconds an image, images a second and core, share of the whole."""
    whole = sum(cost.seconds_per_image for cost in stages.values())
    return {
        stage: {
            "cpu_seconds_per_image": cost.seconds_per_image,
            "images_per_second_and_core": 1 / cost.seconds_per_image,
            "share": cost.seconds_per_image / whole,
            "images": cost.images,
        }
        for stage, cost in stages.items()
    }


def fit_numbers(stages: dict[str, Cost], bodies: dict[str, Cost]) -> dict[str, dict[str, float]]:
    """Body, face and camera together, by the body's method."""
    others = sum(stages[name].seconds_per_image for name in _FITS if name != "body")
    found = {}
    for method, cost in bodies.items():
        together = cost.seconds_per_image + others
        found[method] = {
            "body_cpu_seconds_per_image": cost.seconds_per_image,
            "cpu_seconds_per_image": together,
            f"images_per_second_on_{_CORES}_cores": _CORES / together,
        }
    return found


def _print(content: dict[str, dict[str, dict[str, float]]]) -> None:
    stages = content["stages"]
    rows = [
        (stage, f"{n['cpu_seconds_per_image']:.3f}", f"{n['images_per_second_and_core']:.2f}", f"{n['share']:.1%}",
         int(n["images"]))
        for stage, n in stages.items()
    ]  # fmt: skip
    print(table(("stage", "cpu s/image", "images/s/core", "share", "images"), rows))
    total = sum(n["cpu_seconds_per_image"] for n in stages.values())
    print(f"  together {total:.2f} s an image on one core: 40,000 images take {40_000 * total / 3600:.1f} core hours\n")
    fits = [
        (f"{'+'.join(_FITS)}, {method}", *(f"{value:.3f}" for value in list(n.values())[:2]),
         f"{n[f'images_per_second_on_{_CORES}_cores']:.1f}")
        for method, n in content["fits"].items()
    ]  # fmt: skip
    print(table(("fits", "body cpu s/image", "all cpu s/image", f"images/s on {_CORES} cores"), fits))


if __name__ == "__main__":
    sys.exit(main())
