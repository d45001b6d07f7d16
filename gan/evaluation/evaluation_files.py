"""An evaluation as files: evaluation.json with every number, index.html and summary.png for people."""

import base64
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dataprep.errors import ConfigError
from dataprep.pictures.codecs import encode_png
from dataprep.tables.store import atomic_file
from gan.evaluation import measure
from gan.evaluation.control import MIN_READ, UNITS
from gan.evaluation.curves import chart, curves
from gan.evaluation.evaluation_run import Options, Outcome
from gan.evaluation.figures import NumberFigure, make_figures, summary_sheet
from gan.evaluation.paper_numbers import TABLES
from gan.evaluation.protocol import FORMAT, Measurement, measurement_from_json
from gan.training.checkpoints import state_to_go_on_from
from gan.training.log import LOG_FILE, read_log
from gan.training.state import read_state

NUMBERS_FILE, PAGE_FILE, SUMMARY_FILE = "evaluation.json", "index.html", "summary.png"
TOO_FEW = (
    f"at least {MIN_READ} must be read: let more be looked at (--control, --people), or train at more pixels, "
    "as faces of some 40 px are seldom found"
)
COLUMNS = (measure.GENERATOR, measure.INITIAL, measure.NOISE, measure.HALVES)
_TEMPLATES = Path(__file__).parent / "templates"


def write_report(options: Options, outcome: Outcome) -> None:
    """Write all files below `options.out`; the numbers come last, so that they say that the rest is there."""
    numbers = as_json(options, outcome)
    figures = make_figures(outcome, options.people)
    log = read_log(options.run / LOG_FILE) if options.run.is_dir() else []
    sheet = summary_sheet(summary_lines(numbers), [f for f in figures if not f.name.endswith("-faces")])
    _write(options.out / SUMMARY_FILE, encode_png(sheet))
    _write(options.out / PAGE_FILE, _page(options, numbers, outcome, figures, log).encode())
    _write(options.out / NUMBERS_FILE, (json.dumps(numbers, indent=1, sort_keys=True) + "\n").encode())


def as_json(options: Options, outcome: Outcome) -> dict[str, Any]:
    """Return every number with its protocol; numbers that are none are null."""
    state = state_to_go_on_from(options.run)
    content = {
        "format": FORMAT,
        "run": options.run.name,
        "checkpoint_sha256": outcome.checkpoint_sha256,
        "images_seen": read_state(state)["images_seen"] if state else None,
        "bases": dataclasses.asdict(outcome.bases),
        "split": options.split,
        "distances": [dataclasses.asdict(one) for one in outcome.measurements],
        "control": {
            "reader": outcome.reader,
            "errors": {name: one._asdict() | {"obeyed": one.obeyed} for name, one in outcome.control.items()},
            "drift": {kind: one._asdict() for kind, one in outcome.drift.items()},
            "floor_drift_mm": outcome.floor_drift_mm,
        },
    }
    return _finite(content)


def read_numbers(path: Path) -> tuple[dict[str, Any], list[Measurement]]:
    """Read evaluation.json of a report folder or of a run that holds one."""
    for candidate in (path, path / NUMBERS_FILE, path / "evaluation" / NUMBERS_FILE):
        if candidate.is_file():
            content = json.loads(candidate.read_text())
            if content.get("format") != FORMAT:
                raise ConfigError(f"{candidate}: not an evaluation of this version ('{FORMAT}'); evaluate again")
            return content, [measurement_from_json(one) for one in content["distances"]]
    raise ConfigError(f"{path}: no {NUMBERS_FILE} there; make one first: shhq-hs evaluate {path} --data OUT")


def by_protocol(rows: list[Measurement]) -> list[tuple[Measurement, dict[str, Measurement]]]:
    """Return the generator's measurements, each with what it is held against."""
    return [
        (
            one,
            {
                other.of: other
                for other in rows
                if (other.protocol.metric, other.protocol.view) == (one.protocol.metric, one.protocol.view)
            },
        )
        for one in rows
        if one.of == measure.GENERATOR
    ]


def summary_lines(numbers: dict[str, Any]) -> list[str]:
    """Return the numbers as a few lines of text."""
    rows = [measurement_from_json(one) for one in numbers["distances"]]
    seen = numbers["images_seen"]
    lines = [f"{numbers['run']}  {numbers['checkpoint_sha256'][:12]}" + (f"  after {seen:,} images" if seen else "")]
    for one, beside in by_protocol(rows):
        others = [f"{name} {beside[name].value:.4g}" for name in COLUMNS[1:] if name in beside]
        head = f"{one.protocol.metric}, {one.protocol.view} {one.protocol.px} px: {one.value:.4g}"
        lines.append("   ".join([head, *others]))
    return [*lines, *(_control_line(name, error) for name, error in numbers["control"]["errors"].items())]


def _control_line(name: str, error: dict[str, Any]) -> str:
    read = f"read {error['read']} of {error['of']}"
    if error["read"] < MIN_READ:
        return f"{name}: no number, {read} pictures; {TOO_FEW}"
    said = {key: "-" if error[key] is None else f"{error[key]:.3g}" for key in ("mean", "floor", "known", "chance")}
    return (
        f"{name}: {said['mean']}   floor {said['floor']}   on renders {said['known']}   chance {said['chance']}   "
        f"obeyed {percent(error['obeyed'])}   {read}"
    )


def _page(
    options: Options, numbers: dict[str, Any], outcome: Outcome, figures: list[NumberFigure], log: list[dict[str, Any]]
) -> str:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, autoescape=True, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("evaluation.html").render(
        numbers=numbers,
        split=options.split,
        rows=by_protocol(outcome.measurements),
        columns=[name for name in COLUMNS if any(one.of == name for one in outcome.measurements)],
        control=outcome.control,
        units=UNITS,
        number=_number,
        percent=percent,
        too_few=TOO_FEW if _too_few(outcome) else "",
        drift=outcome.drift,
        floor_mm=outcome.floor_drift_mm.get("landmarks_mm"),
        figures=[(figure, _uri(figure.rgb)) for figure in figures],
        curves=[(curve.name, chart(curve)) for curve in curves(log)],
        tables=TABLES,
    )


def _number(value: float | None) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{value:.3g}"


def percent(share: float | None) -> str:
    return "–" if share is None or not np.isfinite(share) else f"{round(100 * share)} %"


def _too_few(outcome: Outcome) -> bool:
    drift = outcome.drift.values()
    read = [*(one.read for one in outcome.control.values()), *(min(one.read, one.likeness_read) for one in drift)]
    return any(count < MIN_READ for count in read)


def _uri(rgb: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(rgb)).decode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)
