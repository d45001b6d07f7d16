"""Near-duplicates: a 256-bit difference hash per portrait, and clusters of portraits whose hashes almost agree."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Int, UInt8
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

HASH_SIDE = 16
HASH_BYTES = HASH_SIDE * HASH_SIDE // 8


def difference_hash(rgb: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """32 bytes: is each cell of a 16 x 17 grid brighter than its right neighbour? Robust to scale and compression."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    cells = cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.packbits(cells[:, :-1] > cells[:, 1:]).tobytes()


def clusters(hashes: UInt8[np.ndarray, "n 32"], max_distance: int) -> Int[np.ndarray, "n"]:
    """Cluster number of each hash: hashes at most `max_distance` bits apart are linked, links are transitive.

    Exact: two hashes within d bits agree entirely in at least one of d + 1 bands, so only equal bands are compared.
    Numbers count up in order of first appearance.
    """
    n = len(hashes)
    bits = np.unpackbits(hashes, axis=1) if n else np.zeros((0, 256), np.uint8)
    links: list[Int[np.ndarray, "k 2"]] = []
    for band in np.array_split(np.arange(bits.shape[1]), max_distance + 1):
        links += _links_in_band(hashes, np.packbits(bits[:, band], axis=1), max_distance)
    pairs = np.concatenate(links) if links else np.zeros((0, 2), np.int64)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _links_in_band(
    hashes: UInt8[np.ndarray, "n 32"], band: UInt8[np.ndarray, "n k"], max_distance: int
) -> list[Int[np.ndarray, "k 2"]]:
    _, group = np.unique(band, axis=0, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    links = []
    for members in np.split(order, starts[1:]):
        for position, member in enumerate(members[:-1]):
            rest = members[position + 1 :]
            distance = np.unpackbits(hashes[member] ^ hashes[rest], axis=1).sum(axis=1)
            near = rest[distance <= max_distance]
            if len(near):
                links.append(np.column_stack([np.full(len(near), member), near]))
    return links
