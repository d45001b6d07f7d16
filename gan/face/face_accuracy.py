"""How well a face estimator reads pictures that took no part in its training.

Suffixes: N pictures, L landmarks, K coefficients, H W pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gan.data.stream import to_unit_range
from gan.face.face_pictures import FacePictures, split_label
from gan.face.face_space import DM_IN_FACE_UNIT, FaceSpace
from gan.face.standin_network import STANDIN_PX, Reading, StandinFaceNet, resized
from gan.rendering.cameras import camera_origin

MM_IN_FACE_UNIT = 100 * DM_IN_FACE_UNIT
_AT_ONCE = 64


class Accuracy(NamedTuple):
    """Mean distances over pictures and landmarks, and what saying "zero" (for the camera: the mean) would leave.

    Correlations are of landmark offsets about their mean, which no constant answer has any of.
    """

    expression_mm: float
    expression_zero_mm: float
    expression_correlation: float
    identity_mm: float
    identity_zero_mm: float
    identity_correlation: float
    camera_deg: float
    camera_mean_deg: float


@torch.no_grad()
def measure(network: StandinFaceNet, space: FaceSpace, faces: FacePictures, size_px: int = STANDIN_PX) -> Accuracy:
    """Measure on pictures as they look at `size_px`."""
    readings = [_read(network, image, size_px) for image in faces.image_N3HW.split(_AT_ONCE)]
    true_id_NK, true_exp_NK, camera_N2 = split_label(faces.label_NK)
    said_id_NK = torch.cat([reading.coefficients.z_id_BK for reading in readings])
    said_exp_NK = torch.cat([reading.coefficients.z_exp_BK for reading in readings])
    said_camera_N2 = torch.cat([reading.camera_B2 for reading in readings])

    def of_identity(z_id_NK: Tensor) -> Tensor:
        return space.landmarks(z_id_NK, torch.zeros_like(true_exp_NK)) * MM_IN_FACE_UNIT

    def of_expression(z_exp_NK: Tensor) -> Tensor:
        return space.landmarks(torch.zeros_like(true_id_NK), z_exp_NK) * MM_IN_FACE_UNIT

    return Accuracy(
        *_compared(of_expression(said_exp_NK), of_expression(true_exp_NK), of_expression(true_exp_NK * 0)),
        *_compared(of_identity(said_id_NK), of_identity(true_id_NK), of_identity(true_id_NK * 0)),
        _between_deg(said_camera_N2, camera_N2),
        _between_deg(camera_N2.mean(0).expand_as(camera_N2), camera_N2),
    )


def _read(network: StandinFaceNet, image_N3HW: Tensor, size_px: int) -> Reading:
    return network(resized(resized(to_unit_range(image_N3HW), size_px), STANDIN_PX))


def _compared(said_NL3: Tensor, true_NL3: Tensor, zero_NL3: Tensor) -> tuple[float, float, float]:
    """Return the distance to the truth, that of zeros, and the correlation."""
    said, true = ((points - points.mean(0)).flatten() for points in (said_NL3, true_NL3))
    off, off_zero = (float((points - true_NL3).norm(dim=-1).mean()) for points in (said_NL3, zero_NL3))
    return off, off_zero, float(torch.cosine_similarity(said, true, dim=0))


def _between_deg(one_N2: Float[Tensor, "n 2"], other_N2: Float[Tensor, "n 2"]) -> float:
    """Return the mean angle between directions of cameras given by pitch and yaw."""
    cosine_N = (camera_origin(one_N2, 1.0) * camera_origin(other_N2, 1.0)).sum(-1)
    return float(torch.rad2deg(torch.arccos(cosine_N.clamp(-1, 1))).mean())
