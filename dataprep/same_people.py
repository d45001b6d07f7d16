"""Who stands in more than one picture: clusters of embeddings, by average linkage.

Two clusters are one person when their members are alike on average. That holds where chains of links would not: among
40,000 faces every face has somebody who looks a little like it, and links that are transitive make one person of them
all. Average linkage also needs no list of pairs: the mean similarity of two clusters is the product of their sums.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

# Embeddings are rounded to integers of this many steps. Their products are then exact in float64, whatever the order
# in which a processor adds them up, and so are sums of some thousand faces: no machine decides otherwise.
_STEPS = 1024
_BLOCK_ROWS = 128  # against 40,000 clusters: three arrays of 41 MB


def same_people(embeddings: Float[np.ndarray, "n k"], min_similarity: float) -> Int[np.ndarray, "n"]:
    """Return a cluster number for each unit vector, counted up in order of first appearance.

    The two clusters that are most alike become one, as long as the mean cosine between their members is at least
    `min_similarity`. Pairs that are each other's nearest are merged at once, which comes to the same, since a merged
    cluster is never nearer to a third than both of its parts. A tie goes to the row that comes first. Memory: a block
    of rows against all clusters.
    """
    faces, face_of_row, counts = np.unique(
        np.rint(np.asarray(embeddings, np.float64) * _STEPS), axis=0, return_inverse=True, return_counts=True
    )
    sums, sizes = faces * counts[:, None], counts.astype(np.float64)
    return _numbered(_merged(sums, sizes, min_similarity * _STEPS**2)[face_of_row.reshape(-1)])


def _merged(sums: Float[np.ndarray, "n k"], sizes: Float[np.ndarray, "n"], least: float) -> Int[np.ndarray, "n"]:
    """Merge until no two are alike enough; returns which one each became part of. `sums` and `sizes` change."""
    merged_into, nearest = np.arange(len(sums)), np.zeros(len(sums), np.intp)
    alive = np.ones(len(sums), bool)  # neither part of another nor without anybody alike, which it would stay
    stale = alive.copy()  # whose nearest is to be looked for
    while stale.any():
        others, alike = np.flatnonzero(alive), alive.copy()
        for rows in _blocks(np.flatnonzero(stale)):
            nearest[rows], alike[rows] = _nearest(rows, others, sums, sizes, least)
        alive = alike
        first = np.flatnonzero(alive & (nearest[nearest] == np.arange(len(sums))) & (nearest > np.arange(len(sums))))
        second = nearest[first]
        sums[first] += sums[second]
        sizes[first] += sizes[second]
        merged_into[second] = first
        alive[second] = False
        changed = np.zeros(len(sums), bool)
        changed[first] = changed[second] = True
        stale = alive & (changed | changed[nearest])
    return _roots(merged_into)


def _nearest(
    rows: Int[np.ndarray, "r"], others: Int[np.ndarray, "m"], sums: Float[np.ndarray, "n k"],
    sizes: Float[np.ndarray, "n"], least: float,
) -> tuple[Int[np.ndarray, "r"], Bool[np.ndarray, "r"]]:  # fmt: skip
    """The one of `others` that each of `rows` is most like, and whether that is enough."""
    similarity = sums[rows] @ sums[others].T / (sizes[rows, None] * sizes[others])
    similarity[others == rows[:, None]] = -np.inf
    return others[similarity.argmax(axis=1)], similarity.max(axis=1) >= least


def _blocks(rows: Int[np.ndarray, "n"]) -> Iterator[Int[np.ndarray, "r"]]:
    for start in range(0, len(rows), _BLOCK_ROWS):
        yield rows[start : start + _BLOCK_ROWS]


def _roots(parent: Int[np.ndarray, "n"]) -> Int[np.ndarray, "n"]:
    """Follow what each cluster became part of to the end."""
    while not np.array_equal(further := parent[parent], parent):
        parent = further
    return parent


def _numbered(labels: Int[np.ndarray, "n"]) -> Int[np.ndarray, "n"]:
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
