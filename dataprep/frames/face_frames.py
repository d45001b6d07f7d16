"""The picture frames of the 3DMM: Deep3DFaceRecon's 224 camera, the portrait, and the 256 face crop.

The 224 frame has x right and **y up**, with (112, 112) on the optical axis; other frames are continuous pixels, y
down. The camera stands 10 dm from the 3DMM origin with a focal length of 1015 px at 224.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dataprep.frames import geometry
from dataprep.frames.euler import matrix_from_zyx, zyx_from_matrix

# Camera and crop of Deep3DFaceRecon: focal length at 224 px, the picture's centre, how far the face is, and its size.
FOCAL_PX = 1015.0
CENTRE_PX = 112.0
DISTANCE_DM = 10.0
CAM_FROM_GL = np.diag([1.0, -1.0, -1.0])  # GL axes: x right, y up, z to the camera

_TARGET_SCALE = 102.0
# Five points of the mean face in dm: eye centres (image left first), nose tip, mouth corners.
_FIVE_POINTS_DM = np.array(
    [[-0.311, 0.290, 0.134], [0.310, 0.290, 0.132], [0.003, -0.046, 0.552], [-0.252, -0.381, 0.224],
     [0.248, -0.381, 0.222]]
)  # fmt: skip


@dataclass(frozen=True)
class Alignment:
    """portrait -> 224: u = (x - centre_x) * scale + 112, v_up = (centre_y - y) * scale + 112. No rotation."""

    scale: float
    centre_px: Float[np.ndarray, "2"]

    def to_224(self, portrait_px: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        return (portrait_px - self.centre_px) * self.scale * [1, -1] + CENTRE_PX

    def to_portrait(self, points_224: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        return (points_224 - CENTRE_PX) / self.scale * [1, -1] + self.centre_px


def five_points(landmarks68_px: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "5 2"]:
    """Eye centres from the upper and lower inner lids the reference uses, nose tip, mouth corners."""
    lm = landmarks68_px
    return np.stack((lm[[36, 39]].mean(0), lm[[42, 45]].mean(0), lm[30], lm[48], lm[54]))


def align(landmarks68_px: Float[np.ndarray, "68 2"]) -> Alignment:
    """The reference's crop, without its rounding to whole pixels: a 224 square around the face, 102 px per dm."""
    points = five_points(landmarks68_px) * [1, -1]
    scale, _, offset = weak_pose(points, _FIVE_POINTS_DM)
    return Alignment(_TARGET_SCALE / scale, offset * [1, -1])


def weak_pose(
    image_up: Float[np.ndarray, "n 2"], model: Float[np.ndarray, "n 3"]
) -> tuple[float, Float[np.ndarray, "3 3"], Float[np.ndarray, "2"]]:
    """Pose from orthography and scaling (POS): image = scale * (R model)_xy + offset, by linear least squares."""
    design = np.column_stack((model, np.ones(len(model))))
    rows, *_ = np.linalg.lstsq(design, image_up, rcond=None)
    first, second, offset = rows[:3, 0], rows[:3, 1], rows[3]
    lengths = np.linalg.norm(first), np.linalg.norm(second)
    rough = np.stack((first / lengths[0], second / lengths[1], np.cross(first, second) / np.prod(lengths)))
    u, _, vt = np.linalg.svd(rough)
    return float(sum(lengths) / 2), u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt, offset


def project_224(points_dm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
    """Perspective projection of placed points (rotated and translated, GL axes) into the 224 frame."""
    return FOCAL_PX * points_dm[:, :2] / (DISTANCE_DM - points_dm[:, 2:]) + CENTRE_PX


def head_from_3dmm(angle_rad: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """R_z R_y R_x of Deep3DFaceRecon's `angle` (x, y, z): column points of the face to GL axes."""
    return matrix_from_zyx(angle_rad[::-1])


def angle_from_head(head_from_face: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3"]:
    """Inverse of `head_from_3dmm`; y in [-pi/2, pi/2]."""
    return zyx_from_matrix(head_from_face)[::-1]


def pitch_yaw_of_head(head_from_face: Float[np.ndarray, "3 3"]) -> tuple[float, float]:
    """Radians: pitch positive when the face looks up in the picture, yaw positive towards image right (GL axes)."""
    facing = head_from_face[:, 2]
    return float(np.arcsin(np.clip(facing[1], -1, 1))), float(np.arctan2(facing[0], facing[2]))


def roll_of(head_from_face: Float[np.ndarray, "3 3"]) -> float:
    """Clockwise lean in the picture of the head's up axis, rad (GL axes)."""
    up = head_from_face[:, 1]
    return float(np.arctan2(up[0], up[1]))


def px_per_dm(trans_dm: Float[np.ndarray, "3"], alignment: Alignment) -> float:
    """How large the picture that was aligned shows the face: its px in one dm of the 3DMM, at its origin's depth."""
    return float(FOCAL_PX / (DISTANCE_DM - trans_dm[2]) / alignment.scale)


def face_crop_from_portrait(
    head: Float[np.ndarray, "3 3"], trans_dm: Float[np.ndarray, "3"], alignment: Alignment, size_px: int
) -> geometry.Affine:
    """What the generator's face camera sees: 0.2475 m about the 3DMM origin, upright with `head`.

    `head` is the generator's (`fits.canonical_head`) in GL axes: a head turned aside leans the less for its nod.
    """
    centre = alignment.to_portrait(project_224(np.asarray(trans_dm)[None]))[0]
    side_px = geometry.FACE_SIDE_M * 10 * px_per_dm(trans_dm, alignment)
    return geometry.square_from_source(centre, side_px, roll_of(head), size_px)
