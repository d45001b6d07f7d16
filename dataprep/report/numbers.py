"""Every number of the report, from the manifest and the stages' parameters alone."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataprep.errors import StoreError
from dataprep.files.locations import Location
from dataprep.report.census import Census
from dataprep.report.checks import Finding, run_checks
from dataprep.report.coverage import HeatMap, Ranges, SizeHistogram, heat_maps, label_ranges, size_histograms
from dataprep.report.differences import Difference, difference
from dataprep.report.headroom import REJECTING, headroom
from dataprep.report.health import ColumnHealth, health
from dataprep.report.persons import Persons, persons
from dataprep.report.prior import Prior, prior
from dataprep.report.similar import Similar, similar
from dataprep.stages.base import Stage
from dataprep.stages.quality import RULES, Quality

BINS = 20  # of a score's histogram over [0, 1]


@dataclass(frozen=True)
class Measure:
    """A label whose spread over the accepted portraits is reported."""

    column: str
    title: str
    unit: str
    factor: float = 1.0


MEASURES = (
    Measure("crop_side_px", "side of the portrait square in the photograph", "px"),
    Measure("upsampling", "portrait pixels per photograph pixel", "×"),
    Measure("body_fit_rmse_relative", "key-point error of the body fit", "% of the square's side", 100),
    Measure("face_fit_rmse", "landmark error of the face fit", "px of 512"),
    Measure("head_disagreement_before", "body's head against face's head, before the tie", "°", 180 / np.pi),
    Measure("head_disagreement", "the same after the tie", "°", 180 / np.pi),
    Measure("generator_camera_rms", "joints by the generator's camera against the fitted one", "px of 512"),
    Measure("yaw", "head yaw, positive towards the picture's right", "°", 180 / np.pi),
    Measure("pitch", "head pitch, positive upwards", "°", 180 / np.pi),
    Measure("roll", "head roll, positive towards the picture's right", "°", 180 / np.pi),
    Measure("alpha_softness", "part of the portrait with a soft edge", "%", 100),
)


@dataclass(frozen=True)
class Loss:
    """Images that one stage did not accept for one reason; `sentence` is the first image's message."""

    stage: str
    status: str
    reason: str
    images: int
    sentence: str
    examples: tuple[str, ...]


@dataclass(frozen=True)
class StageCount:
    """What entered a stage and what it passed on."""

    name: str
    rows_in: int
    rows_ok: int
    losses: tuple[Loss, ...]


@dataclass(frozen=True)
class Histogram:
    """One score over every portrait that was judged; bin edges are i / len(counts)."""

    score: str
    desc: str
    threshold: float
    rejects: bool
    counts: tuple[int, ...]
    judged: int
    below: int
    median: float | None
    just_below: tuple[str, ...]  # the portraits nearest to the threshold on its either side, nearest first
    just_above: tuple[str, ...]


@dataclass(frozen=True)
class Spread:
    """Quantiles of one label over the accepted portraits."""

    column: str
    title: str
    unit: str
    images: int
    p5: float
    median: float
    p95: float


@dataclass(frozen=True)
class Ranked:
    """A portrait and the score that lies nearest to (or farthest below) its threshold."""

    sample_id: str
    headroom: float
    score: str
    value: float


@dataclass(frozen=True)
class StageRecord:
    """Where a stage's output comes from."""

    name: str
    version: int
    fingerprint: str
    parameters: Mapping[str, Any]
    models: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class Shown:
    """How many pictures of how many there are on the page."""

    shown: int
    total: int


@dataclass(frozen=True)
class Numbers:
    """report.json."""

    code_version: str
    schema_version: int
    inputs: int
    accepted: int
    splits: Mapping[str, int]
    licences: Mapping[str, int]
    layouts: Mapping[str, int]
    near_duplicates: int
    label_outliers: int
    funnel: tuple[StageCount, ...]
    histograms: tuple[Histogram, ...]
    checks: tuple[Finding, ...]
    coverage: tuple[HeatMap, ...]
    ranges: tuple[Ranges, ...]
    sizes: tuple[SizeHistogram, ...]
    spreads: tuple[Spread, ...]
    prior: Prior | None
    similar: Similar
    persons: Persons | None
    health: tuple[ColumnHealth, ...]
    difference: Difference | None
    strongest: tuple[Ranked, ...]
    weakest: tuple[Ranked, ...]
    near_misses: tuple[Ranked, ...]
    accepted_shown: Shown
    rejected_shown: Shown
    stages: tuple[StageRecord, ...]


@dataclass(frozen=True)
class PageLimits:
    """Pictures on the page, so that its size does not grow with the data set."""

    accepted: int = 360
    rejected: int = 180
    per_reason: int = 6
    ranked: int = 12
    strip: int = 5  # beside a threshold, on either side
    failed: int = 12  # of a check
    clusters: int = 10
    members: int = 4  # of a cluster
    draws: int = 8
    left_out: int = 10


