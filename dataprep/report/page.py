"""The page from its numbers and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dataprep.report import svg
from dataprep.report.numbers import Census, Numbers, Ranked, StageRecord
from dataprep.report.pictures import Picture, Pictures, shrunk
from dataprep.stages.quality import RULES

PORTRAIT_PX, PHOTO_PX, STRIP_PX = 256, 400, 160  # longest sides of the thumbnails
CARD_COLUMNS = (
    *("sample_id", "status", "stage", "reason", "message", "source_path", "source_sha256", "part", "split"),
    *("source_width", "source_height", "keypoints33", "smpl_joints_px", "landmarks68", "crop_from_source"),
    *("crop_centre_px", "crop_side_px", "crop_roll_rad", "yaw", "pitch", "roll"),
    *("body_fit_rmse_relative", "face_fit_rmse", "upsampling", "dup_cluster", "dup_rank"),
    *(rule.score for rule in RULES),
)
_TEMPLATES = Path(__file__).parent / "templates"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Card:
    """One picture with its overlay, caption and the facts shown when it is opened."""

    kind: str  # portrait or photograph
    name: str
    uri: str  # "" when there is no picture to show
    width: int
    height: int
    overlay: Markup
    caption: str
    note: str = ""
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Sheets:
    """The cards of every section, by what they stand for."""

    accepted: Sequence[Card]
    rejected: Sequence[Card]
    reasons: Mapping[tuple[str, str, str], Sequence[Card]]  # (stage, status, reason)
    ranked: Mapping[str, Sequence[Card]]


@dataclass
class Gallery:
    """Makes cards; each picture of a sample is decoded and encoded once."""

    pictures: Pictures
    rows: Mapping[str, Row]
    _photographs: dict[str, Picture | None] = field(default_factory=dict)
    _portraits: dict[str, Picture | None] = field(default_factory=dict)

    def photograph(self, sample_id: str) -> Picture | None:
        if sample_id not in self._photographs:
            self._photographs[sample_id] = self.pictures.photograph(self.rows[sample_id], PHOTO_PX)
        return self._photographs[sample_id]

    def portrait(self, sample_id: str) -> Picture | None:
        if sample_id not in self._portraits:
            row = self.rows[sample_id]
            self._portraits[sample_id] = self.pictures.emitted("matte", "portrait.png", row, PORTRAIT_PX)
        return self._portraits[sample_id]

    def portrait_card(self, sample_id: str, caption: str) -> Card:
        row = self.rows[sample_id]
        return _card("portrait", row, self.portrait(sample_id), svg.portrait_overlay(row), caption, "")

    def photograph_card(self, sample_id: str) -> Card:
        row = self.rows[sample_id]
        caption = f"{row['stage']} · {row['reason'] or row['status']}"
        return _card(
            "photograph", row, self.photograph(sample_id), svg.photograph_overlay(row), caption, row["message"] or ""
        )

    def strip_card(self, sample_id: str) -> Card:
        row, picture = self.rows[sample_id], self.photograph(sample_id)
        small = None if picture is None else shrunk(picture.rgb, STRIP_PX)
        return _card("photograph", row, small, Markup(""), "", row["message"] or "")


def shown_ids(census: Census, numbers: Numbers) -> list[str]:
    """Every sample with a picture on the page."""
    accepted, rejected = sheet_ids(census, numbers)
    ranked = (*numbers.strongest, *numbers.weakest, *numbers.near_misses)
    examples = [i for stage in numbers.funnel for loss in stage.losses for i in loss.examples]
    return sorted({*accepted, *rejected, *examples, *(one.sample_id for one in ranked)})


def sheet_ids(census: Census, numbers: Numbers) -> tuple[list[str], list[str]]:
    """Accepted and rejected samples on the sheets: the first by id, the rejected then by stage and reason."""
    accepted = [i for i, ok in zip(census.ids, census.ok, strict=True) if ok][: numbers.accepted_shown.shown]
    order = {stage.name: k for k, stage in enumerate(numbers.funnel)}
    columns = zip(census.ids, census.column("stage"), census.column("reason"), census.ok, strict=True)
    lost = [(order[stage], reason or "", i) for i, stage, reason, ok in columns if not ok]
    chosen = sorted(lost, key=lambda one: one[2])[: numbers.rejected_shown.shown]
    return accepted, [i for *_, i in sorted(chosen)]


def make_sheets(gallery: Gallery, census: Census, numbers: Numbers) -> Sheets:
    """All cards of the page."""
    accepted, rejected = sheet_ids(census, numbers)
    return Sheets(
        accepted=[gallery.portrait_card(i, _angles(gallery.rows[i])) for i in accepted],
        rejected=[gallery.photograph_card(i) for i in rejected],
        reasons={
            (loss.stage, loss.status, loss.reason): [gallery.strip_card(i) for i in loss.examples]
            for stage in numbers.funnel
            for loss in stage.losses
        },
        ranked={
            "strongest": _ranked(gallery, numbers.strongest),
            "weakest": _ranked(gallery, numbers.weakest),
            "near_misses": _ranked(gallery, numbers.near_misses),
        },
    )


def render(numbers: Numbers, sheets: Sheets) -> str:
    """One self-contained HTML document."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"thousands": lambda n: f"{n:,}", "percent": _percent, "significant": _significant}
    return environment.get_template("report.html.j2").render(
        n=numbers,
        sheets=sheets,
        models=_models(numbers.stages),
        histograms=[(chart, svg.histogram(chart)) for chart in numbers.histograms],
        coverage=[(chart, svg.heat_map(chart)) for chart in numbers.coverage],
    )


