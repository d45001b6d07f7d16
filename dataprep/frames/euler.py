"""Euler angles of one rotation in numpy: R_z R_y R_x, column vectors.

`frames.rotations` has them for batches of tensors; stages that declare labels import this one, since torch alone would
be half of a driver's memory. A test holds the two together.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def matrix_from_zyx(angles_rad: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """R_z R_y R_x of angles listed in the order z, y, x."""
    z, y, x = (_turn(axis, angle) for axis, angle in zip((2, 1, 0), angles_rad, strict=True))
    return z @ y @ x


def zyx_from_matrix(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3"]:
    """Inverse of `matrix_from_zyx`; y in [-pi/2, pi/2]."""
    r = rotation
    return np.array([np.arctan2(r[1, 0], r[0, 0]), -np.arcsin(np.clip(r[2, 0], -1, 1)), np.arctan2(r[2, 1], r[2, 2])])


def _turn(axis: int, angle_rad: float) -> np.ndarray:
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out = np.eye(3)
    out[i, i] = out[j, j] = np.cos(angle_rad)
    out[j, i], out[i, j] = np.sin(angle_rad), -np.sin(angle_rad)
    return out
