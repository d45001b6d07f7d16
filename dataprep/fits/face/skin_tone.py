"""Skin tone of a portrait as the individual typology angle (ITA): atan((L* - 50) / b*) in degrees, CIELAB under D65.

Chardon, Cretois and Hourseau, "Skin colour typology and suntanning pathways" (1991). The angle is meant for skin under
a known light, and a photograph's light is not known. On 149 photographs of 50 rendered people, each three times in
other light, place and clothes, the angle of one person varies by 8 degrees (standard deviation), that of different
people by 30, and it correlates 0.95 with that of the skin's own colours. Two photographs of one person are in the same
class in 61% of the pairs, in neighbouring ones in 38%. So read the distribution of a data set, not one photograph.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

# Names and lower limits in degrees (Chardon et al. 1991; brown and dark as divided since): 55 itself is light.
ITA_CLASSES = (
    ("very light", 55.0), ("light", 41.0), ("intermediate", 28.0), ("tan", 10.0), ("brown", -30.0), ("dark", -90.0),
)  # fmt: skip

# Points of the face mesh around each cheek below the eye, where few beards grow. The forehead was tried: fringes cover
# it, its angle varies by 15 degrees within a person, and beside the cheeks' it does not help.
_CHEEKS = ((117, 119, 100, 142, 36, 205, 123), (346, 348, 329, 371, 266, 425, 352))
_SOLID = 250  # least alpha: hair's soft edge and what lies before the face's outline are left out
_CLIPPED = (8, 250)  # a channel at its end says nothing of the colour
_MIDDLE = (25.0, 75.0)  # percentiles of lightness that are kept: highlights and shadows go, and so do spots
_MIN_PART = 0.0003  # of the portrait's pixels that a cheek must show: 79 of 512 x 512; one that is seen has 1,000
_LEAST_CHROMA = 4.0  # of skin; less is a black-and-white photograph
_LIKE_THE_OTHER = 0.5  # least chroma, as a part of the other cheek's: white hair over a cheek has 0.2
_SKIN_HUE_DEG = (10.0, 90.0)  # of skin in ordinary light; what is green or blue, or lit so, is outside


@dataclass(frozen=True)
class SkinTone:
    """cheeks: how many look like skin, 0 to 2; ita_deg: angle of the one that is better lit, None where none does."""

    cheeks: int
    ita_deg: float | None


def skin_tone(
    portrait: UInt8[np.ndarray, "p p 3"], alpha: UInt8[np.ndarray, "p p"], mesh_px: Float[np.ndarray, "478 2"]
) -> SkinTone:
    """Measure the skin of a portrait. mesh_px: MediaPipe's face mesh in px of the portrait.

    The other cheek often lies in the shadow of the nose or of the head: the mean of both correlates 0.90 with the
    skin's own colours, the lighter one 0.95.
    """
    solid = alpha >= _SOLID
    found = (_skin_colour(portrait, solid, mesh_px[list(cheek)]) for cheek in _CHEEKS)
    colours = [colour for colour in found if colour is not None]
    strongest = max((_chroma(colour) for colour in colours), default=0.0)
    skins = [colour for colour in colours if _chroma(colour) >= _LIKE_THE_OTHER * strongest]
    return SkinTone(len(skins), max(map(ita_deg, skins), default=None))


def ita_deg(lab: Float[np.ndarray, "3"]) -> float:
    """Individual typology angle of a CIELAB colour with b* > 0."""
    return math.degrees(math.atan2(float(lab[0]) - 50, float(lab[2])))


def ita_class(angle_deg: float) -> str:
    """Name of the class that an angle in [-90, 90] belongs to."""
    return next(name for name, above in ITA_CLASSES if angle_deg > above or name == ITA_CLASSES[-1][0])


def _chroma(lab: Float[np.ndarray, "3"]) -> float:
    return float(np.hypot(lab[1], lab[2]))


def _skin_colour(
    portrait: UInt8[np.ndarray, "p p 3"], solid: np.ndarray, outline_px: Float[np.ndarray, "k 2"]
) -> Float[np.ndarray, "3"] | None:
    """Median CIELAB colour of a cheek without its highlights and shadows; None where it does not look like skin."""
    cheek = np.zeros(solid.shape, np.uint8)
    cv2.fillConvexPoly(cheek, cv2.convexHull(np.round(outline_px).astype(np.int32)), (1,))
    rgb = portrait[(cheek > 0) & solid]
    rgb = rgb[(rgb.min(axis=1) >= _CLIPPED[0]) & (rgb.max(axis=1) <= _CLIPPED[1])]
    if len(rgb) < _MIN_PART * solid.size:
        return None
    lab = cv2.cvtColor(rgb[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0].astype(np.float64)
    low, high = np.percentile(lab[:, 0], _MIDDLE)
    colour: np.ndarray = np.median(lab[(lab[:, 0] >= low) & (lab[:, 0] <= high)], axis=0)
    hue_deg = math.degrees(math.atan2(colour[2], colour[1]))
    is_skin = _chroma(colour) >= _LEAST_CHROMA and _SKIN_HUE_DEG[0] <= hue_deg <= _SKIN_HUE_DEG[1]
    return colour if is_skin else None
