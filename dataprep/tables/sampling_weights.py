"""How often training may draw each row, so that rare heads, mouths and skins are seen more often than they occur.

Every row falls into one bin of each axis. Iterative proportional fitting (Deming and Stephan, 1940) looks for weights
under which the bins of every axis are drawn equally often. The weights are bounded: no row is drawn more than `limit`
times as often as another, so that a bin of three pictures does not fill an epoch with them. EG3D repeats the steep
yaws of its pictures for the same reason; here four things are weighed at once, and nothing is stored twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dataprep.tables.labels import LANDMARKS68

SAMPLING_WEIGHT = "sampling_weight"
_HALVINGS = 40  # of the range in which the bound is looked for
_SWEEPS = 40  # what remains after ten is the bound's doing
_INNER_LIPS = ((61, 67), (62, 66), (63, 65))  # upper and lower, iBUG
_NOSE = (27, 33)


@dataclass(frozen=True)
class BalanceAxis:
    """One thing that is evened out: the column it is read from, and the limits between its bins, ascending."""

    name: str
    column: str
    unit: str
    limits: tuple[float, ...]
    bins: tuple[str, ...]
    read: Callable[[np.ndarray], Float[np.ndarray, " n"]]

    @property
    def is_array(self) -> bool:
        """Whether the column holds a list a row."""
        return self.column == LANDMARKS68

    def bin_of(self, values: np.ndarray) -> Int[np.ndarray, " n"]:
        """Return the bin of every row of the column (n, ...), -1 where it is not known (NaN)."""
        numbers = self.read(np.asarray(values, np.float64))
        return np.where(np.isnan(numbers), -1, np.digitize(numbers, self.limits))


def mouth_opening(landmarks68: Float[np.ndarray, "n 136"]) -> Float[np.ndarray, " n"]:
    """Return the gap between the lips over the length of the nose, which a turned head does not shorten."""
    points = landmarks68.reshape(-1, 68, 2)
    gaps = [np.linalg.norm(points[:, upper] - points[:, lower], axis=1) for upper, lower in _INNER_LIPS]
    nose = np.linalg.norm(points[:, _NOSE[0]] - points[:, _NOSE[1]], axis=1)
    return np.divide(np.mean(gaps, axis=0), nose, out=np.full(len(points), np.nan), where=nose > 0)


AXES = (
    BalanceAxis("yaw", "yaw", "deg", (-37.5, -22.5, -7.5, 7.5, 22.5, 37.5),
        ("-38 and less", "-38 to -23", "-23 to -8", "-8 to 8", "8 to 23", "23 to 38", "38 and more"), np.degrees),
    BalanceAxis("pitch", "pitch", "deg", (-15.0, -5.0, 5.0, 15.0),
        ("-15 and less", "-15 to -5", "-5 to 5", "5 to 15", "15 and more"), np.degrees),
    BalanceAxis("mouth", LANDMARKS68, "nose lengths", (0.06, 0.2), ("closed", "ajar", "open"), mouth_opening),
    BalanceAxis("tone", "skin_ita_deg", "deg ITA", (-30.0, 10.0, 28.0, 41.0, 55.0),
        ("dark", "brown", "tan", "intermediate", "light", "very light"), np.asarray),
)  # fmt: skip


def sampling_weights(columns: Mapping[str, np.ndarray], rows: int, limit: float) -> Float[np.ndarray, " n"]:
    """Return the weight of every row, 1 on average.

    columns: by name those of `AXES` that the data set has, (rows, ...), NaN where a row has none; such a row counts for
    the other axes alone. limit: largest weight over smallest, at least 1.
    """
    bins = [axis.bin_of(columns[axis.column]) for axis in AXES if axis.column in columns]
    return evened(bins, rows, limit)


def evened(bins: Sequence[Int[np.ndarray, " n"]], rows: int, limit: float) -> Float[np.ndarray, " n"]:
    """Return bounded weights under which the bins of each axis come as near to equal shares as the bound allows.

    bins: of each axis, by row, -1 where unknown. Rows of the same bins have the same weight.
    """
    if not bins or not rows:
        return np.ones(rows)
    kinds, kind_of_row, counts = np.unique(np.stack(bins, axis=1), axis=0, return_inverse=True, return_counts=True)
    logs = np.zeros(len(kinds))
    for _ in range(_SWEEPS):
        for of_axis in kinds.T:
            logs += _correction(of_axis, counts * np.exp(logs))
        logs = _bounded(logs, counts, np.log(limit))
    weights = np.exp(logs)[kind_of_row.reshape(-1)]
    return weights / weights.mean()


def _correction(bins: Int[np.ndarray, " k"], totals: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Log factor that gives every occupied bin the same share of the totals; 0 without a bin."""
    known = bins >= 0
    if not known.any():
        return np.zeros(len(bins))
    of_bin = np.bincount(bins[known], totals[known])
    factors = np.log(of_bin[of_bin > 0].mean() / np.where(of_bin > 0, of_bin, 1))
    return np.where(known, factors[bins], 0.0)


def _bounded(logs: Float[np.ndarray, " k"], counts: Int[np.ndarray, " k"], width: float) -> Float[np.ndarray, " k"]:
    """Clip to the range of that width which changes the rows least, in the sum of squares (bisection of its slope)."""
    low, high = float(logs.min()) - width, float(logs.max())
    for _ in range(_HALVINGS):
        start = (low + high) / 2
        change = np.clip(logs, start, start + width) - logs
        low, high = (start, high) if float((counts * change).sum()) < 0 else (low, start)
    return np.clip(logs, low, low + width)


def effective_rows(weights: Float[np.ndarray, " n"]) -> float:
    """Return Kish's effective sample size: as many rows of equal weight tell as much."""
    return float(weights.sum() ** 2 / np.square(weights).sum()) if len(weights) else 0.0
