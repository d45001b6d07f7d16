"""FLAME's parameters of a sample, for the layouts that carry them: where the user has FLAME's files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from dataprep.errors import ConfigError
from dataprep.fits.face.flame_fit import READ, FlameFit, fit_flame
from dataprep.frames import geometry
from dataprep.frames.euler import matrix_from_zyx
from dataprep.models.face.flame import FlameLandmarks, load_flame
from dataprep.tables.labels import BFM_ANGLE, INTRINSICS, LANDMARKS68
from pipelines.commands.layouts.layout_base import Choices


def open_flame(choices: Choices) -> FlameLandmarks | None:
    """Read the user's FLAME; None where none is named. Raises ConfigError where one of two files is, AssetError."""
    if (choices.flame is None) != (choices.flame_landmarks is None):
        raise ConfigError("--flame and --flame-landmarks go together: generic_model.pkl and landmark_embedding.npy")
    return load_flame(choices.flame, choices.flame_landmarks) if choices.flame and choices.flame_landmarks else None


def fitted(
    flame: FlameLandmarks,
    row: Mapping[str, Any],
    crop_px: Float[np.ndarray, "3"] | None = None,
    focal: float | None = None,
) -> FlameFit:
    """Fit FLAME to a sample's landmarks and blendshapes, before the portrait's camera or that of a crop.

    crop_px: left, top and side of a square of the portrait that is brought to the portrait's size, seen by a camera of
    `focal`, normalised by the side: the fit's pixels are those of the crop, and its camera stands so far away that the
    head has its size.
    """
    lens = float(row[INTRINSICS][0, 0])
    points, scale = np.asarray(row[LANDMARKS68], np.float64), 1.0
    if crop_px is not None:
        scale = geometry.PORTRAIT_PX / crop_px[2]
        points = (points - crop_px[:2]) * scale
    focal = lens if focal is None else focal
    expected = Rotation.from_matrix(matrix_from_zyx(np.asarray(row[BFM_ANGLE], np.float64)[::-1])).as_rotvec()
    said = {name: float(row[name]) for name in READ if row.get(name) is not None}
    return fit_flame(flame, points, expected, said, focal, geometry.BODY_UNIT_M * focal / (lens * scale))
