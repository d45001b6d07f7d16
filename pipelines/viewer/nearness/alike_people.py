"""People: who has several photographs, and which two people may be one.

The manifest's `person` is decided by a threshold (docs/people.md). Pairs a little below it are shown to be judged by
eye, those that stand in both splits first: a person who is validated on what was trained on is the costly mistake.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dataprep.errors import ConfigError
from dataprep.report.census import Census
from dataprep.stages.manifest import Manifest
from pipelines.viewer.nearness.feature_rows import likeness_rows
from pipelines.viewer.nearness.nearest_rows import blocks

LEAST_COSINE = 0.75  # assumed; the most alike of 740 pairs of real strangers have .84 (docs/people.md)
_MOST_PAIRS = 500
_MOST_A_BLOCK = 4096


@dataclass(frozen=True)
class RepeatedPerson:
    """Someone with several photographs: rows of the manifest, and the splits they stand in."""

    rows: tuple[int, ...]
    splits: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Two people who resemble each other: the mean cosine between their photographs."""

    cosine: float
    first: tuple[int, ...]
    second: tuple[int, ...]
    splits: tuple[str, ...]

    @property
    def across(self) -> bool:
        return len(self.splits) > 1


@dataclass(frozen=True)
class AlikePeople:
    """People by the manifest, those in both splits first; and pairs of them, those across splits first."""

    photographs: int
    people: int
    repeated: tuple[RepeatedPerson, ...]
    pairs: tuple[Pair, ...]


def people_of(census: Census, least_cosine: float = LEAST_COSINE) -> AlikePeople:
    """Among the selected portraits; raises ConfigError on a manifest that does not tell people apart."""
    if not census.has("person"):
        raise ConfigError(
            f"{census.path}: the manifest has no column person; run `shhq-hs run SOURCE --out DIR` again on it"
        )
    splits = census.column("split")
    rows_of: dict[str, list[int]] = {}
    for row, person in enumerate(census.column("person")):
        if person is not None and census.selected[row]:
            rows_of.setdefault(person, []).append(row)
    everybody = list(rows_of.values())
    repeated = [RepeatedPerson(tuple(rows), _splits(rows, splits)) for rows in everybody if len(rows) > 1]
    repeated.sort(key=lambda one: (-len(one.splits), -len(one.rows), one.rows))
    pairs = _pairs(census, everybody, splits, least_cosine)
    return AlikePeople(sum(map(len, everybody)), len(everybody), tuple(repeated), tuple(pairs))


def _pairs(census: Census, everybody: list[list[int]], splits: list[str], least: float) -> list[Pair]:
    """Pairs of people by mean cosine; a face that says little takes no part, as in the manifest."""
    features = likeness_rows(census)
    trusted = census.floats("likeness_self") >= Manifest.min_likeness_self
    kept, sums = [], []
    for rows in everybody:
        places = [place for row in rows if trusted[row] and (place := features.place(row)) is not None]
        if places:
            kept.append(rows)
            sums.append(features.vectors[places].mean(axis=0))
    if len(kept) < 2:
        return []
    first, second, cosines = _alike(np.array(sums, np.float32), least)
    found = [
        Pair(round(float(cosine), 4), tuple(kept[a]), tuple(kept[b]), _splits([*kept[a], *kept[b]], splits))
        for a, b, cosine in zip(first.tolist(), second.tolist(), cosines, strict=True)
    ]
    found.sort(key=lambda one: (-one.across, -one.cosine, one.first))
    return found[:_MOST_PAIRS]


def _alike(
    means: Float[np.ndarray, "p k"], least: float
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Pairs of rows (the smaller first) whose product is at least `least`; of each block the highest alone."""
    found = []
    for rows in blocks(len(means)):
        products = means[rows] @ means.T
        products[np.arange(len(means)) <= np.arange(len(means))[rows][:, None]] = -np.inf
        a, b = np.nonzero(products >= least)
        best = np.argsort(-products[a, b], kind="stable")[:_MOST_A_BLOCK]
        found.append((a[best] + rows.start, b[best], products[a[best], b[best]]))
    a, b, cosines = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return a, b, cosines


def _splits(rows: list[int], splits: list[str]) -> tuple[str, ...]:
    return tuple(sorted({splits[row] for row in rows if splits[row]}))
