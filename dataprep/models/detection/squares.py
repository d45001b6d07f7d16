"""Where to look in a photograph: squares around heads and bodies, and tiles for people who are small in it.

All in continuous pixels of the photograph.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dataprep.frames import geometry
from dataprep.models.detection.mediapipe_graphs import FaceBox, PosePoints

NOSE, LEFT_EYE, RIGHT_EYE, LEFT_SHOULDER, RIGHT_SHOULDER = 0, 2, 5, 11, 12  # of the 33 body points
GREY = 128  # outside the photograph
FACE_SCALES = (1.7, 2.1, 2.6)  # squares in which a face is read, in face sizes
# Where a body may lie below a face, in face sizes: side of the square, and how far below the face its centre is. The
# pose network sees a standing person in the first, head and waist in the second; behind a lectern or a desk it wants
# another look.
_BELOW_FACE = ((5.0, 0.35), (8.0, 0.35), (6.0, 0.35), (6.0, 0.25), (10.0, 0.35), (4.0, 0.25))
_MIN_TILE_PX = 400  # the face network sees faces from a 20th of its picture on: 20 px here


@dataclass(frozen=True)
class Square:
    """A square of the photograph: centre and side in px, clockwise lean in rad."""

    centre_px: np.ndarray
    side_px: float
    roll_rad: float = 0.0

    def cut(self, rgb: np.ndarray, size_px: int) -> tuple[np.ndarray, np.ndarray]:
        """The square at `size_px`, grey outside the photograph, and source_from_crop."""
        matrix = geometry.square_from_source(self.centre_px, max(self.side_px, 8.0), self.roll_rad, size_px)
        return geometry.resample(rgb, matrix, size_px, fill=GREY), geometry.invert(matrix)


def search_squares(width: int, height: int) -> Iterator[Square]:
    """Yield the whole picture, then overlapping squares along its longer side."""
    short, long = min(width, height), max(width, height)
    yield Square(np.array([width / 2, height / 2]), float(long))
    steps = math.ceil((long - short) / (0.5 * short)) if long > 1.15 * short else 0
    for i in range(steps + 1 if steps else 0):
        along = short / 2 + (long - short) * i / steps
        yield Square(np.array([along, height / 2] if width > height else [width / 2, along]), float(short))


def tile_levels(width: int, height: int) -> Iterator[list[tuple[int, int, int]]]:
    """x0, y0 and side px of tiles of a half of the shorter side down to an eighth, each half over its neighbours."""
    short = min(width, height)
    for halvings in (1.0, 1.5, 2.0, 2.5, 3.0):
        side = int(short / 2**halvings)
        if side >= _MIN_TILE_PX:
            xs, ys = (np.linspace(0, length - side, math.ceil(2 * length / side) - 1) for length in (width, height))
            yield [(int(x), int(y), side) for y in ys for x in xs]


def squares_below(face: FaceBox) -> Iterator[Square]:
    """Yield where a body may lie below a face, the likeliest first."""
    for reach, down in _BELOW_FACE:
        yield Square(face.centre_px + np.array([0.0, down * reach * face.side_px]), reach * face.side_px)


def body_window(pose: PosePoints, width: int, height: int) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 px: the person with as much room again around."""
    square = square_around(pose.points[:, :2], 2.0)
    low, high = square.centre_px - square.side_px / 2, square.centre_px + square.side_px / 2
    x0, y0 = np.clip(np.floor(low), 0, [width - 1, height - 1]).astype(int)
    x1, y1 = np.clip(np.ceil(high), [x0 + 1, y0 + 1], [width, height]).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def square_around(points: np.ndarray, margin: float) -> Square:
    """Return the square around points, `margin` times their larger extent."""
    low, high = points.min(axis=0), points.max(axis=0)
    return Square((low + high) / 2, margin * float(np.max(high - low)))


def head_square_of_pose(pose: PosePoints, shoulder_widths: float) -> Square:
    """Return the head's square by the body points, upright by the eyes."""
    points = pose.points[:, :2]
    shoulders = float(np.linalg.norm(points[LEFT_SHOULDER] - points[RIGHT_SHOULDER]))
    # side on, the shoulders cover each other: the head is then the better ruler
    head = 2.5 * float(np.linalg.norm(points[7] - points[8]))
    return Square(points[NOSE], shoulder_widths * max(shoulders, head), eye_roll(points[RIGHT_EYE], points[LEFT_EYE]))


def head_squares(pose: PosePoints, face: FaceBox) -> Iterator[Square]:
    """Several views of the head, upright by the eyes."""
    for shoulder_widths in (1.2, 1.5):
        yield head_square_of_pose(pose, shoulder_widths)
    yield from face_squares(face)


def face_squares(face: FaceBox, scales: Sequence[float] = FACE_SCALES) -> Iterator[Square]:
    """Yield squares around a face box, upright by its eyes; `scales` are sides in face sizes."""
    roll = eye_roll(face.points_px[0], face.points_px[1])
    for scale in scales:
        yield Square(face.centre_px, scale * face.side_px, roll)


def eye_roll(right_eye: np.ndarray, left_eye: np.ndarray) -> float:
    """Clockwise lean of the head in rad, from the person's right to left eye, seen from the front."""
    across = left_eye - right_eye
    angle = math.atan2(across[1], across[0])
    return angle if abs(angle) < math.radians(60) else 0.0


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Return intersection over union of two boxes x0 y0 x1 y1."""
    overlap = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(overlap / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - overlap))
