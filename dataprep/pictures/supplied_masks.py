"""Masks that come with the photographs: grey, coloured, cut-outs, of two values of any kind, 1 to 32 bits deep."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from PIL import Image

from dataprep.errors import Rejected
from dataprep.pictures.codecs import open_image

_ALPHA_MODES = {"LA", "PA", "RGBA"}
_WIDE_MODES = {"I;16": 65535, "I;16B": 65535, "I;16L": 65535, "I": 65535, "F": 1.0}  # the largest value by convention
_MAX_PARTS = 64  # a map of body parts numbers fewer (SHHQ's parsing: 16); a grey edge reaches beyond
_LEVEL_WIDTH = 16  # grey levels around black and white that JPEG strews
_MIN_PART = 0.02  # of the picture: one grey level alone never fills this much of a soft edge
_GREY = 24  # channels that differ by less are grey, in JPEG, too


def read_mask(data: bytes) -> UInt8[np.ndarray, "h w"]:
    """Decode a supplied mask to 0-255. Alpha counts when there is one, else brightness, stretched to black and white.

    Which of the two is the person is not known here: an inverted mask comes out inverted. Raises Rejected as
    `images.open_image` does, and mask_undecodable for a map of body parts.
    """
    image = open_image(data)
    values = _values(image)
    levels = np.unique(values)
    if len(levels) == 2:
        return np.where(values == levels[1], 255, 0).astype(np.uint8)
    if image.mode in _WIDE_MODES:
        full = max(float(levels[-1]), _WIDE_MODES[image.mode]) if levels[-1] > 255 or image.mode == "F" else 255
        values = np.round(values.astype(np.float64) * (255 / full)).clip(0, 255).astype(np.uint8)
        levels = np.unique(values)
    return _stretched(values, levels)


def _values(image: Image.Image) -> Shaped[np.ndarray, "h w"]:
    """One number a pixel: alpha if it says anything, the silhouette of a cut-out, else brightness."""
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        if np.ptp(alpha):
            return alpha
    if image.mode in _WIDE_MODES:
        return np.asarray(image)
    if image.mode in ("1", "L", "LA"):
        return np.asarray(image.convert("L"))
    if image.mode == "P":
        numbers = np.asarray(image)
        if len(np.unique(numbers)) > 2 and not _is_grey(np.asarray(image.convert("RGB"))):
            raise _parts(len(np.unique(numbers)))
    rgb = np.asarray(image.convert("RGB"))
    bright = rgb.max(axis=2)
    if _is_grey(rgb):
        return bright
    if len(np.unique(rgb.reshape(-1, 3)[:: max(1, rgb.size // 300_000)], axis=0)) <= _MAX_PARTS:
        return _coloured(rgb)
    return np.where(bright > _LEVEL_WIDTH, 255, 0).astype(np.uint8)


def _coloured(rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
    """A mask of two colours: the rarer one is told from the other by brightness; Rejected when there are more."""
    colours, counts = np.unique(rgb.reshape(-1, 3), axis=0, return_counts=True)
    if (counts > _MIN_PART / 2 * counts.sum()).sum() > 2:
        raise _parts(len(colours))
    first, second = colours[np.argsort(counts)[::-1][:2]].astype(int)
    return (np.abs(rgb - first).sum(axis=2) > np.abs(rgb - second).sum(axis=2)).astype(np.uint8) * 255


def _is_grey(rgb: UInt8[np.ndarray, "h w 3"]) -> bool:
    coloured: Bool[np.ndarray, "h w"] = np.ptp(rgb, axis=2) > _GREY
    return bool(coloured.mean() < 0.005)


def _stretched(values: UInt8[np.ndarray, "h w"], levels: np.ndarray) -> UInt8[np.ndarray, "h w"]:
    """The two commonest levels become black and white, what lies between them keeps its place."""
    if len(levels) > 2 and levels[-1] < _MAX_PARTS:
        raise _parts(len(levels))
    counts = np.bincount(values.ravel(), minlength=256)
    first = int(np.argmax(counts))
    others = np.where(np.abs(np.arange(256) - first) > 2 * _LEVEL_WIDTH, counts, 0)
    second = int(np.argmax(others))
    low, high = sorted((first, second))
    between = np.abs(np.arange(256)[:, None] - [low, high]).min(axis=1) > _LEVEL_WIDTH
    if (between & (counts > _MIN_PART * values.size)).any():
        raise _parts(len(levels))
    if not others.any() or (low <= _LEVEL_WIDTH and high >= 255 - _LEVEL_WIDTH):
        return values
    return np.clip((values.astype(np.float64) - low) * (255 / (high - low)), 0, 255).round().astype(np.uint8)


def _parts(n_values: int) -> Rejected:
    return Rejected(
        "mask_undecodable",
        f"it holds {n_values} flat values, as a map of body parts does; a mask has two, or soft edges",
    )