def _card(kind: str, row: Row, picture: Picture | None, overlay: Markup, caption: str, note: str) -> Card:
    uri = "" if picture is None else picture.data_uri
    width, height = _size(kind, row) if picture is None else (picture.width, picture.height)
    return Card(kind, row["source_path"], uri, width, height, overlay, caption, note, tuple(_facts(row)))


def _size(kind: str, row: Row) -> tuple[int, int]:
    """What an absent picture would measure, so that overlays still fit."""
    width, height = row.get("source_width"), row.get("source_height")
    return (width, height) if kind == "photograph" and width and height else (1, 1)


def _ranked(gallery: Gallery, entries: Iterable[Ranked]) -> list[Card]:
    return [gallery.portrait_card(one.sample_id, f"{one.score.removeprefix('q_')} {one.value:.2f}") for one in entries]


def _angles(row: Row) -> str:
    return f"yaw {_degrees(row['yaw'])}, pitch {_degrees(row['pitch'])}"


def _facts(row: Row) -> Iterable[tuple[str, str]]:
    yield "sample", row["sample_id"]
    if row["status"] != "ok":
        yield "lost at", f"{row['stage']} ({row['status']}{': ' + row['reason'] if row['reason'] else ''})"
        yield "because", row["message"] or "-"
    elif row.get("split"):
        yield "split", row["split"]
    if row.get("source_width"):
        yield "photograph", f"{row['source_width']} × {row['source_height']} px"
    if row.get("crop_side_px") is not None:
        yield "square", _minus(f"{row['crop_side_px']:.0f} px, rolled {np.degrees(row['crop_roll_rad']):+.1f}°")
    if row.get("yaw") is not None:
        yield "head", f"{_angles(row)}, roll {_degrees(row['roll'])}"
    if row.get("body_fit_rmse_relative") is not None:
        yield "body fit", f"{row['body_fit_rmse_relative']:.1%} of the square's side"
    if row.get("face_fit_rmse") is not None:
        yield "face fit", f"{row['face_fit_rmse']:.1f} px of 512"
    for rule in RULES:
        if row.get(rule.score) is not None:
            yield rule.score, f"{row[rule.score]:.2f}"


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


def _significant(value: float) -> str:
    """About three digits."""
    return _minus(f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}")


def _degrees(angle_rad: float) -> str:
    whole = round(float(np.degrees(angle_rad)))
    return _minus(f"{whole:+d}°") if whole else "0°"


def _minus(text: str) -> str:
    return text.replace("-", "−")
