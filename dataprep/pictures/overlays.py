"""Labels drawn on pictures: key points, 68 landmarks, SMPL skeleton, portrait square, head axes.

Every function takes uint8 RGB (H, W, 3) and points in that picture's continuous pixels (`frames.geometry`), and returns
a new picture. Lines have a dark rim, so that they read on skin and on white alike. The subject's left is orange, the
right blue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dataprep.frames.smpl_joints import BONES

Rgb = UInt8[np.ndarray, "h w 3"]
Points = Float[np.ndarray, "n 2"]
Colour = tuple[int, int, int]

LEFT, RIGHT, MIDDLE = (255, 140, 50), (60, 160, 255), (190, 230, 60)
LANDMARK, SQUARE, RIM = (0, 225, 200), (255, 215, 0), (20, 20, 24)
AXES = ((235, 60, 60), (60, 190, 70), (70, 110, 255))  # x, y, z
VISIBLE = 0.5  # MediaPipe's visibility from which a key point is drawn

# MediaPipe Pose: shoulders, arms, hips, legs, feet; left ones are odd.
KEYPOINT_BONES = (
    *((11, 12), (23, 24), (11, 23), (12, 24)),
    *((11, 13), (13, 15), (12, 14), (14, 16)),
    *((23, 25), (25, 27), (24, 26), (26, 28), (27, 31), (28, 32), (27, 29), (28, 30)),
)
# iBUG-68: (first, last, closed) of jaw, brows, nose, eyes, lips.
LANDMARK_LINES = (
    *((0, 16, False), (17, 21, False), (22, 26, False), (27, 30, False), (31, 35, False)),
    *((36, 41, True), (42, 47, True), (48, 59, True), (60, 67, True)),
)
_SMPL_LEFT = {1, 4, 7, 10, 13, 16, 18, 20, 22}
_SMPL_MIDDLE = {0, 3, 6, 9, 12, 15}

_SHIFT = 4  # OpenCV's fixed-point bits: sixteenths of a pixel


def keypoint_colour(index: int) -> Colour:
    """MediaPipe's point 0 is the nose; of the others, left ones below 11 are 1-3, 7 and 9, from 11 on the odd ones."""
    left = index in (1, 2, 3, 7, 9) or (index >= 11 and index % 2 == 1)
    return MIDDLE if index == 0 else LEFT if left else RIGHT


def joint_colour(joint: int) -> Colour:
    """Of the bone that ends in an SMPL joint."""
    return MIDDLE if joint in _SMPL_MIDDLE else LEFT if joint in _SMPL_LEFT else RIGHT


def landmark_paths() -> list[list[int]]:
    """The 68 landmarks as polylines of indices; closed ones return to their first point."""
    return [[*range(first, last + 1), *([first] if closed else [])] for first, last, closed in LANDMARK_LINES]


def square_corners(centre_px: Float[np.ndarray, "2"], side_px: float, roll_rad: float) -> Float[np.ndarray, "4 2"]:
    """Corners of the portrait square in the photograph, clockwise from the portrait's top left."""
    up = np.array([np.sin(roll_rad), -np.cos(roll_rad)])
    right = np.array([np.cos(roll_rad), np.sin(roll_rad)])
    signs = ((-1, 1), (1, 1), (1, -1), (-1, -1))
    return np.stack([np.asarray(centre_px) + side_px / 2 * (x * right + y * up) for x, y in signs])


def draw_keypoints(rgb: Rgb, keypoints: Float[np.ndarray, "33 3"], width_px: float | None = None) -> Rgb:
    """Visible MediaPipe points (x, y, visibility) and the limbs between them."""
    width = width_px or stroke_px(rgb)
    seen = keypoints[:, 2] >= VISIBLE
    bones = [(a, b) for a, b in KEYPOINT_BONES if seen[a] and seen[b]]
    out = _lines(rgb, [keypoints[[a, b], :2] for a, b in bones], [_bone_colour(a, b) for a, b in bones], width)
    shown = np.flatnonzero(seen)
    return _dots(out, keypoints[shown, :2], [keypoint_colour(int(i)) for i in shown], 1.3 * width)


