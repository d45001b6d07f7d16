"""Bars and histograms of the rows that a filter leaves, beside those of all rows.

Every row's bin is found once and kept as a small number, so that a chart of any filter is one count.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from dataprep.errors import ConfigError
from pipelines.viewer.row_columns import RowColumns, ViewColumn

BINS, MAP_BINS = 40, 24
_NULL_BIN = 255
_TAIL_PERCENT = 0.5  # either end of a histogram gathers what lies beyond, so that one outlier does not flatten it


@dataclass(frozen=True, eq=False)
class _Binned:
    """A bin for every row (`_NULL_BIN` where null) and the bins' edges."""

    bins: UInt8[np.ndarray, " n"]
    edges: np.ndarray


class RowCharts:
    """Counts by value or by bin. Threads may share one."""

    def __init__(self, columns: RowColumns) -> None:
        self._columns = columns
        self._lock = threading.Lock()
        self._binned: dict[tuple[str, int], _Binned] = {}

    def chart(self, name: str, rows: Bool[np.ndarray, " n"]) -> dict[str, Any]:
        """One column's counts, of `rows` and of all; raises ConfigError for a text or a whole list."""
        column = self._columns.described(name)
        counted = {"name": name, "kind": column.kind, "unit": column.unit, "meaning": column.meaning}
        if column.kind == "number":
            binned = self._bins(name, BINS)
            return counted | _counted(binned.bins, BINS, rows) | {"edges": _finite(binned.edges)}
        return counted | self._bars(column, rows)

    def heat(self, across: str, up: str, rows: Bool[np.ndarray, " n"]) -> dict[str, Any]:
        """How many of `rows` fall into each cell of two columns of numbers: `counts[up][across]`."""
        x, y = self._bins(across, MAP_BINS), self._bins(up, MAP_BINS)
        known = rows & (x.bins != _NULL_BIN) & (y.bins != _NULL_BIN)
        cells = np.bincount(y.bins[known].astype(int) * MAP_BINS + x.bins[known], minlength=MAP_BINS * MAP_BINS)
        return {
            "across": across, "up": up, "counts": cells.reshape(MAP_BINS, MAP_BINS).tolist(),
            "across_edges": _finite(x.edges), "up_edges": _finite(y.edges),
            "units": [self._columns.described(name).unit for name in (across, up)],
        }  # fmt: skip

    def _bars(self, column: ViewColumn, rows: Bool[np.ndarray, " n"]) -> dict[str, Any]:
        if column.kind == "flag":
            return {"values": ["false", "true"]} | _counted(self._columns.flags(column.name).astype(np.uint8), 2, rows)
        if column.kind != "word":
            raise ConfigError(f"column {column.name!r} has no chart: it is a {column.kind}")
        words = self._columns.words(column.name)
        shifted = np.where(words.codes < 0, len(words.values), words.codes)
        counts = _counted(shifted, len(words.values) + 1, rows)
        return {"values": [*words.values, "null"], "counts": counts["counts"], "all": counts["all"]}

    def _bins(self, name: str, count: int) -> _Binned:
        if self._columns.described(name).kind != "number":
            raise ConfigError(f"column {name!r} is no number")
        with self._lock:
            if (name, count) not in self._binned:
                self._binned[name, count] = _binned(self._columns.numbers(name), count)
            return self._binned[name, count]


def _binned(numbers: np.ndarray, count: int) -> _Binned:
    known = np.isfinite(numbers)
    bins = np.full(len(numbers), _NULL_BIN, np.uint8)
    if not known.any():
        return _Binned(bins, np.linspace(0, 1, count + 1))
    low, high = np.percentile(numbers[known], [_TAIL_PERCENT, 100 - _TAIL_PERCENT])
    least, most = numbers[known].min(), numbers[known].max()
    low, high = (least, most) if high - low < 1e-12 or (most - least) < 1.5 * (high - low) else (low, high)
    high = high if high > low else low + 1
    inner = np.linspace(low, high, count + 1)
    bins[known] = np.clip(np.floor((numbers[known] - low) / (high - low) * count), 0, count - 1)
    inner[0], inner[-1] = min(inner[0], least), max(inner[-1], most)
    return _Binned(bins, inner)


def _counted(bins: np.ndarray, count: int, rows: Bool[np.ndarray, " n"]) -> dict[str, Any]:
    chosen, whole = (np.bincount(one, minlength=count) for one in (bins[rows], bins))
    return {"counts": chosen[:count].tolist(), "all": whole[:count].tolist(), "null": int(chosen[count:].sum())}


def _finite(edges: np.ndarray) -> list[float]:
    return [float(f"{edge:.6g}") for edge in edges]
