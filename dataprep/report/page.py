"""The page from its numbers and pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from dataprep.files.filenames import printable_lines
from dataprep.report import charts
from dataprep.report.attention import attention
from dataprep.report.census import Census
from dataprep.report.numbers import Numbers, Ranked, StageRecord
from dataprep.report.persons import Persons
from dataprep.report.shelf import Shelf, minus
from dataprep.report.similar import Similar
from dataprep.report.snippets import SNIPPETS
from dataprep.report.timing import StageTime
from dataprep.wording import plural

THUMBS_A_CHUNK = 24
PAGE_BYTES = 8_500_000  # of pictures and what is said of them; tables and charts of 40,000 rows stay below 1 MB
_TEMPLATES = Path(__file__).parent / "templates"
_WITH_PHOTOGRAPH = 48  # accepted pictures whose photograph is on the page too
# Overlays that are on from the start beside a finding, so that the fault is seen.
_CHECK_LAYERS = {
    "crop_follows_neck": "body skeleton", "crop_matrix": "skeleton", "landmarks_follow_crop": "landmarks",
    "angles_follow_face": "landmarks cameras", "side_of_face": "landmarks cameras", "face_camera": "cameras",
    "portrait_camera": "cameras body", "camera_matrix": "cameras", "heads_agree": "face body",
}  # fmt: skip


@dataclass(frozen=True)
class Shot:
    """One picture in a section: a sample's number, which of its pictures, and what is said below it."""

    place: int
    kind: str  # portrait or photograph
    thumb: int  # -1: no picture
    width: int
    height: int
    name: str
    caption: str = ""
    layers: str = ""  # overlays that are always on
    bare: bool = False  # judged by eye, sharpness above all: nothing is ever drawn over it


@dataclass(frozen=True)
class Sheets:
    """The pictures of every section, by what they stand for."""

    reasons: Mapping[tuple[str, str, str], Sequence[Shot]]  # (stage, status, reason)
    thresholds: Mapping[str, tuple[Sequence[Shot], Sequence[Shot]]]  # score -> just below, just above
    ranked: Mapping[str, Sequence[Shot]]
    checks: Mapping[str, Sequence[Shot]]
    draws: Sequence[Sequence[Shot]]
    left_out: Sequence[Shot]
    clusters: Mapping[str, Sequence[Sequence[Shot]]]  # leaking, largest
    persons: Mapping[str, Sequence[Sequence[Shot]]]  # leaking, largest
    fates: Sequence[Sequence[Shot]]
    galleries: Mapping[str, Sequence[int]]


def shown_ids(census: Census, numbers: Numbers) -> list[str]:
    """Every sample with a picture on the page."""
    accepted, rejected = gallery_ids(census, numbers)
    found = {*accepted, *rejected, *(i for stage in numbers.funnel for loss in stage.losses for i in loss.examples)}
    for chart in numbers.histograms:
        found |= {*chart.just_below, *chart.just_above}
    found |= {one.sample_id for one in (*numbers.strongest, *numbers.weakest, *numbers.near_misses)}
    found |= {i for finding in numbers.checks for i in finding.examples}
    found |= {i for cluster in (*numbers.similar.leaking, *numbers.similar.largest) for i in cluster.members}
    if numbers.persons:
        found |= {i for person in (*numbers.persons.leaking, *numbers.persons.largest) for i in person.members}
    if numbers.prior:
        found |= {i for draw in numbers.prior.draws for i in (draw.pose, draw.identity, draw.expression)}
        found |= {one.sample_id for one in numbers.prior.left_out}
    if numbers.difference:
        found |= {i for fate in numbers.difference.fates for i in fate.examples}
    return sorted(found)


def gallery_ids(census: Census, numbers: Numbers) -> tuple[list[str], list[str]]:
    """Accepted and rejected samples to leaf through: the first by id, the rejected then by stage and reason."""
    accepted = [i for i, ok in zip(census.ids, census.ok, strict=True) if ok][: numbers.accepted_shown.shown]
    order = {stage.name: k for k, stage in enumerate(numbers.funnel)}
    columns = zip(census.ids, census.column("stage"), census.column("reason"), census.ok, strict=True)
    lost = [(order[stage], reason or "", i) for i, stage, reason, ok in columns if not ok]
    chosen = sorted(lost, key=lambda one: one[2])[: numbers.rejected_shown.shown]
    return accepted, [i for *_, i in sorted(chosen)]


def make_sheets(shelf: Shelf, census: Census, numbers: Numbers) -> Sheets:
    """All pictures of the page, as large as it has space for."""
    sheets = _thumbnails(shelf, census, numbers)
    shelf.enlarge(PAGE_BYTES - sum(map(len, shelf.thumbs)) - len(_island(shelf.samples)))
    return sheets


