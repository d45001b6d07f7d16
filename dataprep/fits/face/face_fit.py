"""The result of a 3DMM fit, in the terms the manifest stores, and the numbers of the landmark fit (`face3dmm`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dataprep.frames.face_frames import Alignment, head_from_3dmm, project_224


@dataclass(frozen=True)
class FaceFitConfig:
    """Noise levels in px at 224 and prior widths; the coefficients' prior is N(0, 1)."""

    landmark_sigma_px: float = 3.0  # of landmarks whose errors were not measured
    jaw_weight: float = 0.35  # ... and with it the weights of the jaw
    far_jaw_weight: float = 0.08  # beyond `far_yaw_deg` the detector slides the far contour along the visible edge
    far_yaw_deg: tuple[float, float] = (15.0, 45.0)
    measured_scale: float = 1.1  # on measured errors: photographs vary more than renderings
    depth_sigma_dm: float = 0.3
    iterations: int = 12
    tolerance: float = 1e-4


@dataclass(frozen=True, eq=False)
class FaceFit:
    """Coefficients in Deep3DFaceRecon's order and units, and how they were obtained."""

    identity: Float[np.ndarray, "80"]
    expression: Float[np.ndarray, "64"]
    angle_rad: Float[np.ndarray, "3"]
    trans_dm: Float[np.ndarray, "3"]
    sigma: Float[np.ndarray, "144"]  # posterior standard deviations under the normal prior, identity first
    rotation_sigma_rad: float
    alignment: Alignment
    rmse_224_px: float
    iterations: int

    @property
    def head_from_face(self) -> Float[np.ndarray, "3 3"]:
        return head_from_3dmm(self.angle_rad)

    @property
    def rmse_px(self) -> float:
        """Landmark error in portrait pixels."""
        return self.rmse_224_px / self.alignment.scale

    def place(self, shape_dm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Rotate and translate model points into the camera's GL axes."""
        return shape_dm @ self.head_from_face.T + self.trans_dm

    def to_portrait(self, shape_dm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
        """Model points to portrait pixels."""
        return self.alignment.to_portrait(project_224(self.place(shape_dm)))
