"""Whether the mouth is seen, or a cup, a mask, a scarf lies before it.

A photograph has no other frames to compare with, and beards, shadows and make-up make faces differ from place to place
by as much as things before them do. What every mouth has, and a smooth thing before it has not, is itself: lips that
differ from what surrounds them, and a line or teeth between them. On 130 faces of all kinds (dim, grey, bearded, 30 px
small) the contrast is 18 and more, 9.6 in one dark grey picture; with cups and masks painted over 35 of them it is at
most 4.4.

Things with a pattern (a microphone, the fingers of a hand) have contrasts of their own, up to 60. They are told by
colour: lips and what surrounds them are both unlike the skin below the eyes, in another way than by being redder. A
beard leaves the lips. Of the 130 faces one has 0.28 of that, one whose mouth lies behind hair 0.56, all others up to
0.07; with a microphone painted in, three of four have over 0.38, with a patterned thing one of three.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from dataprep.frames import geometry

_VIEW_PX = 128
# Eye centres, then mouth corners (image left first), in px of the view.
_VIEW_POINTS = np.array([[41.0, 44.0], [87.0, 44.0], [47.0, 96.0], [81.0, 96.0]])
_BLUR_PX = 1.5  # noise and grain
_LIGHT = 0.4  # share of lightness in colour distances: light varies over a face more than skin does
_UNLIKE = 20.0  # Lab distance from the skin below the eyes
_MIN_PIXELS = 20


@dataclass(frozen=True)
class MouthView:
    """What a mouth shows.

    contrast: in Lab units; unlike_skin: part of the lips, or of what surrounds them if that is less, that looks like
    neither skin nor lips of this face, in [0, 1].
    """

    contrast: float
    unlike_skin: float


def view_mouth(rgb: UInt8[np.ndarray, "h w 3"], landmarks68: Float[np.ndarray, "68 2"]) -> MouthView:
    """Look at the mouth of a face. landmarks68: px of `rgb`. A mouth too flat to be looked at has no contrast."""
    points = np.stack([landmarks68[36:42].mean(0), landmarks68[42:48].mean(0), landmarks68[48], landmarks68[54]])
    view_from_image = np.linalg.lstsq(np.column_stack([points, np.ones(4)]), _VIEW_POINTS, rcond=None)[0].T
    if geometry.scale_of(view_from_image) < 1e-6:
        return MouthView(0.0, 1.0)
    view = geometry.resample(rgb, view_from_image, _VIEW_PX, fill=128)
    lab = cv2.GaussianBlur(cv2.cvtColor(view.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), (0, 0), _BLUR_PX)
    marks = geometry.transform(view_from_image, landmarks68)
    lips, around = _lips(marks)
    skin = _skin(marks)
    if min(lips.sum(), around.sum(), skin.sum()) < _MIN_PIXELS:
        return MouthView(0.0, 1.0)
    colour = np.median(lab[skin], axis=0)
    return MouthView(_contrast(lab[lips], lab[around]), min(_unlike(lab[lips], colour), _unlike(lab[around], colour)))


def _contrast(lips: Float[np.ndarray, "n 3"], around: Float[np.ndarray, "m 3"]) -> float:
    """How far the lips differ from what surrounds them, plus the spread of lightness within them."""
    apart = (np.median(lips, axis=0) - np.median(around, axis=0)) * [0.7, 1, 1]
    dark, light = np.percentile(lips[:, 0], [5, 95])
    return float(np.linalg.norm(apart) + light - dark)


def _unlike(pixels: Float[np.ndarray, "n 3"], skin: Float[np.ndarray, "3"]) -> float:
    """Part of the pixels that differ from the skin, redder ones aside: lips and cold noses are."""
    away = (pixels - skin) * [_LIGHT, 1, 1]
    away[:, 1] = np.minimum(away[:, 1], 0)
    return float((np.linalg.norm(away, axis=1) > _UNLIKE).mean())


def _lips(marks: np.ndarray) -> tuple[Bool[np.ndarray, "128 128"], Bool[np.ndarray, "128 128"]]:
    """The lips, and the ring around them."""
    outline, centre = marks[48:60], marks[48:60].mean(axis=0)
    grown = _inside(centre + (outline - centre) * [1.35, 1.6])
    return _inside(outline), grown & ~_inside(centre + (outline - centre) * 1.1)


def _skin(marks: np.ndarray) -> Bool[np.ndarray, "128 128"]:
    """Below the eyes beside the nose, and between the brows: where no beard grows and little is put."""
    right = [
        marks[41],
        marks[40],
        marks[31] - [2, 8],
        (marks[2] + 2 * marks[31]) / 3,
        _temple(marks[1], marks[36], 4.0),
    ]
    left = [
        marks[46],
        marks[47],
        marks[35] - [-2, 8],
        (marks[14] + 2 * marks[35]) / 3,
        _temple(marks[15], marks[45], -4.0),
    ]
    brow = [marks[21], marks[22], marks[27] + [5, 0], marks[27] - [5, 0]]
    return _inside(np.array(right)) | _inside(np.array(left)) | _inside(np.array(brow))


def _temple(jaw: np.ndarray, eye: np.ndarray, inwards_px: float) -> np.ndarray:
    return 0.6 * jaw + 0.4 * eye + [inwards_px, 4]


def _inside(outline: np.ndarray) -> Bool[np.ndarray, "128 128"]:
    mask = np.zeros((_VIEW_PX, _VIEW_PX), np.uint8)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], (1,))
    return mask > 0
