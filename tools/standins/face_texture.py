"""A smooth procedural skin texture for the face stand-in: free of anybody's photographs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MEAN_SKIN_RGB = np.array([190.0, 145.0, 122.0])
TEXTURES = 80
_SPREAD_DM = np.array([0.8, 1.1, 0.8])  # half a period of the slowest wave along x, y and z
# Ways in which skin differs, RGB per standard deviation: melanin, blood, yellowness.
_COLOURS = np.array([[-26.0, -25.0, -23.0], [5.0, -6.0, -4.0], [2.0, 1.5, -6.0]])
_DECAY = 2.0  # standard deviation falls as (1 + |wave number|)^-_DECAY


def skin_fields(vertices_dm: Array) -> tuple[Array, Array]:
    """Return the mean colour (3,) in 0-255 and fields (3N, 80): products of cosines times three skin colour axes.

    Ordered from slow to fast waves; the first three change the whole face. Fields have the same scale as
    Deep3DFaceRecon's: colour levels per standard deviation of the coefficient.
    """
    waves = sorted(np.ndindex(5, 5, 3), key=lambda k: (sum(n * n for n in k), k))[: (TEXTURES + 2) // 3]
    phase = np.pi * (vertices_dm + _SPREAD_DM) / (2 * _SPREAD_DM)
    fields = []
    for wave in waves:
        field = np.prod(np.cos(phase * np.array(wave)), axis=1) * (1 + np.linalg.norm(wave)) ** -_DECAY
        fields += [field[:, None] * colour for colour in _COLOURS]
    stacked = np.stack(fields[:TEXTURES], axis=-1)
    return MEAN_SKIN_RGB, stacked.reshape(-1, TEXTURES)


def skin_mask(vertices_dm: Array, landmarks: NDArray[np.int64]) -> Array:
    """Return (N,): 1 on skin, 0 inside the outer lips and the eye openings as seen from the front."""
    mask = np.ones(len(vertices_dm))
    for first, last in ((36, 41), (42, 47), (48, 59)):
        polygon = vertices_dm[landmarks[first : last + 1], :2]
        mask[_inside(vertices_dm[:, :2], polygon) & (vertices_dm[:, 2] > 0)] = 0
    return mask


def _inside(points: Array, polygon: Array) -> NDArray[np.bool_]:
    """Even-odd rule for points (N, 2) and a closed polygon (K, 2); corners count as inside."""
    x, y = points[:, 0, None], points[:, 1, None]
    start, end = polygon, np.roll(polygon, -1, axis=0)
    crosses = (start[:, 1] > y) != (end[:, 1] > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at_x = start[:, 0] + (y - start[:, 1]) * (end[:, 0] - start[:, 0]) / (end[:, 1] - start[:, 1])
    corner = (np.abs(points[:, None] - polygon).max(axis=2) < 1e-9).any(axis=1)
    return ((crosses & (x < at_x)).sum(axis=1) % 2 == 1) | corner
