"""What a square cut across a photograph's edge holds: which pixels are the photograph, and a continuation of it.

Networks and matting take the white beside a photograph for a part of it: a body goes on there, or a white shirt ends
with it. So they get the photograph continued outwards, and what they say outside is thrown away.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Shaped

from dataprep.frames import geometry

_RIM_SOURCE_PX = 0.5  # pixels nearer to the edge are mixed with the white outside


def photograph_cover(
    width: int, height: int, target_from_source: geometry.Affine, size_px: int
) -> Float[np.ndarray, "s s"]:
    """How much of each pixel of the target square a photograph of `width` x `height` px covers, in [0, 1].

    The photograph ends half a pixel before its edge. Pixels whose centre lies beyond have 0.
    """
    centres = np.arange(size_px) + 0.5
    x, y = (
        along * centres + down * centres[:, None] + offset
        for along, down, offset in geometry.invert(target_from_source)
    )
    within_source_px = np.minimum(np.minimum(x, width - x), np.minimum(y, height - y)) - _RIM_SOURCE_PX
    return np.clip(within_source_px * geometry.scale_of(target_from_source), 0, 1)


def continue_outside(
    picture: Shaped[np.ndarray, "h w *c"], inside: Bool[np.ndarray, "h w"]
) -> Shaped[np.ndarray, "h w *c"]:
    """The picture with every pixel outside replaced by the nearest one inside; as it came where nothing is inside."""
    if inside.all() or not inside.any():
        return picture
    outside = (~inside).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    nearest = np.zeros(int(labels.max()) + 1, np.int64)
    nearest[labels[inside]] = np.flatnonzero(inside)
    flat = picture.reshape(-1, *picture.shape[2:])
    return flat[nearest[labels.ravel()]].reshape(picture.shape)
