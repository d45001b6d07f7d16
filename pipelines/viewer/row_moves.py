"""What moved between two versions of a data set, row by row: the same columns as `differences`, and the picture.

Amounts of different columns are compared in spreads of each: 1 is what a third of the portraits lie from the middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from dataprep.duplicates import HASH_BYTES
from dataprep.report.census import Census
from dataprep.report.differences import LEAST_CHANGE, change, compared_columns, ends, pairs_of, values_of

PICTURE = "portrait_dhash"
_PICTURE_SPREAD = 16.0  # bits of 256; assumed: near-duplicates differ by at most 10
_NORMAL = 1.4826  # from the median deviation to a normal distribution's standard deviation


@dataclass(frozen=True, eq=False)
class Moves:
    """Pairs of rows (earlier, later) that have one id, and by how much each column moved between them.

    old, new: values of the number of a column that moved most, `which` is its place; NaN where either is missing.
    amount: how far, in the column's own unit (PICTURE: bits). spread: of the column.
    """

    pairs: Int[np.ndarray, "p 2"]
    names: tuple[str, ...]
    old: Float[np.ndarray, "p c"]
    new: Float[np.ndarray, "p c"]
    which: Int[np.ndarray, "p c"]
    amount: Float[np.ndarray, "p c"]
    spread: Float[np.ndarray, " c"]
    ends: tuple[tuple[str, str], ...]
    splits: tuple[tuple[str | None, str | None], ...]
    only_before: Int[np.ndarray, " m"]
    only_after: Int[np.ndarray, " m"]

    @cached_property
    def relative(self) -> Float[np.ndarray, "p c"]:
        """Amounts in spreads, 0 where nothing moved or nothing is known."""
        return np.nan_to_num(np.where(self.amount > LEAST_CHANGE, self.amount / self.spread, 0))

    @cached_property
    def ended_otherwise(self) -> Bool[np.ndarray, " p"]:
        return np.array([a != b for a, b in self.ends], bool)

    @cached_property
    def split_changed(self) -> Bool[np.ndarray, " p"]:
        return np.array([a != b for a, b in self.splits], bool)


def moves(before: Census, after: Census) -> Moves:
    """Pair the rows of two manifests by id and measure every column that both have."""
    pairs = pairs_of(before, after)
    found = [_moved(name, before, after, pairs) for name in compared_columns(before, after)]
    if before.has(PICTURE) and after.has(PICTURE):
        found.append(_picture(before, after, pairs))
    kept = [one for one in found if one is not None]
    old_ends, new_ends = ends(before), ends(after)
    old_splits, new_splits = before.column("split"), after.column("split")

    def columns(name: str) -> np.ndarray:
        return np.stack([getattr(one, name) for one in kept], axis=1) if kept else np.zeros((len(pairs), 0))

    return Moves(
        pairs=pairs,
        names=tuple(one.name for one in kept),
        old=columns("old"),
        new=columns("new"),
        which=columns("which"),
        amount=columns("amount"),
        spread=np.array([one.spread for one in kept], np.float64),
        ends=tuple((old_ends[a], new_ends[b]) for a, b in pairs.tolist()),
        splits=tuple((old_splits[a], new_splits[b]) for a, b in pairs.tolist()),
        only_before=np.setdiff1d(np.arange(len(before)), pairs[:, 0]),
        only_after=np.setdiff1d(np.arange(len(after)), pairs[:, 1]),
    )


@dataclass(frozen=True, eq=False)
class _Column:
    name: str
    old: Float[np.ndarray, " p"]
    new: Float[np.ndarray, " p"]
    which: Int[np.ndarray, " p"]
    amount: Float[np.ndarray, " p"]
    spread: float


def _moved(name: str, before: Census, after: Census, pairs: Int[np.ndarray, "p 2"]) -> _Column | None:
    """None where the two versions' numbers are not of one length, or there are none."""
    old, new = values_of(before, name), values_of(after, name)
    if old.shape[1] != new.shape[1] or not old.shape[1]:
        return None
    spread = _spread(old[before.ok])
    old, new = old[pairs[:, 0]], new[pairs[:, 1]]
    which = np.nan_to_num(np.abs(new - old)).argmax(axis=1)
    at = np.arange(len(pairs))
    return _Column(name, old[at, which], new[at, which], which.astype(np.int16), change(old, new), spread)


def _spread(values: Float[np.ndarray, "n k"]) -> float:
    """Of the widest number of a column: a label's other numbers may hardly vary."""
    known = values[np.isfinite(values).all(axis=1)]
    if not len(known):
        return 1.0
    deviation = _NORMAL * np.median(np.abs(known - np.median(known, axis=0)), axis=0).max()
    return float(deviation) if deviation > 0 else 1.0


def _picture(before: Census, after: Census, pairs: Int[np.ndarray, "p 2"]) -> _Column:
    """By how many bits the portraits' hashes differ."""
    old, new = _hashes(before)[pairs[:, 0]], _hashes(after)[pairs[:, 1]]
    bits = np.unpackbits(old[:, 1:] ^ new[:, 1:], axis=1).sum(axis=1).astype(np.float64)
    none = np.full(len(pairs), np.nan)
    bits = np.where((old[:, 0] > 0) & (new[:, 0] > 0), bits, np.nan)
    return _Column(PICTURE, none, none, np.zeros(len(pairs), np.int16), bits, _PICTURE_SPREAD)


def _hashes(census: Census) -> np.ndarray:
    """One byte that says whether there is a hash, then the hash."""
    empty = bytes(1 + HASH_BYTES)
    joined = b"".join(empty if one is None else b"\1" + one for one in census.column(PICTURE))
    return np.frombuffer(joined, np.uint8).reshape(-1, 1 + HASH_BYTES)
