"""What can be seen to be wrong with an alpha, as parts of the person's area, for the score `q_matte`."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

_HALF = (0.1 * 255, 0.9 * 255)
_EDGE_PX = 6  # half-transparent areas up to twice as wide at 512 px are soft edges and hair
_RIM_PX = 3


def see_through(alpha: UInt8[np.ndarray, "h w"]) -> float:
    """Half-transparent area that is wider than an edge, as a part of the person's area."""
    half = ((alpha > _HALF[0]) & (alpha < _HALF[1])).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _EDGE_PX + 1, 2 * _EDGE_PX + 1))
    wide_px = int(cv2.morphologyEx(half, cv2.MORPH_OPEN, disc).sum())
    return min(wide_px / max(int((alpha > 127).sum()), 1), 1.0)


def faint_edge(alpha: UInt8[np.ndarray, "h w"], inside: Bool[np.ndarray, "h w"]) -> float:
    """The part of the photograph's edge within the picture where alpha is neither 0 nor 1; 0 where there is no edge.

    A person cut off by the edge has alpha 1 there: that is no fault of the matte.
    """
    outside = cv2.dilate((~inside).astype(np.uint8), np.ones((2 * _RIM_PX + 1, 2 * _RIM_PX + 1), np.uint8)) > 0
    rim = alpha[outside & inside]
    return float(((rim > _HALF[0]) & (rim < _HALF[1])).mean()) if rim.size else 0.0
