"""What links join: labels of rows that are linked, directly or through others."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def joined(links: Int[np.ndarray, "k 2"], rows: int) -> Int[np.ndarray, " n"]:
    """Which rows are linked, directly or through others: a label each."""
    graph = coo_matrix((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), shape=(rows, rows))
    return connected_components(graph, directed=False)[1]


def numbered(labels: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Labels that count up in order of first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
