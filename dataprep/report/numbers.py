"""Every number of the report, from the manifest and the stages' parameters alone."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.errors import StoreError
from dataprep.report.headroom import REJECTING, headroom
from dataprep.schema import rows_from_table
from dataprep.stages.base import Stage
from dataprep.stages.quality import RULES, Quality

BINS = 20  # of a score's histogram over [0, 1]
CELL_DEG = 10.0  # side of a cell of the coverage maps
_SCALARS = (
    *("sample_id", "status", "stage", "reason", "message", "selected", "split", "dup_cluster", "dup_rank"),
    *("flag_label_outlier", "source_path", "license", "source_dataset", "yaw", "pitch", "roll", "camera_pitch_yaw"),
    *("crop_side_px", "upsampling", "alpha_softness", "body_fit_rmse_relative", "face_fit_rmse"),
    *("head_disagreement_before", "head_disagreement"),
)


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


@dataclass(frozen=True)
class HeatMap:
    """Accepted portraits by two angles; `counts[row][column]`, rows from the highest pitch down."""

    title: str
    caption: str
    yaw_edges_deg: tuple[float, ...]
    pitch_edges_deg: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]
    outside: int


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
    coverage: tuple[HeatMap, ...]
    spreads: tuple[Spread, ...]
    strongest: tuple[Ranked, ...]
    weakest: tuple[Ranked, ...]
    near_misses: tuple[Ranked, ...]
    accepted_shown: Shown
    rejected_shown: Shown
    stages: tuple[StageRecord, ...]


@dataclass(frozen=True)
class Limits:
    """Pictures on the page, so that its size does not grow with the data set."""

    accepted: int
    rejected: int
    per_reason: int
    ranked: int


class Census:
    """The manifest's scalar columns, in the order of the ids (which are hashes: any prefix is a random sample)."""

    def __init__(self, root: Path) -> None:
        self._path = root / "manifest.parquet"
        schema = pq.read_schema(self._path)
        present = set(schema.names)
        names = [name for name in (*_SCALARS, *(rule.score for rule in RULES)) if name in present]
        self._table = pq.read_table(self._path, columns=names, partitioning=None)
        self.metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        self.ids: list[str] = self.column("sample_id")
        self.statuses: list[str] = self.column("status")
        self.ok = np.array([status == "ok" for status in self.statuses], bool)

    def __len__(self) -> int:
        return len(self.ids)

    def column(self, name: str) -> list[Any]:
        """Values in id order; all None when the manifest has no such column."""
        return self._table[name].to_pylist() if name in self._table.column_names else [None] * len(self._table)

    def floats(self, name: str) -> np.ndarray:
        """(n,) float64, NaN where null."""
        return np.array([np.nan if value is None else value for value in self.column(name)], np.float64)

    def samples(self, ids: Sequence[str], columns: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Full rows of a few samples, arrays in their shape, by id."""
        present = set(pq.read_schema(self._path).names)
        names = ["sample_id", *(name for name in columns if name in present and name != "sample_id")]
        wanted = set(ids)
        mask = pa.array([sample_id in wanted for sample_id in self.ids])
        table = pq.read_table(self._path, columns=names, partitioning=None).filter(mask)
        return {row["sample_id"]: row for row in rows_from_table(table)}


def count(census: Census, stages: Mapping[str, Stage], limits: Limits) -> Numbers:
    """All numbers; `stages` are the map stages of the data set in their order."""
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
        histograms=tuple(_histogram(census, rule, getattr(thresholds, rule.threshold)) for rule in RULES),
        coverage=_coverage(census),
        spreads=tuple(spread for measure in MEASURES if (spread := _spread(census, measure))),
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


def _histogram(census: Census, rule: Any, threshold: float) -> Histogram:
    values = census.floats(rule.score)
    values = values[~np.isnan(values)]
    counts, _ = np.histogram(values, bins=BINS, range=(0.0, 1.0))
    median = round(float(np.median(values)), 6) if len(values) else None
    below = int((values < threshold).sum())
    return Histogram(rule.score, rule.desc, threshold, rule.rejects, tuple(counts.tolist()), len(values), below, median)


def _coverage(census: Census) -> tuple[HeatMap, ...]:
    head = np.degrees(np.stack([census.floats("yaw"), census.floats("pitch")]))[:, census.ok]
    cameras = [value for value, ok in zip(census.column("camera_pitch_yaw"), census.ok, strict=True) if ok and value]
    # pi/2 is straight in front; smaller angles are the subject's left and above (dataprep.fits.camera)
    chest = 90 - np.degrees(np.array(cameras, np.float64).reshape(-1, 2)).T
    return (
        _heat_map("Head", "yaw towards the picture's right, pitch upwards (3DMM)", head[0], head[1]),
        _heat_map("Camera around the chest", "yaw to the person's left, pitch from above (SMPL)", chest[1], chest[0]),
    )


def _heat_map(title: str, caption: str, yaw_deg: np.ndarray, pitch_deg: np.ndarray) -> HeatMap:
    yaw_edges, pitch_edges = np.arange(-90, 91, CELL_DEG), np.arange(-50, 51, CELL_DEG)
    known = ~(np.isnan(yaw_deg) | np.isnan(pitch_deg))
    counts, _ = np.histogramdd((pitch_deg[known], yaw_deg[known]), bins=[pitch_edges, yaw_edges])
    grid = counts[::-1].astype(int)
    return HeatMap(
        title, caption, tuple(yaw_edges.tolist()), tuple(pitch_edges.tolist()),
        tuple(map(tuple, grid.tolist())), int(known.sum() - grid.sum()),
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
