"""Which faces are alike: pairs of unit vectors whose cosine is at least a given one.

Up to `EXACT_FACES` each face is compared with every other. Beyond, with those that share a cell: some faces are pivots,
and every face lies in the cells of its nearest `CELLS_A_FACE` pivots. Work grows with the power 1.5 of the faces, not
with the square. A pair that shares no cell is missed: of random vectors of 32 numbers whose cosine is .86, the least
that the manifest asks, fewer than one in 200; the more alike two faces are, the rarer (`tests/test_face_links.py`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int16, UInt16

# Embeddings are rounded to integers of this many steps. Their products are then exact in float64, whatever the order
# in which a processor adds them up, and so are sums of some thousand faces: no machine decides otherwise. The products
# of two faces are exact in float32, too: of unit vectors no partial sum comes near 2^24.
STEPS = 1024
EXACT_FACES = 1 << 17  # 20 seconds of one core; below, nothing is missed
CELLS_A_FACE = 12  # measured: 8 miss 2% of the pairs at .86, 12 miss 0.1%, 16 cost 1.8 times as much
_LINK_ROWS, _LINK_COLUMNS = 256, 512  # products at a time: 512 KB stay in a core's own cache
_PLACED_AT_A_TIME = 512  # rows whose products with all pivots are in memory

Faces = Int16[np.ndarray, "m k"]  # distinct, in lexicographic order


def links_of_faces(faces: Faces, rows: slice, min_similarity: float) -> Int[np.ndarray, "k 2"]:
    """Return pairs of a face of `rows` and a later one that are alike by `min_similarity` at least."""
    least = np.float32(np.ceil(min_similarity * STEPS**2))  # products are integers
    numbers = faces.astype(np.float32)
    found = [np.zeros((0, 2), np.int64)]
    for start in range(rows.start, rows.stop, _LINK_ROWS):
        some = numbers[start : min(start + _LINK_ROWS, rows.stop)]
        for other in range(start, len(faces), _LINK_COLUMNS):
            alike = some @ numbers[other : other + _LINK_COLUMNS].T >= least
            if alike.any():
                pairs = np.argwhere(alike) + np.array([start, other])
                found.append(pairs[pairs[:, 0] < pairs[:, 1]])
    return np.concatenate(found)


def all_links(faces: Faces, min_similarity: float) -> Int[np.ndarray, "k 2"]:
    """Return the pairs of all faces, in one process."""
    if len(faces) <= EXACT_FACES:
        return links_of_faces(faces, slice(0, len(faces)), min_similarity)
    pivots = pivots_of(faces)
    cells = cells_of(faces, pivots)
    return links_within(faces, cells, range(len(pivots)), min_similarity)


def pivots_of(faces: Faces) -> Faces:
    """Return the faces that cells are around: those whose numbers hash lowest, their count a power of two.

    So a data set that grows keeps almost all of them, and what was found of its earlier rows.
    """
    count = min(len(faces), 1 << round(math.log2(4 * math.sqrt(max(1, len(faces))))))
    chosen = np.argsort(_hashes(faces), kind="stable")[:count]
    return faces[np.sort(chosen)]


def _hashes(faces: Faces) -> np.ndarray:
    """Return a number a face: bits of all its numbers, mixed as FNV-1a does."""
    mixed = np.full(len(faces), 0xCBF29CE484222325, np.uint64)
    for column in faces.T:
        mixed = (mixed ^ column.astype(np.uint16).astype(np.uint64)) * np.uint64(0x100000001B3)
    mixed ^= mixed >> np.uint64(29)
    return mixed * np.uint64(0x9E3779B97F4A7C15)


def cells_of(faces: Faces, pivots: Faces) -> UInt16[np.ndarray, "m c"]:
    """Return the numbers of the nearest pivots of each face; of pivots equally near, the first."""
    around = pivots.astype(np.float32).T
    cells = np.empty((len(faces), min(CELLS_A_FACE, len(pivots))), np.uint16)
    for start in range(0, len(faces), _PLACED_AT_A_TIME):
        alike = faces[start : start + _PLACED_AT_A_TIME].astype(np.float32) @ around
        rows = np.arange(len(alike))
        for place in range(cells.shape[1]):
            nearest = alike.argmax(axis=1)
            cells[start + rows, place] = nearest
            alike[rows, nearest] = -np.inf
    return cells


def shared_out(sizes: Int[np.ndarray, " c"], pairs: int) -> list[range]:
    """Return consecutive cells, as many as have about `pairs` pairs, or one that has more; `sizes`: faces in each."""
    before = np.concatenate([[0], np.cumsum(sizes.astype(np.int64) ** 2 // 2)])
    share = before[:-1] // max(1, pairs)
    starts = [*np.flatnonzero(np.diff(share, prepend=-1)).tolist(), len(sizes)]
    return [range(start, end) for start, end in itertools.pairwise(starts)]


def links_within(
    faces: Faces, cells: UInt16[np.ndarray, "m c"], some: Sequence[int], min_similarity: float
) -> Int[np.ndarray, "k 2"]:
    """Return pairs that are alike and share one of consecutive cells, each pair once."""
    if not len(some) or not len(faces):
        return np.zeros((0, 2), np.int64)
    first, last = some[0], some[-1]
    face, place = np.nonzero((cells >= first) & (cells <= last))
    cell = cells[face, place]
    face = face[np.argsort(cell, kind="stable")]  # within a cell in their order
    ends = np.cumsum(np.bincount(cell - first, minlength=len(some)))
    found = [np.zeros((0, 2), np.int64)]
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        members = face[start:end]
        found.append(members[links_of_faces(faces[members], slice(0, len(members)), min_similarity)])
    pairs = np.concatenate(found)
    single = np.unique(pairs[:, 0] * len(faces) + pairs[:, 1])
    return np.stack(np.divmod(single, max(1, len(faces))), axis=1)
