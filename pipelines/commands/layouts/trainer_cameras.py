"""Camera labels as a trainer's rays want them, and their mirror images.

EG3D's FFHQ settings sample each ray from 2.25 to 3.3 units of its camera, which stands at 2.7. Ours stands at 1.895
face units, so that the whole subject lies before the first sample. The same picture is true of a world that is larger
by 2.7 / 1.895: only the camera's place changes, neither its turn nor the 12 degrees of its field of view. What our own
generator samples, 1.675 to 2.115, is 2.39 to 3.01 there, and the picture is 0.57 wide in a box of side 1 (`box_warp`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from dataprep.errors import ConfigError
from dataprep.fits.generator_labels import PORTRAIT_RADIUS
from dataprep.tables.labels import CAM2WORLD, INTRINSICS, LABELS

CAMERAS = {"ours": PORTRAIT_RADIUS, "eg3d": 2.7}  # distance of the camera from the look-at point
EG3D_RAYS = (2.25, 3.3)  # ray_start and ray_end of EG3D's FFHQ settings
_EG3D = tuple(label.name for label in LABELS if label.in_eg3d)
_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


def radius_of(name: str, default: str) -> float:
    """Return how far away the camera of this name stands; raises ConfigError for a name that is none."""
    if (name or default) not in CAMERAS:
        raise ConfigError(f"--camera {name!r}: expected {' or '.join(CAMERAS)}")
    return CAMERAS[name or default]


def camera_of(row: Mapping[str, Any], radius: float) -> Float[np.ndarray, "4 4"]:
    """Return camera to world (OpenCV axes) in a world whose portrait camera stands at `radius`."""
    matrix = np.array(row[CAM2WORLD], np.float64)
    matrix[:3, 3] *= radius / PORTRAIT_RADIUS
    return matrix


def mirrored_camera(matrix: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "4 4"]:
    """Return the camera of the mirrored picture: world and picture both exchange left and right."""
    return _MIRROR @ matrix @ _MIRROR


def numbers25(row: Mapping[str, Any], radius: float, mirrored: bool = False) -> list[float]:
    """Return EG3D's 25 numbers, 16 of the camera and 9 of its intrinsics, row-major."""
    matrix, lens = camera_of(row, radius), np.array(row[INTRINSICS], np.float64)
    if mirrored:
        matrix = mirrored_camera(matrix)
        lens[0, 2] = 1 - lens[0, 2]
    return np.concatenate([matrix.ravel(), lens.ravel()]).round(7).tolist()
