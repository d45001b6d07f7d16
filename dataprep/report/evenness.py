"""How evenly the accepted portraits spread over heads, mouths and skin tones, before and after sampling weights.

Beside them, only where `balance.apparent` was asked for, how old and of which sex people look to the networks.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dataprep.report.census import Census
from dataprep.stages.aggregate import DatasetView
from dataprep.stages.balance import APPARENT_AGE, APPARENT_FEMALE, Balance
from dataprep.tables.sampling_weights import AXES, SAMPLING_WEIGHT, BalanceAxis, effective_rows

_TITLES = {
    "yaw": "Head yaw, towards the picture's right", "pitch": "Head pitch, upwards", "mouth": "Mouth",
    "tone": "Skin tone, by the typology angle in the photograph's light",
}  # fmt: skip
_AGES = (0, 20, 30, 40, 50, 60, 70)


@dataclass(frozen=True)
class BalanceBin:
    """One bin of an axis. `share` is its part of what training draws by the weights, `judged` are all with a value."""

    name: str
    judged: int
    accepted: int
    part: float  # of the accepted
    share: float


@dataclass(frozen=True)
class BalanceTable:
    """An axis over the accepted portraits; `unknown` of them have no value."""

    axis: str
    title: str
    unit: str
    bins: tuple[BalanceBin, ...]
    unknown: int


@dataclass(frozen=True)
class AgeBin:
    """Accepted faces that look to be of such an age."""

    name: str
    accepted: int
    part: float


@dataclass(frozen=True)
class ApparentLooks:
    """How old accepted faces look, and the part of them that looks female to the network."""

    faces: int
    ages: tuple[AgeBin, ...]
    female: float


@dataclass(frozen=True)
class BalanceNumbers:
    """The report's section; no tables where the data set has no weights (earlier versions)."""

    tables: tuple[BalanceTable, ...]
    weighted: int  # rows of the training split
    effective: float  # that tell as much as those, by Kish
    smallest: float
    largest: float


def balance(census: Census) -> BalanceNumbers:
    """Count the bins of every axis that the data set has a column for."""
    if not census.has(SAMPLING_WEIGHT):
        return BalanceNumbers((), 0, 0.0, 0.0, 0.0)
    every = census.floats(SAMPLING_WEIGHT)
    weights = every[~np.isnan(every)]
    tables = tuple(_table(census, axis, every) for axis in AXES if census.has(axis.column))
    low, high = (float(weights.min()), float(weights.max())) if len(weights) else (0.0, 0.0)
    return BalanceNumbers(tables, len(weights), effective_rows(weights), low, high)


def _table(census: Census, axis: BalanceAxis, weights: Float[np.ndarray, " n"]) -> BalanceTable:
    values = census.matrix(axis.column) if axis.is_array else census.floats(axis.column)
    bins = axis.bin_of(values)
    drawn = np.where(np.isnan(weights), 0, weights)
    total = max(float(drawn[bins >= 0].sum()), 1e-9)
    known = int((census.ok & (bins >= 0)).sum())
    rows = tuple(_bin(name, bins == i, census.ok, known, float(drawn[bins == i].sum()) / total)
                 for i, name in enumerate(axis.bins))  # fmt: skip
    return BalanceTable(axis.name, _TITLES[axis.name], axis.unit, rows, int(census.ok.sum()) - known)


def _bin(name: str, inside: Bool[np.ndarray, " n"], ok: Bool[np.ndarray, " n"], known: int, share: float) -> BalanceBin:
    accepted = int((inside & ok).sum())
    return BalanceBin(name, int(inside.sum()), accepted, accepted / max(known, 1), share)


def apparent_looks(census: Census, view: DatasetView) -> ApparentLooks | None:
    """Distributions over the accepted faces; None unless `balance.apparent` was asked for and a face was read."""
    stage = view.stages.get("balance")
    if not isinstance(stage, Balance) or not stage.apparent:
        return None
    table = view.table("balance", ["sample_id", APPARENT_AGE, APPARENT_FEMALE])
    accepted = {name for name, ok in zip(census.ids, census.ok, strict=True) if ok}
    chosen = np.array([name in accepted for name in table["sample_id"].to_pylist()], bool)
    age, female = (table[name].to_numpy().astype(np.float64)[chosen] for name in (APPARENT_AGE, APPARENT_FEMALE))
    age, female = age[~np.isnan(age)], female[~np.isnan(female)]
    if not len(age):
        return None
    counts = np.histogram(age, [*_AGES, np.inf])[0].tolist()
    names = [f"{low} to {high - 1}" for low, high in itertools.pairwise(_AGES)] + [f"{_AGES[-1]} and more"]
    ages = tuple(AgeBin(name, n, n / len(age)) for name, n in zip(names, counts, strict=True))
    return ApparentLooks(len(age), ages, float((female > 0.5).mean()))
