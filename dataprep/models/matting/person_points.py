"""Where the person surely is, by points alone: face, neck, trunk and arms as narrow shapes around MediaPipe's."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float

_LEFT_SHOULDER, _RIGHT_SHOULDER, _LEFT_HIP, _RIGHT_HIP = 11, 12, 23, 24
_ARMS = ((11, 13), (13, 15), (12, 14), (14, 16))
_JAW = (172, 397)  # mesh vertices at the jaw's corners, the person's right first
_LEAST_VISIBILITY = 0.5
_FACE_PART = 0.9  # of the mesh's size: in profile its far side lies beside the face
_ARM_WIDTH = 0.12  # of the shoulders': a third of a forearm, since elbows and wrists are off by as much
_TRUNK_INSET, _NECK_INSET = 0.1, 0.25  # of the shoulders' width, from each side
_LOWER_BACK = 0.15  # the trunk ends this far above the hips


def person_area(
    keypoints33: Float[np.ndarray, "33 3"], mesh478_px: Float[np.ndarray, "478 k"], size_px: int
) -> Bool[np.ndarray, "s s"]:
    """Pixels of a square picture that belong to the person; points (x, y, visibility) are in px of that picture.

    The shapes are narrower than the body, and parts whose points are not visible are left out.
    """
    area = np.zeros((size_px, size_px), np.uint8)
    face_px, centre = mesh478_px[:, :2], mesh478_px[:, :2].mean(axis=0)
    _fill(area, centre + _FACE_PART * (face_px - centre))
    points, seen = keypoints33[:, :2], keypoints33[:, 2] > _LEAST_VISIBILITY
    if not (seen[_LEFT_SHOULDER] and seen[_RIGHT_SHOULDER]):
        return area > 0
    right, across = points[_RIGHT_SHOULDER], points[_LEFT_SHOULDER] - points[_RIGHT_SHOULDER]
    jaw = [centre + 0.7 * (face_px[vertex] - centre) for vertex in _JAW]
    _fill(area, np.array([*jaw, right + _NECK_INSET * across, right + (1 - _NECK_INSET) * across]))
    top = [right + _TRUNK_INSET * across, right + (1 - _TRUNK_INSET) * across]
    hips = (points[_LEFT_HIP], points[_RIGHT_HIP])
    bottom = [hip + _LOWER_BACK * (shoulder - hip) for hip, shoulder in zip(hips, top[::-1], strict=True)]
    _fill(area, np.array([*top, *bottom]))
    width_px = int(np.clip(_ARM_WIDTH * np.linalg.norm(across), 1, 255))
    for start, end in _ARMS:
        if seen[start] and seen[end]:
            cv2.line(area, _pixel(points[start]), _pixel(points[end]), (1,), width_px)
    return area > 0


def _fill(area: np.ndarray, corners: np.ndarray) -> None:
    cv2.fillConvexPoly(area, cv2.convexHull(_clipped(corners).astype(np.int32)), (1,))


def _pixel(point: np.ndarray) -> tuple[int, int]:
    x, y = _clipped(point).astype(int)
    return int(x), int(y)


def _clipped(points: np.ndarray) -> np.ndarray:
    """Points far outside stay within what OpenCV can draw."""
    return np.clip(points, -8192, 8192)
