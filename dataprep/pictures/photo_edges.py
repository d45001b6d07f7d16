"""Where a photograph ends, and how much of the person it cuts off there.

A portrait may reach beyond the photograph: its background is white anyway. What must not be is a head or a shoulder
that ends in a straight line. So only edges that the person touches count, each for itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from dataprep.frames import geometry

_SAME_COLOUR = 12  # grey levels from a frame's colour, compression included
_SAMPLES = 256  # pixels of a line that are compared
_FRAME_ENDS = 0.02  # part of a line that differs: the frame is over
_PICTURE = 0.55  # part of the lines behind it that must differ: a long coat on a plain backdrop takes up to half
_SHARP = 0.01  # a frame ends within this part of the picture's size
_WIDEST = 0.4
_INSET_PX = 3.0  # portrait px inside the edge, where the white beyond has no part in the alpha
_SKULL = 0.15  # of the way from chin to eyes: crowns that were whole lay 0.20 inside the photograph and more
_HEAD_WIDTH = 1.25  # of that way


@dataclass(frozen=True)
class Cuts:
    """What the photograph's edges take from a portrait, in portrait px.

    top_px, sides_px: length of the person along the upper edge, and along the left or right one, whichever is longer.
    The upper edge also counts across the skull where hair is lost: without what is above them, masks leave it out.
    bottom_px: height of the strip that is missing between the photograph's end and the portrait's lower rim.
    """

    top_px: float
    sides_px: float
    bottom_px: float


def photo_box(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "4"]:
    """x0, y0, x1, y1 in px of the photograph without a frame of one colour around it (of a scan, a video, a post)."""
    height, width = rgb.shape[:2]
    columns = rgb.transpose(1, 0, 2)
    left, right, top, bottom = (_frame_px(lines) for lines in (columns, columns[::-1], rgb, rgb[::-1]))
    return np.array([left, top, width - right, height - bottom], np.float64)


def _frame_px(lines: UInt8[np.ndarray, "n m 3"]) -> int:
    """Lines of one colour before a picture begins, counted from the first; 0 where there is no frame.

    A plain backdrop is no frame: the first lines that differ from it do so only where the person is.
    """
    step = -(-lines.shape[1] // _SAMPLES)
    near = lines[: int(_WIDEST * len(lines)), ::step].astype(np.int16)
    if not len(near):
        return 0
    differs = np.abs(near - np.median(near[0], axis=0)).max(axis=2) > _SAME_COLOUR
    share = differs.mean(axis=1)
    over = np.flatnonzero(share > _FRAME_ENDS)
    if not len(over) or over[0] == 0:
        return 0
    sharp = max(2, round(_SHARP * len(lines)))
    beyond = over[0] + np.flatnonzero(share[over[0] : over[0] + sharp] > _PICTURE)
    return int(beyond[0]) if len(beyond) else 0


def cuts(
    alpha: UInt8[np.ndarray, "p p"],
    portrait_from_source: geometry.Affine,
    box_px: Float[np.ndarray, "4"],
    landmarks68_px: Float[np.ndarray, "68 2"],
) -> Cuts:
    """What the edges of the photograph cut off the person of a portrait. `box_px`, `landmarks68_px`: source px."""
    inset = max(1.0, _INSET_PX / geometry.scale_of(portrait_from_source))
    (x0, y0), (x1, y1) = box_px[:2] + inset, box_px[2:] - inset
    corners = {"top": [(x0, y0), (x1, y0)], "left": [(x0, y0), (x0, y1)], "right": [(x1, y0), (x1, y1)]}
    touching = {name: len(_person_along(alpha, portrait_from_source, ends)) for name, ends in corners.items()}
    skull_px = _skull_px(landmarks68_px, float(box_px[1])) * geometry.scale_of(portrait_from_source)
    missing_px = _missing_below(portrait_from_source, box_px, alpha.shape[0])
    return Cuts(max(float(touching["top"]), skull_px), float(max(touching["left"], touching["right"])), missing_px)


def _missing_below(portrait_from_source: geometry.Affine, box_px: Float[np.ndarray, "4"], side_px: int) -> float:
    """Portrait px from the photograph's lower edge to the portrait's lower rim, about the middle; 0 for none.

    Below a neck there is a chest, whatever the mask makes of the last rows.
    """
    along = _line(portrait_from_source, [(box_px[0], box_px[3]), (box_px[2], box_px[3])])
    middle = along[np.abs(along[:, 0] - side_px / 2) < side_px / 4]
    return max(0.0, float(np.mean(side_px - middle[:, 1]))) if len(middle) else 0.0


def _skull_px(landmarks68_px: Float[np.ndarray, "68 2"], top_px: float) -> float:
    """Length of an upper edge across the skull, in px of the landmarks; 0 for an edge that only hair could reach.

    The eyes lie half-way between chin and crown.
    """
    eyes, chin = landmarks68_px[36:48].mean(axis=0), landmarks68_px[8]
    half = float(np.linalg.norm(eyes - chin))
    beyond = top_px - float((2 * eyes - chin)[1])
    width = _HEAD_WIDTH * half
    if beyond < _SKULL * half:
        return 0.0
    return 2 * float(np.sqrt(beyond * (width - beyond))) if beyond < width / 2 else width


def _person_along(
    alpha: UInt8[np.ndarray, "p p"], portrait_from_source: geometry.Affine, ends: list[tuple[float, float]]
) -> Float[np.ndarray, "n 2"]:
    """Points of a line of the photograph, one a portrait px, that lie in the portrait and on the person."""
    points = _line(portrait_from_source, ends)
    points = points[((points >= 0) & (points < alpha.shape[0])).all(axis=1)]
    x, y = points.astype(int).T
    return points[alpha[y, x] > 127]


def _line(portrait_from_source: geometry.Affine, ends: list[tuple[float, float]]) -> Float[np.ndarray, "n 2"]:
    """A line of the photograph in the portrait, a point a px."""
    start, end = geometry.transform(portrait_from_source, np.array(ends))
    share = np.linspace(0, 1, max(2, round(float(np.linalg.norm(end - start)))))
    return start + share[:, None] * (end - start)
