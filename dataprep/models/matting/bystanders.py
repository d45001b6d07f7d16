"""Pieces of other people in a person's mask.

The selfie network finds everybody, the pose network one person. A piece that only the first takes for a person is a
hand, a hat or hair of this person, or somebody behind. It is somebody else when it shows skin, lies beside the head
rather than around it, and no arm or hand of this person was seen there.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

_SIDE_PX = 256  # lengths and areas below are at this size
_REACH_PX = 6  # the pose network's edges are that far off (it sees 128 px of twice the portrait)
_LEAST_AREA_PX = 120
_SURE = 0.7  # mean of the mask over a piece; less is for colours to decide
_SKIN_PART = 0.6  # an afro beyond the pose network's reach has 0.45
_SKIN_BEHIND = 0.2  # a background of the skin's colour tells nothing
_HAND_POINTS = slice(15, 23)
_ARM_REACH = 0.3  # of the shoulders' width, around those points
_CROWN_REACH = 1.25  # face heights around the forehead, where hats and hair are
_SEEN = 0.8  # hands that are not in the picture are guessed with up to 0.7
_BINS, _OFTEN = 32, 0.3  # of each chroma channel; ... times the mean over the colours that the face has


def other_people(
    portrait: UInt8[np.ndarray, "h w 3"],
    mask: Float[np.ndarray, "h w"],
    pose_mask: Float[np.ndarray, "h w"],
    keypoints33: Float[np.ndarray, "33 3"],
    face_px: Float[np.ndarray, "n 2"],
) -> Bool[np.ndarray, "h w"]:
    """Pixels of the mask that belong to somebody else. Points are in px of the portrait."""
    scale = _SIDE_PX / portrait.shape[0]
    small, pose = _shrink(mask), _shrink(pose_mask.astype(np.float64))
    own = cv2.dilate((pose > 0.5).astype(np.uint8), _disc(_REACH_PX)) > 0
    _, labels, stats, _ = cv2.connectedComponentsWithStats(((small > 0.5) & ~own).astype(np.uint8))
    pieces = [label for label in range(1, len(stats)) if stats[label, cv2.CC_STAT_AREA] >= _LEAST_AREA_PX]
    if not pieces:
        return np.zeros(mask.shape, bool)
    skin, near = _skin(_shrink(portrait), face_px * scale), _near(keypoints33 * [scale, scale, 1], face_px * scale)
    others = np.zeros(small.shape, bool)
    behind = skin[small < 0.1]
    if behind.size and behind.mean() > _SKIN_BEHIND:
        return np.zeros(mask.shape, bool)
    for label in pieces:
        piece = labels == label
        if small[piece].mean() > _SURE and skin[piece].mean() > _SKIN_PART and not near[piece].any():
            others |= piece
    grown = cv2.dilate(others.astype(np.uint8), _disc(_REACH_PX)) * ((pose < 0.5) & (small > 0.03))
    return cv2.resize(grown, mask.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0


def _skin(picture: np.ndarray, face_px: np.ndarray) -> np.ndarray:
    """Pixels in colours (whatever their brightness) that the person's own face has often."""
    face = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(np.clip(face_px, -8192, 8192).astype(np.int32)), (1,))
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.int64) * _BINS >> 8
    cells = lab[..., 1] * _BINS + lab[..., 2]
    counts = np.bincount(cells[face > 0], minlength=_BINS**2)
    even = counts.sum() / max(int((counts > 0).sum()), 1)
    return counts[cells] > _OFTEN * even


def _near(keypoints33: np.ndarray, face_px: np.ndarray) -> np.ndarray:
    """Where this person's hats, hair, arms and hands may be."""
    near = np.zeros((_SIDE_PX, _SIDE_PX), np.uint8)
    low, high = face_px.min(axis=0), face_px.max(axis=0)
    height_px = float(high[1] - low[1])
    _circle(near, (float(low[0] + high[0]) / 2, float(low[1]) + 0.25 * height_px), _CROWN_REACH * height_px)
    shoulders_px = float(np.linalg.norm(keypoints33[11, :2] - keypoints33[12, :2]))
    for x, y, visibility in keypoints33[_HAND_POINTS]:
        if visibility > _SEEN:
            _circle(near, (x, y), _ARM_REACH * shoulders_px)
    return near > 0


def _circle(picture: np.ndarray, centre: tuple[float, float], radius_px: float) -> None:
    x, y = (int(np.clip(value, -8192, 8192)) for value in centre)
    cv2.circle(picture, (x, y), int(np.clip(radius_px, 1, 4096)), (1,), -1)


def _shrink(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)


def _disc(radius_px: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
