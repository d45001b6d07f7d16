"""How much of a face lies behind the person's hands.

Hands are skin: colours cannot tell them from the face that they cover, their shapes can. In rendered photographs of 8
people all 48 hands before mouth, nose or eyes were seen, and cover 0.87 to 1 of one of them; of 25 in close-ups 24, at
0.82 to 1: the body points place the other one elsewhere. Hands at the chin, on a cheek or below the jaw, 24 and 12,
cover up to 0.32, one whose fingertips lie on the lower lip 0.42. Hands at the head in real photographs cover nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from dataprep.frames import geometry
from dataprep.models.detection.mediapipe_graphs import Graphs

_ARM_POINTS = slice(15, 23)  # wrists, knuckles and thumbs of the 33 body points
# Face sizes from a body point of a hand to the face that it covers: up to 0.7 in rendered photographs, to 1.4 in
# close-ups of them.
_REACH = 1.5
_VIEW_SIDES = (2.0, 3.0, 4.0)  # of the squares looked at, in face sizes
_VIEW_PX = 384
_GREY = 128
_THUMB = (2, 3, 4)  # left out: between a thumb on one cheek and fingers on the other the face is seen
_FEATURES = (slice(48, 60), slice(27, 36), slice(36, 42), slice(42, 48))  # mouth, nose, right and left eye


def hand_over_face(
    graphs: Graphs,
    rgb: UInt8[np.ndarray, "h w 3"],
    keypoints33: Float[np.ndarray, "33 3"],
    landmarks68: Float[np.ndarray, "68 2"],
) -> float:
    """The largest part of the mouth, the nose or an eye that lies behind a hand, in [0, 1]; points in px of `rgb`.

    Several views of the head are looked at, and the middle one counts: a blurred face looks like a hand in one of them
    now and then. Where no body point of a hand comes near the face nothing is looked at, and the answer is 0: however
    unsure the body is of its hands, those before a face are near it.
    """
    size_px = float(np.ptp(landmarks68, axis=0).max())
    centre_px = landmarks68[27:].mean(axis=0)
    away_px = np.linalg.norm(keypoints33[_ARM_POINTS, :2] - centre_px, axis=1)
    if away_px.min() > _REACH * size_px:
        return 0.0
    covered = []
    for sides in _VIEW_SIDES:
        view_from_image = geometry.square_from_source(centre_px, max(sides * size_px, 8.0), 0.0, _VIEW_PX)
        hands = graphs.hands(geometry.resample(rgb, view_from_image, _VIEW_PX, fill=_GREY))
        covered.append(covered_feature(hands, geometry.transform(view_from_image, landmarks68), _VIEW_PX))
    return float(np.median(covered))


def covered_feature(
    hands: Sequence[Float[np.ndarray, "21 2"]], landmarks68: Float[np.ndarray, "68 2"], size_px: int
) -> float:
    """The largest part of the mouth, the nose or an eye behind hands; points in px of a square picture."""
    if not hands:
        return 0.0
    covered = np.any([_hull(np.delete(hand, _THUMB, axis=0), size_px) for hand in hands], axis=0)
    features = [_hull(landmarks68[points], size_px) for points in _FEATURES]
    return max(float(covered[feature].mean()) for feature in features if feature.any())


def _hull(points: Float[np.ndarray, "n 2"], size_px: int) -> Bool[np.ndarray, "s s"]:
    mask = np.zeros((size_px, size_px), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(points).astype(np.int32)), (1,))
    return mask > 0
