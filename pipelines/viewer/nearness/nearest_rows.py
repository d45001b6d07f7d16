"""Nearest neighbours by the cosine of unit vectors: exact, by products of blocks of rows with all others.

An index that answers approximately would save nothing here: 40,000 rows of 32 numbers against each other are 51
thousand million multiplications, a few seconds of one core.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

_BLOCK_ROWS = 256  # against 40,000 rows: 41 MB of cosines


def nearest(
    vectors: Float[np.ndarray, "m k"], place: int, count: int
) -> tuple[Int[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """The `count` places most like `place`, itself left out, and their cosines; equal ones in their order."""
    cosines = vectors @ vectors[place]
    cosines[place] = -np.inf
    order = np.argsort(-cosines, kind="stable")[: min(count, len(vectors) - 1)]
    return order, cosines[order]


def all_nearest(
    vectors: Float[np.ndarray, "m k"], count: int
) -> tuple[Int[np.ndarray, "m c"], Float[np.ndarray, "m c"]]:
    """`nearest` of every place: the same cosines, and the same places but among equal ones at the end."""
    count = min(count, len(vectors) - 1)
    places = np.empty((len(vectors), count), np.int32)
    cosines = np.empty((len(vectors), count), np.float32)
    for rows in blocks(len(vectors)):
        products = vectors[rows] @ vectors.T
        products[np.arange(len(products)), np.arange(len(vectors))[rows]] = -np.inf
        best = np.argpartition(products, len(vectors) - count, axis=1)[:, len(vectors) - count :]
        best.sort(axis=1)  # by place, so that a stable sort by cosine keeps equal ones in their order
        values = np.take_along_axis(products, best, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        places[rows] = np.take_along_axis(best, order, axis=1)
        cosines[rows] = np.take_along_axis(values, order, axis=1)
    return places, cosines


def blocks(rows: int) -> Iterator[slice]:
    """All rows, some hundred at a time."""
    for start in range(0, rows, _BLOCK_ROWS):
        yield slice(start, min(start + _BLOCK_ROWS, rows))
