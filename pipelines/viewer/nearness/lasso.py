"""Which points lie inside a drawn outline."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from dataprep.errors import ConfigError

_MOST_CORNERS = 2000


def inside(points: Float[np.ndarray, "n 2"], corners: Float[np.ndarray, "c 2"]) -> Bool[np.ndarray, " n"]:
    """Whether a line from each point to the right crosses the closed outline an odd number of times."""
    found = np.zeros(len(points), bool)
    x, y = points[:, 0], points[:, 1]
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        spans = (ay > y) != (by > y)
        if ay != by:
            found ^= spans & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return found


def corners_of(content: object) -> Float[np.ndarray, "c 2"]:
    """The corners a page sent; raises ConfigError unless they are 3 to 2,000 pairs of finite numbers."""
    try:
        corners = np.array(content, np.float64)
    except (TypeError, ValueError):
        corners = np.zeros(0)
    if corners.ndim != 2 or corners.shape[1] != 2 or not np.isfinite(corners).all():
        raise ConfigError("an outline is a list of corners [x, y], all finite numbers")
    if not 3 <= len(corners) <= _MOST_CORNERS:
        raise ConfigError(f"an outline of {len(corners):,} corners: expected 3 to {_MOST_CORNERS:,}")
    return corners