def _thumbnails(shelf: Shelf, census: Census, numbers: Numbers) -> Sheets:
    accepted, rejected = gallery_ids(census, numbers)
    fates = numbers.difference.fates if numbers.difference else ()
    return Sheets(
        reasons={
            (loss.stage, loss.status, loss.reason): [
                _shot(shelf, i, "photograph", bare=loss.stage == "quality") for i in loss.examples
            ]
            for stage in numbers.funnel
            for loss in stage.losses
        },
        thresholds={
            chart.score: (
                [_scored(shelf, i, chart.score) for i in chart.just_below],
                [_scored(shelf, i, chart.score) for i in chart.just_above],
            )
            for chart in numbers.histograms
        },
        ranked={name: _ranked(shelf, getattr(numbers, name)) for name in ("strongest", "weakest", "near_misses")},
        checks={
            finding.key: [
                _shot(shelf, i, "portrait", layers=_CHECK_LAYERS.get(finding.key, "")) for i in finding.examples
            ]
            for finding in numbers.checks
        },
        draws=[
            [_shot(shelf, i, "portrait", part) for part, i in
             (("pose", draw.pose), ("identity", draw.identity), ("expression", draw.expression))]
            for draw in (numbers.prior.draws if numbers.prior else ())
        ],
        left_out=[
            _shot(shelf, one.sample_id, "portrait", f"{one.label}, {one.distance:.1f} deviations out")
            for one in (numbers.prior.left_out if numbers.prior else ())
        ],
        clusters=_clusters(shelf, numbers.similar),
        persons=_clusters(shelf, numbers.persons) if numbers.persons else {},
        fates=[[_shot(shelf, i, "photograph" if fate.after != "accepted" else "portrait") for i in fate.examples]
               for fate in fates],
        galleries={
            "accepted": [shelf.place(i, photograph=k < _WITH_PHOTOGRAPH) for k, i in enumerate(accepted)],
            "rejected": [shelf.place(i, shelf.rows[i]["stage"] == "quality", True) for i in rejected],
        },
    )  # fmt: skip


def _shot(shelf: Shelf, sample_id: str, kind: str, caption: str = "", layers: str = "", bare: bool = False) -> Shot:
    shown = shelf.shown(sample_id, kind)
    place = shelf.place(sample_id, portrait=False)
    width, height = shown["size"]
    name = shelf.rows[sample_id]["source_path"]
    return Shot(place, kind, shown["thumb"], width, height, name, caption, layers, bare)


def _scored(shelf: Shelf, sample_id: str, score: str) -> Shot:
    return _shot(shelf, sample_id, "portrait" if _has_portrait(shelf, sample_id) else "photograph",
                 f"{shelf.rows[sample_id][score]:.2f}", bare=True)  # fmt: skip


def _has_portrait(shelf: Shelf, sample_id: str) -> bool:
    return bool(shelf.shown(sample_id, "portrait")["thumb"] >= 0)


def _clusters(shelf: Shelf, found: Similar | Persons) -> dict[str, list[list[Shot]]]:
    """The portraits of the named clusters, each with its split."""
    return {
        name: [
            [_shot(shelf, i, "portrait", shelf.rows[i].get("split") or "not selected") for i in cluster.members]
            for cluster in getattr(found, name)
        ]
        for name in ("leaking", "largest")
    }


def _ranked(shelf: Shelf, entries: Iterable[Ranked]) -> list[Shot]:
    return [
        _shot(
            shelf,
            one.sample_id,
            "portrait",
            f"{one.score.removeprefix('q_').replace('_', ' ')} {one.value:.2f}",
            bare=True,
        )
        for one in entries
    ]


def render(numbers: Numbers, content: Mapping[str, Any], sheets: Sheets, shelf: Shelf) -> Iterator[str]:
    """One self-contained HTML document, piece by piece; `content` is report.json's."""
    environment = _environment()
    environment.globals |= {"num": _number_of(content), "word": _word_of(content), "snippets": SNIPPETS}
    return environment.get_template("report.html.j2").generate(
        n=numbers,
        sheets=sheets,
        attention=attention(numbers),
        models=_models(numbers.stages),
        charts=charts,
        data=_island({"samples": shelf.samples, "galleries": sheets.galleries, "chunk": THUMBS_A_CHUNK}),
        thumbs=(_island(shelf.thumbs[i : i + THUMBS_A_CHUNK]) for i in range(0, len(shelf.thumbs), THUMBS_A_CHUNK)),
    )


def render_timing(times: Sequence[StageTime]) -> str:
    """The page beside it that says what the runs took on their machines."""
    return _environment().get_template("timing.html.j2").render(times=times)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable_lines(value) if type(value) is str else value,  # Markup is ours
    )
    environment.filters |= {"percent": _percent, "significant": significant, "thousands": lambda n: f"{n:,}"}
    return environment


def _island(value: Any) -> Markup:
    """JSON that is safe inside a script element, and whose texts are safe to show."""
    return Markup(json.dumps(_shown(value), separators=(",", ":")).replace("<", "\\u003c"))


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shown(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(one) for one in value]
    return printable_lines(value) if isinstance(value, str) else value


def _number_of(content: Mapping[str, Any]) -> Callable[..., Markup]:
    """`num("similar.leaks")`: a number of report.json as it is shown, marked with where it comes from."""

    def num(path: str, style: str = "count") -> Markup:
        value = _value_at(content, path)
        text = {"count": lambda v: f"{v:,}", "percent": _percent, "significant": significant}[style](value)
        return Markup(f'<data value="{value}" data-number="{escape(path)}">{escape(text)}</data>')

    return num


def _word_of(content: Mapping[str, Any]) -> Callable[..., str]:
    """`word("similar.leaks", "cluster")`: the word in the form that goes with that number."""

    def word(path: str, one: str, many: str = "") -> str:
        return plural(_value_at(content, path), one, many)

    return word


def _value_at(content: Mapping[str, Any], path: str) -> Any:
    value: Any = content
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


@dataclass(frozen=True)
class ModelUse:
    """A model file and the stages that read it."""

    name: str
    licence: str
    sha256: str
    stages: str


def _models(stages: Sequence[StageRecord]) -> list[ModelUse]:
    users: dict[tuple[str, str, str], list[str]] = {}
    for stage in stages:
        for model in stage.models:
            users.setdefault((model["name"], model["licence"], model["sha256"]), []).append(stage.name)
    return [ModelUse(*key, ", ".join(names)) for key, names in users.items()]


def _percent(share: float) -> str:
    return f"{share:.0%}" if share in (0, 1) or 0.1 <= share < 0.995 else f"{share:.1%}"


def significant(value: float) -> str:
    """About three digits."""
    return minus(f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}")