def draw_landmarks(
    rgb: Rgb, landmarks_px: Float[np.ndarray, "68 2"], colour: Colour = LANDMARK, width_px: float | None = None
) -> Rgb:
    """The 68 landmarks, joined along jaw, brows, nose, eyes and lips."""
    width = width_px or min(0.6 * stroke_px(rgb), float(np.ptp(landmarks_px, axis=0).max()) / 110)
    paths = [landmarks_px[path] for path in landmark_paths()]
    out = _lines(rgb, paths, [colour] * len(paths), 0.6 * width, rim_px=0)
    return _dots(out, landmarks_px, [colour] * len(landmarks_px), 1.3 * width, rim_px=0.5)


def draw_skeleton(rgb: Rgb, joints_px: Float[np.ndarray, "24 2"], width_px: float | None = None) -> Rgb:
    """The projected SMPL joints and their bones."""
    width = width_px or stroke_px(rgb)
    bones = [joints_px[[a, b]] for a, b in BONES]
    out = _lines(rgb, bones, [joint_colour(b) for _, b in BONES], width)
    return _dots(out, joints_px, [(255, 255, 255)] * len(joints_px), 1.1 * width)


def draw_square(rgb: Rgb, corners_px: Float[np.ndarray, "4 2"], width_px: float | None = None) -> Rgb:
    """The portrait square; its top side is drawn twice as wide."""
    width = width_px or stroke_px(rgb)
    out = _lines(rgb, [np.concatenate([corners_px, corners_px[:1]])], [SQUARE], width)
    return _lines(out, [corners_px[:2]], [SQUARE], 2 * width)


def draw_axes(
    rgb: Rgb,
    origin_px: Float[np.ndarray, "2"],
    cam_from_subject: Float[np.ndarray, "3 3"],
    length_px: float,
    width_px: float | None = None,
) -> Rgb:
    """The subject's x (red), y (green) and z (blue) axes, orthographic, the nearest one last.

    An axis that points away from the camera ends without a knob.
    """
    width = width_px or stroke_px(rgb)
    out = rgb
    for axis in np.argsort(-cam_from_subject[2], kind="stable"):  # cam z points away from the camera
        tip = np.asarray(origin_px) + length_px * cam_from_subject[:2, axis]
        out = _lines(out, [np.stack([np.asarray(origin_px), tip])], [AXES[axis]], 1.5 * width)
        out = _dots(out, tip[None], [AXES[axis]], (2 if cam_from_subject[2, axis] < 0.05 else 1) * width)
    return out


def stroke_px(rgb: Rgb) -> float:
    """A line width that suits the picture's size."""
    return max(1.0, min(rgb.shape[:2]) / 180)


def _bone_colour(a: int, b: int) -> Colour:
    return MIDDLE if {a, b} in ({11, 12}, {23, 24}) else keypoint_colour(a)


def _lines(rgb: Rgb, paths: Sequence[Points], colours: Iterable[Colour], width: float, rim_px: float = 1) -> Rgb:
    out = rgb.copy()
    fixed = [_fixed(path) for path in paths]
    for path in fixed if rim_px else ():
        cv2.polylines(out, [path], False, RIM, round(width + 2 * rim_px), cv2.LINE_AA, _SHIFT)
    for path, colour in zip(fixed, colours, strict=True):
        cv2.polylines(out, [path], False, colour, max(1, round(width)), cv2.LINE_AA, _SHIFT)
    return out


def _dots(rgb: Rgb, points: Points, colours: Iterable[Colour], radius: float, rim_px: float = 0.8) -> Rgb:
    out = rgb.copy()
    for (x, y), colour in zip(_fixed(points), colours, strict=True):
        cv2.circle(out, (int(x), int(y)), round((radius + rim_px) * 2**_SHIFT), RIM, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(out, (int(x), int(y)), round(radius * 2**_SHIFT), colour, -1, cv2.LINE_AA, _SHIFT)
    return out


def _fixed(points: Points) -> np.ndarray:
    """Continuous pixels to OpenCV's fixed point, whose integers are pixel centres; far points are clamped."""
    return np.round((np.clip(points, -4000, 30000) - 0.5) * 2**_SHIFT).astype(np.int32)