def count(
    census: Census,
    stages: Mapping[str, Stage],
    limits: PageLimits,
    near_duplicate_bits: int = 10,
    earlier: Location | None = None,
) -> Numbers:
    """All numbers; `stages` are the map stages of the data set in their order, `earlier` another version of it."""
    if not len(census):
        raise StoreError("manifest.parquet has no rows; run: shhq-hs run SOURCE --out DIR")
    quality = stages.get("quality")
    thresholds = quality if isinstance(quality, Quality) else Quality()
    strongest, weakest, misses = _ranked(census, thresholds, limits.ranked)
    accepted = int(census.ok.sum())
    return Numbers(
        code_version=census.metadata.get("code_version", ""),
        schema_version=int(census.metadata.get("schema_version", 0)),
        inputs=len(census),
        accepted=accepted,
        splits=_counted(census.column("split")),
        licences=_counted(census.column("license")),
        layouts=_counted(census.column("source_dataset")),
        near_duplicates=sum(bool(rank) for rank in census.column("dup_rank")),
        label_outliers=sum(bool(flag) for flag in census.column("flag_label_outlier")),
        funnel=_funnel(census, [*stages, "manifest"], limits.per_reason),
        histograms=tuple(_histogram(census, rule, getattr(thresholds, rule.threshold), limits.strip) for rule in RULES),
        checks=run_checks(census, limits.failed),
        coverage=heat_maps(census),
        ranges=label_ranges(census),
        sizes=size_histograms(census),
        spreads=tuple(spread for measure in MEASURES if (spread := _spread(census, measure))),
        prior=prior(census, limits.draws, limits.left_out),
        similar=similar(census, near_duplicate_bits, limits.clusters, limits.members),
        persons=persons(census, limits.clusters, limits.members),
        health=health(census),
        difference=difference(earlier, census) if earlier else None,
        strongest=strongest,
        weakest=weakest,
        near_misses=misses,
        accepted_shown=Shown(min(accepted, limits.accepted), accepted),
        rejected_shown=Shown(min(len(census) - accepted, limits.rejected), len(census) - accepted),
        stages=_provenance(census, stages),
    )


def as_json(numbers: Numbers) -> dict[str, Any]:
    """Plain JSON values; floats rounded to six decimals."""
    text = json.dumps(dataclasses.asdict(numbers), default=str)
    return json.loads(text, parse_float=lambda number: round(float(number), 6))


def _counted(values: list[Any]) -> dict[str, int]:
    return dict(sorted(Counter(str(value) for value in values if value is not None).items()))


def _funnel(census: Census, names: Sequence[str], per_reason: int) -> tuple[StageCount, ...]:
    lost: dict[str, dict[tuple[str, str], list[int]]] = {}
    keys = zip(census.column("stage"), census.statuses, census.column("reason"), strict=True)
    for i, (stage, status, reason) in enumerate(keys):
        if status != "ok":
            lost.setdefault(stage, {}).setdefault((status, reason or ""), []).append(i)
    messages = census.column("message")
    counts, rows_in = [], len(census)
    for name in names:
        groups = sorted(lost.get(name, {}).items(), key=lambda group: (-len(group[1]), group[0]))
        losses = []
        for (status, reason), rows in groups:
            examples = tuple(census.ids[i] for i in rows[:per_reason])
            losses.append(Loss(name, status, reason, len(rows), messages[rows[0]] or "", examples))
        rows_ok = rows_in - sum(loss.images for loss in losses)
        counts.append(StageCount(name, rows_in, rows_ok, tuple(losses)))
        rows_in = rows_ok
    return tuple(counts)


def _histogram(census: Census, rule: Any, threshold: float, strip: int) -> Histogram:
    every = census.floats(rule.score)
    values = every[~np.isnan(every)]
    counts, _ = np.histogram(values, bins=BINS, range=(0.0, 1.0))
    median = round(float(np.median(values)), 6) if len(values) else None
    low, high = np.flatnonzero(every < threshold), np.flatnonzero(every >= threshold)
    beside = [rows[np.argsort(abs(every[rows] - threshold), kind="stable")][:strip] for rows in (low, high)]
    return Histogram(
        rule.score, rule.desc, threshold, rule.rejects, tuple(counts.tolist()), len(values), len(low), median,
        *(tuple(census.ids[i] for i in rows) for rows in beside),
    )  # fmt: skip


def _spread(census: Census, measure: Measure) -> Spread | None:
    values = census.floats(measure.column)[census.ok] * measure.factor
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    p5, median, p95 = (round(float(q), 4) for q in np.percentile(values, [5, 50, 95]))
    return Spread(measure.column, measure.title, measure.unit, len(values), p5, median, p95)


def _ranked(census: Census, quality: Quality, limit: int) -> tuple[tuple[Ranked, ...], ...]:
    """Strongest accepted, weakest accepted, and the rejected ones nearest to acceptance."""
    scores = {rule.score: census.floats(rule.score) for rule in REJECTING}
    room = headroom(scores, quality)
    missed = np.array([stage == "quality" for stage in census.column("stage")], bool) & ~np.isnan(room.value)
    accepted = np.flatnonzero(census.ok & ~np.isnan(room.value))
    rising = accepted[np.argsort(room.value[accepted], kind="stable")]
    misses = np.flatnonzero(missed)
    misses = misses[np.argsort(-room.value[misses], kind="stable")]

    def records(rows: np.ndarray) -> tuple[Ranked, ...]:
        names = [REJECTING[room.weakest[i]].score for i in rows]
        return tuple(
            Ranked(census.ids[i], round(float(room.value[i]), 6), name, round(float(scores[name][i]), 6))
            for i, name in zip(rows, names, strict=True)
        )

    return records(rising[::-1][:limit]), records(rising[:limit]), records(misses[:limit])


def _provenance(census: Census, stages: Mapping[str, Stage]) -> tuple[StageRecord, ...]:
    fingerprints = json.loads(census.metadata.get("stages", "{}"))
    return tuple(
        StageRecord(
            name,
            stage.version,
            fingerprints.get(name, ""),
            {field.name: getattr(stage, field.name) for field in dataclasses.fields(stage)},
            tuple(dataclasses.asdict(weight) for weight in stage.weights()),
        )
        for name, stage in stages.items()
    )
