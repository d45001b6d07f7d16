"""How far the mesh detector's 68 landmarks lie from the face model's, and how those errors go together.

Two parts, as for body points (`detector.py`): *offsets*, where the detector puts a landmark on this face, with slopes
against the head's pitch and yaw (it sees turned heads as less turned than they are); and the *covariance* of what is
left. Errors of one picture go together: a whole brow sits too high, a whole eye too far out. A fit that takes them for
independent reads such a shift as an expression. `measure_landmarks` makes the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from dataprep.errors import AssetError
from dataprep.frames.face_frames import pitch_yaw_of_head
from dataprep.models.shipped import NOT_SUCH_A_FILE, SHIPPED_FOLDER, read_shipped

LANDMARK_ERRORS_PATH = SHIPPED_FOLDER / "landmarks_anny.npz"


@dataclass(frozen=True, eq=False)
class LandmarkErrors:
    """Decimetres at the face; image x right, y up."""

    offset_dm: Float[np.ndarray, "3 68 3"]  # face frame: constant, per rad of pitch, per rad of yaw
    covariance_dm2: Float[np.ndarray, "136 136"] | None  # x and y of each landmark in turn; None: not measured
    sha256: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    def at(self, head_from_face: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "68 3"]:
        """The landmarks' offsets at a head rotation, face frame."""
        pitch, yaw = pitch_yaw_of_head(head_from_face)
        return self.offset_dm[0] + pitch * self.offset_dm[1] + yaw * self.offset_dm[2]

    def for_another_face(self) -> LandmarkErrors:
        """What is the detector's alone, for a face model whose landmarks nobody has compared with it: the slopes.

        Constant offsets and covariance belong to one model's landmarks. The covariance without the constants would
        trust small differences between landmarks that the unknown constants swamp (head 4.3 degrees off, not 3.2).
        """
        slopes = self.offset_dm.copy()
        slopes[0] = 0
        return replace(self, offset_dm=slopes, covariance_dm2=None)


def save_landmark_errors(path: Path, errors: LandmarkErrors) -> None:
    """Write plain float32 arrays and the meta data as JSON."""
    assert errors.covariance_dm2 is not None
    np.savez_compressed(
        path,
        offset_dm=errors.offset_dm.astype(np.float32),
        covariance_dm2=errors.covariance_dm2.astype(np.float32),
        meta=np.array(json.dumps(dict(errors.meta), sort_keys=True)),
    )


def load_landmark_errors(path: Path = LANDMARK_ERRORS_PATH) -> LandmarkErrors:
    """Read measured errors; AssetError when the file is missing or broken."""
    try:
        arrays, meta, sha256 = read_shipped(path)
        offset, covariance = (arrays[key].astype(np.float64) for key in ("offset_dm", "covariance_dm2"))
        np.linalg.cholesky(covariance)
        return LandmarkErrors(offset, covariance, sha256, meta)
    except (*NOT_SUCH_A_FILE, TypeError, np.linalg.LinAlgError) as broken:
        raise AssetError(f"landmark errors {path.name}: missing or broken ({broken}) in {path.parent}") from broken
