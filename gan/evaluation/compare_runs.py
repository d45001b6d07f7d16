"""Runs side by side. Numbers share a line only where their protocols agree; what differs is said."""

from pathlib import Path

from gan.evaluation import measure
from gan.evaluation.evaluation_files import percent, read_numbers
from gan.evaluation.protocol import Measurement

HEAD = "metric"


def comparison(paths: list[Path]) -> list[list[str]]:
    """Return a table as rows of text, the heading first: a column a run, and what sets other protocols apart."""
    read = [read_numbers(path) for path in paths]
    names = _unique([content["run"] for content, _ in read])
    rows = [[HEAD, *names]]
    seen = ["images of training", *(f"{c['images_seen']:,}" if c["images_seen"] else "-" for c, _ in read)]
    rows.append(seen)
    own = [[one for one in found if one.of == measure.GENERATOR] for _, found in read]
    for first in _protocols(own):
        cells = [_cell(first, found) for found in own]
        metric = f"{first.protocol.metric}, {first.protocol.view} {first.protocol.px} px"
        rows.append([metric, *cells])
    rows += _control([content["control"]["errors"] for content, _ in read])
    return rows


def _protocols(runs: list[list[Measurement]]) -> list[Measurement]:
    """Return one measurement of every protocol, in the order of the runs."""
    found: list[Measurement] = []
    for one in (one for run in runs for one in run):
        if all(one.protocol.differences(other.protocol) for other in found):
            found.append(one)
    return found


def _cell(wanted: Measurement, run: list[Measurement]) -> str:
    for one in run:
        if not one.protocol.differences(wanted.protocol):
            return f"{one.value:.4g}"
    near = next((one for one in run if _about(one) == _about(wanted)), None)
    return "-" if near is None else "other " + ", ".join(near.protocol.differences(wanted.protocol))


def _about(one: Measurement) -> tuple[str, str]:
    return one.protocol.metric, one.protocol.view


def _control(errors: list[dict]) -> list[list[str]]:
    names = list(dict.fromkeys(name for run in errors for name in run))
    return [[f"{name} (obeyed)", *(_control_cell(run.get(name)) for run in errors)] for name in names]


def _control_cell(error: dict | None) -> str:
    if error is None or error["mean"] is None:
        return "-"
    return f"{error['mean']:.3g} ({percent(error['obeyed'])})"


def _unique(names: list[str]) -> list[str]:
    return [name if names.count(name) == 1 else f"{name} #{i + 1}" for i, name in enumerate(names)]
