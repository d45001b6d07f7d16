"""Plane geometry of crops, and the portrait frame of the generator (docs/cameras.md).

Pixels are continuous: the origin is the top-left corner of the image and pixel centres lie at +0.5; x right, y down.
A 2x3 matrix `b_from_a` maps column points of a to b.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Float, UInt8

PORTRAIT_PX = 512  # side of the pictures people take away, and that the paper generates
BODY_UNIT_M = 2.2314079  # metres in one body unit: the portrait camera's distance from the subject
FOV_RAD = math.radians(12.0)
FACE_UNIT_BODY = 0.52767998683149  # body units in one face unit (r_f)
FACE_ORIGIN_BODY = (0.0, 0.067489409707008, 0.050608165033568)  # the face frame's origin o, from the neck
PORTRAIT_SIDE_M = 2 * BODY_UNIT_M * math.tan(FOV_RAD / 2)  # what the portrait camera sees at the neck's depth: 0.469 m
LOOKAT_ABOVE_NECK_M = (0.052552 + 0.01 * FACE_UNIT_BODY) * BODY_UNIT_M  # 0.129 m along the chest's up axis
FACE_SIDE_M = 2 * FACE_UNIT_BODY * BODY_UNIT_M * math.tan(FOV_RAD / 2)  # what the face camera sees: 0.2475 m

Affine = Float[np.ndarray, "2 3"]


def square_from_source(centre_px: Float[np.ndarray, "2"], side_px: float, roll_rad: float, size_px: int) -> Affine:
    """The similarity that cuts a square of `side_px` around `centre_px` and scales it to `size_px`.

    `roll_rad` is the clockwise lean (towards image right) of the axis that must point straight up in the crop.
    """
    scale = size_px / side_px
    cos, sin = scale * math.cos(roll_rad), scale * math.sin(roll_rad)
    linear = np.array([[cos, sin], [-sin, cos]])
    offset = size_px / 2 - linear @ np.asarray(centre_px, dtype=np.float64)
    return np.column_stack([linear, offset])


def transform(b_from_a: Affine, points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
    """Apply a 2x3 matrix to points."""
    return points @ b_from_a[:, :2].T + b_from_a[:, 2]


def compose(c_from_b: Affine, b_from_a: Affine) -> Affine:
    """c_from_a."""
    linear = c_from_b[:, :2] @ b_from_a[:, :2]
    return np.column_stack([linear, c_from_b[:, :2] @ b_from_a[:, 2] + c_from_b[:, 2]])


def invert(b_from_a: Affine) -> Affine:
    """a_from_b."""
    linear = np.linalg.inv(b_from_a[:, :2])
    return np.column_stack([linear, -linear @ b_from_a[:, 2]])


def scaled(factor: float) -> Affine:
    """The matrix that scales pixels by `factor` (a resized copy of the same picture)."""
    return np.array([[factor, 0.0, 0.0], [0.0, factor, 0.0]])


def scale_of(b_from_a: Affine) -> float:
    """Pixels of b in one pixel of a."""
    return float(np.sqrt(abs(np.linalg.det(b_from_a[:, :2]))))


def nearest_similarity(target: Float[np.ndarray, "n 2"], points: Float[np.ndarray, "n 2"]) -> Affine:
    """The similarity, without a mirror, that lays points nearest onto `target` by least squares."""
    # As complex numbers a similarity is b = z a + w.
    b, a = (p[:, 0] + 1j * p[:, 1] for p in (np.asarray(target, np.float64), np.asarray(points, np.float64)))
    z = np.vdot(a - a.mean(), b - b.mean()) / np.vdot(a - a.mean(), a - a.mean())
    w = b.mean() - z * a.mean()
    return np.array([[z.real, -z.imag, w.real], [z.imag, z.real, w.imag]])


def resample(
    image: UInt8[np.ndarray, "h w *c"], target_from_image: Affine, size_px: int, fill: int = 255
) -> UInt8[np.ndarray, "s s *c"]:
    """Warp `image` into a square of `size_px`; outside the image is `fill`. Shrinking is antialiased.

    Cubic at about native scale; for a shrink the image is first area-averaged to within a factor of two.
    """
    shrink = 1.0 / scale_of(target_from_image)
    if shrink > 1.25:
        height, width = image.shape[:2]
        size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        shrunk_from_image = np.array([[size[0] / width, 0.0, 0.0], [0.0, size[1] / height, 0.0]])
        target_from_image = compose(target_from_image, invert(shrunk_from_image))
    return cv2.warpAffine(
        image,
        _index_matrix(target_from_image),
        (size_px, size_px),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(fill, fill, fill),
    )


def inside_fraction(width: int, height: int, target_from_image: Affine, size_px: int) -> float:
    """The part of the target square that lies inside the source image, in [0, 1]."""
    inside = np.full((height, width), 255, dtype=np.uint8)
    warped = cv2.warpAffine(inside, _index_matrix(target_from_image), (size_px, size_px), flags=cv2.INTER_NEAREST)
    return float((warped > 0).mean())


def _index_matrix(b_from_a: Affine) -> Affine:
    """The same map for OpenCV, whose integer coordinates are pixel centres."""
    half = np.array([0.5, 0.5])
    return np.column_stack([b_from_a[:, :2], b_from_a[:, :2] @ half + b_from_a[:, 2] - half])
