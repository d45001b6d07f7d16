"""Who stands in more than one picture: clusters of embeddings, by average linkage.

Two clusters are one person when their members are alike on average. That holds where chains of links would not: among
40,000 faces every face has somebody who looks a little like it, and links that are transitive make one person of them
all. Average linkage also needs no list of pairs: the mean similarity of two clusters is the product of their sums.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from dataprep.components import joined, numbered
from dataprep.face_links import STEPS, Faces, all_links

_BLOCK_ROWS = 128  # against 40,000 clusters: three arrays of 41 MB
_TOGETHER = 192  # faces of components that are merged in one go


def same_people(embeddings: Float[np.ndarray, "n k"], min_similarity: float) -> Int[np.ndarray, "n"]:
    """Return a cluster number for each unit vector, counted up in order of first appearance.

    The two clusters that are most alike become one, as long as the mean cosine between their members is at least
    `min_similarity`. Pairs that are each other's nearest are merged at once, which comes to the same, since a merged
    cluster is never nearer to a third than both of its parts. A tie goes to the row that comes first. Memory: a block
    of rows against all clusters.
    """
    faces, face_of_row = distinct_faces(embeddings)
    return numbered(people_of(faces, face_of_row, all_links(faces, min_similarity), min_similarity))


def distinct_faces(embeddings: Float[np.ndarray, "n k"]) -> tuple[Faces, Int[np.ndarray, " n"]]:
    """Return the rounded vectors that differ, sorted, and which of them each row has."""
    rounded = np.rint(np.asarray(embeddings, np.float64) * STEPS).astype(np.int16)
    # Unsigned and with the high byte first, bytes sort as the numbers do; and they sort fast.
    text = (rounded.astype(np.int32) + 0x8000).astype(">u2").view(f"S{2 * rounded.shape[1]}").ravel()
    _, first, face_of_row = np.unique(text, return_index=True, return_inverse=True)
    return rounded[first], face_of_row


def people_of(
    faces: Faces, face_of_row: Int[np.ndarray, " n"], links: Int[np.ndarray, "k 2"], min_similarity: float
) -> Int[np.ndarray, " n"]:
    """Return a label for each row, the same for rows of one person; `links` are those of all faces.

    Clusters are one person when their members are alike on average, so some two of them are: whoever is not linked,
    directly or through others, stays apart.
    """
    counts = np.bincount(face_of_row, minlength=len(faces)).astype(np.float64)
    person = np.arange(len(faces))
    for some in _components(links, len(faces)):
        sums = faces[some] * counts[some, None]
        person[some] = some[_merged(sums, counts[some].copy(), min_similarity * STEPS**2)]
    return person[face_of_row]


def _components(links: Int[np.ndarray, "k 2"], faces: int) -> Iterator[Int[np.ndarray, " m"]]:
    """Linked faces in their order, some components at a time: what is not linked does not meet in a merge either."""
    linked = np.unique(links)
    place = np.full(faces, -1)
    place[linked] = np.arange(len(linked))
    label = joined(place[links], len(linked))
    by_component = linked[np.argsort(label, kind="stable")]
    ends = np.cumsum(np.bincount(label)) if len(linked) else np.zeros(0, int)
    start = 0
    while start < len(linked):
        last = max(np.searchsorted(ends, start, "right"), np.searchsorted(ends, start + _TOGETHER, "right") - 1)
        yield np.sort(by_component[start : ends[last]])
        start = int(ends[last])


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
