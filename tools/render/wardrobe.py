"""What people wear: MakeHuman core assets, their regions in texture space, and recolouring (logos painted out)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = tuple[float, float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom as fractions of the texture


TOP_COLOURS: tuple[Rgb | None, ...] = (
    None, (0.42, 0.06, 0.05), (0.62, 0.60, 0.56), (0.05, 0.16, 0.09), (0.55, 0.38, 0.08), (0.04, 0.05, 0.12), None,
    (0.35, 0.12, 0.22), (0.10, 0.10, 0.11), (0.08, 0.26, 0.36), (0.45, 0.26, 0.16), (0.20, 0.10, 0.28),
    (0.30, 0.42, 0.30),
)  # fmt: skip
BOTTOM_COLOURS: tuple[Rgb | None, ...] = (
    None, (0.030, 0.030, 0.034), None, (0.26, 0.19, 0.12), (0.12, 0.13, 0.15), None, (0.035, 0.05, 0.10),
    (0.09, 0.045, 0.03),
)  # fmt: skip


@dataclass(frozen=True)
class Outfit:
    """A suit of MakeHuman's core; `lower` is the texture box of trousers or skirt, `logo` what to paint out."""

    name: str
    lower: Box | None
    logo: Box | None = None
    tops: tuple[Rgb | None, ...] = TOP_COLOURS
    denim: bool = False  # the box also holds other pieces: only its bluish pixels are trousers


FEMALE_OUTFITS = (
    Outfit("female_elegantsuit01", (0.0, 0.15, 0.78, 0.55)),
    Outfit("female_sportsuit01", (0.0, 0.43, 0.75, 1.0)),
    Outfit("female_casualsuit01", (0.0, 0.43, 0.75, 1.0), (0.69, 0.14, 0.89, 0.32)),
    Outfit("female_casualsuit02", (0.05, 0.40, 0.75, 1.0), (0.69, 0.14, 0.89, 0.32)),
)
MALE_OUTFITS = (
    Outfit("male_casualsuit01", None, tops=(None,)),
    Outfit("male_casualsuit02", (0.0, 0.405, 0.77, 1.0), (0.48, 0.10, 0.66, 0.26)),
    Outfit("male_casualsuit03", (0.0, 0.0, 0.79, 0.59), denim=True),
    Outfit("male_casualsuit04", (0.0, 0.41, 0.76, 1.0), (0.48, 0.10, 0.66, 0.26)),
    Outfit("male_casualsuit05", (0.0, 0.555, 0.61, 1.0)),
    Outfit("male_casualsuit06", (0.0, 0.43, 0.77, 1.0), (0.18, 0.10, 0.73, 0.25)),
    Outfit("male_elegantsuit01", None, tops=(None, (0.010, 0.014, 0.030), (0.06, 0.06, 0.07), (0.12, 0.09, 0.06))),
    Outfit("male_worksuit01", None),
)
SHOES = ("shoes01", "shoes03", "shoes02", "shoes04")

FEMALE_HAIR = ("long01", "bob02", "ponytail01", "Braid01", "long01", "bob01", "ponytail01", "long01")
MALE_HAIR = ("short02", "short04", "short01", "short02", "short03", "short04", "short01", "ponytail01")
AFRICAN_HAIR = ("afro01", "short01", "Braid01", "afro01", "short04")
OTHER_CLOTH = 30.0  # so many times brighter than the rest: a white shirt below a dark suit keeps its colour
COVERS_AN_EYE = ("bob01", "bob02", "short03")  # the subject's right one

# Linear RGB of the mean strand.
HAIR_COLOURS: dict[str, Rgb] = {
    "black": (0.010, 0.009, 0.009),
    "dark_brown": (0.028, 0.017, 0.011),
    "brown": (0.070, 0.038, 0.020),
    "auburn": (0.110, 0.036, 0.016),
    "dark_blond": (0.190, 0.120, 0.058),
    "blond": (0.340, 0.235, 0.120),
    "grey": (0.230, 0.225, 0.220),
    "white": (0.480, 0.470, 0.450),
}
IRISES = ("brown", "blue", "brownlight", "green", "brown", "grey", "brown", "bluegreen", "deepblue")


