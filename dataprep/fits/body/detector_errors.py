"""How far MediaPipe's body points lie from the body model's regressors, as `measure_detector` found; P = 23 points.

`detector` says what offsets and residuals are; `assumed()` serves bodies that nobody has measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from dataprep.errors import AssetError
from dataprep.models.body.mediapipe_points import POINTS
from dataprep.models.shipped import NOT_SUCH_A_FILE, SHIPPED_FOLDER, read_shipped

DETECTOR_PATH = SHIPPED_FOLDER / "mediapipe_anny.npz"
_P = len(POINTS)


@dataclass(frozen=True, eq=False)
class DetectorModel:
    """Measured errors of MediaPipe on one body model (and, for landmarks, one face model); metres unless said."""

    image_offset_m: Float[np.ndarray, "23 3"]  # T pose
    world_offset_m: Float[np.ndarray, "23 3"]  # T pose, on top of the image offset
    residual_chol: Float[np.ndarray, "115 115"]  # image x y of 23 points, then world x y z; view axes
    landmark_offset_dm: Float[np.ndarray, "3 68 3"]  # 3DMM frame: constant, per rad of pitch, per rad of yaw
    sha256: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


def assumed() -> DetectorModel:
    """No offsets, independent errors of 1 cm in the image and 2.5 cm in the world; limbs worse than the face."""
    spread = np.array([0.5] * 3 + [0.7] * 2 + [0.5] * 2 + [1.0] * 2 + [1.3] * (_P - 9))
    image = 0.012 * np.repeat(spread, 2)
    world = 0.025 * (spread[:, None] * [0.7, 0.7, 1.3]).ravel()
    zeros = np.zeros((_P, 3))
    return DetectorModel(zeros, zeros, np.diag(np.concatenate((image, world))), np.zeros((3, 68, 3)))


def save_detector(path: Path, model: DetectorModel) -> None:
    """Write plain float32 arrays and the meta data as JSON."""
    np.savez_compressed(
        path,
        image_offset_m=model.image_offset_m.astype(np.float32),
        world_offset_m=model.world_offset_m.astype(np.float32),
        residual_chol=model.residual_chol.astype(np.float32),
        landmark_offset_dm=model.landmark_offset_dm.astype(np.float32),
        meta=np.array(json.dumps(dict(model.meta), sort_keys=True)),
    )


def load_detector(path: Path = DETECTOR_PATH) -> DetectorModel:
    """Read measured errors; AssetError when the file is missing or broken."""
    try:
        arrays, meta, sha256 = read_shipped(path)
        return DetectorModel(
            **{key: value.astype(np.float64) for key, value in arrays.items()}, sha256=sha256, meta=meta
        )
    except (*NOT_SUCH_A_FILE, TypeError) as broken:
        raise AssetError(f"detector errors {path.name}: missing or broken ({broken}) in {path.parent}") from broken
