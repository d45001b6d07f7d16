"""Two versions of a data set side by side: what came, went, changed its fate, and how the labels moved."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dataprep.files.locations import Location
from dataprep.report.census import Census
from dataprep.stages.quality import RULES
from dataprep.tables.labels import trained

LEAST_CHANGE = 1e-6  # below it a value counts as the same
_LABELS = ("yaw", "pitch", "roll", *(label.name for label in trained()))


@dataclass(frozen=True)
class Fate:
    """Rows of both versions that ended one way in the earlier and another way in the later."""

    before: str
    after: str
    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Shift:
    """One column over the rows that both versions accepted: how far its values moved."""

    column: str
    rows: int
    changed: int
    median_before: float
    median_after: float
    largest_change: float


@dataclass(frozen=True)
class Difference:
    """`earlier` against the data set at hand."""

    inputs_before: int
    inputs_after: int
    accepted_before: int
    accepted_after: int
    added: int
    removed: int
    split_changed: int
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    stages_changed: tuple[str, ...]
    fates: tuple[Fate, ...]
    shifts: tuple[Shift, ...]


def difference(earlier: Location, census: Census, examples: int = 6) -> Difference:
    """Compare the manifest of `earlier` (a data set's folder, or a manifest) with `census`; rows are paired by id."""
    before = Census(earlier)
    pairs = pairs_of(before, census)
    old_splits, new_splits = before.column("split"), census.column("split")
    both = [(a, b) for a, b in pairs.tolist() if before.selected[a] and census.selected[b]]
    return Difference(
        inputs_before=len(before),
        inputs_after=len(census),
        accepted_before=int(before.ok.sum()),
        accepted_after=int(census.ok.sum()),
        added=len(census) - len(pairs),
        removed=len(before) - len(pairs),
        split_changed=sum(old_splits[a] != new_splits[b] for a, b in both),
        columns_added=tuple(sorted(set(census.schema.names) - set(before.schema.names))),
        columns_removed=tuple(sorted(set(before.schema.names) - set(census.schema.names))),
        stages_changed=_stages_changed(before, census),
        fates=_fates(before, census, pairs, examples),
        shifts=_shifts(before, census, pairs),
    )


def pairs_of(before: Census, after: Census) -> Int[np.ndarray, "p 2"]:
    """Rows (earlier, later) that have one id, in the later one's order."""
    places = {sample_id: i for i, sample_id in enumerate(before.ids)}
    return np.array([(places[name], i) for i, name in enumerate(after.ids) if name in places], int).reshape(-1, 2)


def _stages_changed(before: Census, after: Census) -> tuple[str, ...]:
    old, new = (json.loads(census.metadata.get("stages", "{}")) for census in (before, after))
    return tuple(name for name in new if old.get(name) != new[name])


def _fates(before: Census, after: Census, pairs: np.ndarray, examples: int) -> tuple[Fate, ...]:
    old, new = ends(before), ends(after)
    moved: dict[tuple[str, str], list[str]] = {}
    for a, b in pairs.tolist():
        if old[a] != new[b]:
            moved.setdefault((old[a], new[b]), []).append(after.ids[b])
    order = sorted(moved.items(), key=lambda one: (-len(one[1]), one[0]))
    return tuple(Fate(*key, len(ids), tuple(ids[:examples])) for key, ids in order)


def ends(census: Census) -> list[str]:
    """How each row ended, in words: accepted, or the stage and the reason."""
    columns = zip(census.statuses, census.column("stage"), census.column("reason"), strict=True)
    return ["accepted" if status == "ok" else f"{stage}: {reason or status}" for status, stage, reason in columns]


def _shifts(before: Census, after: Census, pairs: np.ndarray) -> tuple[Shift, ...]:
    kept = pairs[before.ok[pairs[:, 0]] & after.ok[pairs[:, 1]]] if len(pairs) else pairs
    found = []
    for column in compared_columns(before, after) if len(kept) else ():
        old, new = values_of(before, column)[kept[:, 0]], values_of(after, column)[kept[:, 1]]
        if old.shape == new.shape and old.size:
            found.append(_shift(column, old, new))
    return tuple(sorted(found, key=lambda shift: -shift.changed))


def compared_columns(before: Census, after: Census) -> tuple[str, ...]:
    """Scores and labels that both have."""
    columns = (*(rule.score for rule in RULES), *_LABELS)
    return tuple(column for column in columns if before.has(column) and after.has(column))


def values_of(census: Census, column: str) -> Float[np.ndarray, "n k"]:
    """A column's numbers, one row a sample, NaN where null; k is 1 for a scalar."""
    listed = str(census.schema.field(column).type).startswith("list")
    return census.matrix(column).astype(np.float64) if listed else census.floats(column)[:, None]


def change(old: Float[np.ndarray, "p k"], new: Float[np.ndarray, "p k"]) -> Float[np.ndarray, " p"]:
    """How far each row moved: the most of its numbers, NaN where one is missing."""
    return np.abs(new - old).max(axis=1)


def _shift(column: str, old: np.ndarray, new: np.ndarray) -> Shift:
    moved = np.nan_to_num(change(old, new))
    return Shift(
        column, len(old), int((moved > LEAST_CHANGE).sum()), round(float(np.nanmedian(old)), 6),
        round(float(np.nanmedian(new)), 6), round(float(moved.max()), 6),
    )  # fmt: skip