def linear(srgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    return (srgb / 255.0) ** 2.2


def encoded(light: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Linear light to sRGB-like bytes (gamma 2.2), rounded, clipped."""
    return (np.clip(light, 0.0, 1.0) ** (1 / 2.2) * 255.0 + 0.5).astype(np.uint8)


def _box(shape: tuple[int, ...], box: Box) -> tuple[slice, slice]:
    left, top, right, bottom = box
    return slice(int(top * shape[0]), int(bottom * shape[0])), slice(int(left * shape[1]), int(right * shape[1]))


def _painted(rgb: NDArray[np.uint8], colour: Rgb, reference: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Repaint cloth so that the median of `reference` gets a linear colour and the light-dark pattern stays."""
    light = linear(rgb)
    luminance = light @ np.array([0.2126, 0.7152, 0.0722])
    pattern = luminance / max(float(np.median(luminance[reference])), 1e-4)
    painted = np.clip(pattern, 0.0, 4.0)[..., None] * np.asarray(colour)
    return encoded(np.where(pattern[..., None] > OTHER_CLOTH, light, painted))


def _dominant(rgb: NDArray[np.uint8], where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a region that are not the texture's unused background (its corner colour)."""
    background = np.median(rgb[-6:, :6].reshape(-1, 3), axis=0)
    used = np.abs(rgb.astype(int) - background).sum(axis=-1) > 12
    chosen = where & used
    return chosen if chosen.sum() > 500 else where


def dress(rgba: NDArray[np.uint8], outfit: Outfit, top: Rgb | None, bottom: Rgb | None) -> NDArray[np.uint8]:
    """Texture of an outfit without its logo, upper and lower part recoloured (None keeps the original colour)."""
    rgb = np.ascontiguousarray(rgba[..., :3])
    if outfit.logo is not None:
        rgb = _without_logo(rgb, _box(rgb.shape, outfit.logo))
    lower = np.zeros(rgb.shape[:2], dtype=bool)
    if outfit.lower is not None:
        lower[_box(rgb.shape, outfit.lower)] = True
        if outfit.denim:
            lower &= rgb[..., 2].astype(int) > rgb[..., 0].astype(int) + 8
    for colour, where in ((top, ~lower), (bottom, lower)):
        if colour is not None and where.any():
            median_over = _dominant(rgb, where)
            rgb = np.where(where[..., None], _painted(rgb, colour, median_over), rgb)
    return np.dstack([rgb, rgba[..., 3]])


def _without_logo(rgb: NDArray[np.uint8], box: tuple[slice, slice]) -> NDArray[np.uint8]:
    """Paint the pixels of a print over from the plain cloth around it."""
    cloth = np.median(rgb[box].reshape(-1, 3), axis=0)
    differs = (np.abs(rgb[box].astype(int) - cloth).max(axis=-1) > 28).astype(np.uint8)
    mask = np.zeros(rgb.shape[:2], np.uint8)
    mask[box] = cv2.dilate(differs, np.ones((7, 7), np.uint8))
    return cv2.inpaint(rgb, mask, 5, cv2.INPAINT_TELEA)


def dye_hair(rgba: NDArray[np.uint8], colour: Rgb) -> NDArray[np.uint8]:
    """Hair texture with a given mean linear colour; its pattern is softened where the original is nearly black."""
    rgb = rgba[..., :3]
    strands = rgba[..., 3] > 128
    light = linear(rgb)
    luminance = light @ np.array([0.2126, 0.7152, 0.0722])
    mean = max(float(luminance[strands].mean()), 1e-4)
    pattern = np.clip(luminance / mean, 0.05, 3.5) ** 0.85
    return np.dstack([encoded(pattern[..., None] * np.asarray(colour)), rgba[..., 3]])
