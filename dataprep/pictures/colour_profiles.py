"""Colour profiles: what a photograph's numbers mean, converted to sRGB.

Cameras and phones write Adobe RGB and Display P3; read as sRGB, skin comes out grey or too red.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

UNUSABLE = "unusable"
_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # a profile's colour space -> the mode it speaks of
# Relative colorimetric with black point compensation: what browsers and image editors do by default. Colours that
# sRGB lacks are clipped, all others stay.
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION


def to_srgb(image: Image.Image) -> tuple[Image.Image, str | None]:
    """The RGB image in sRGB without its alpha, and the name of the ICC profile that it was converted from.

    The name is None without a profile, and `UNUSABLE` when the profile is damaged or of another kind than the pixels
    (CMYK for an RGB picture): the numbers are then taken for sRGB, as every viewer does.
    """
    profile = image.info.get("icc_profile")
    if not profile:
        return image.convert("RGB"), None
    try:
        return _converted(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, KeyError, ValueError, TypeError):  # what Pillow raises on a damaged profile
        return image.convert("RGB"), UNUSABLE


def _converted(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> tuple[Image.Image, str]:
    mode = _SPACES[profile.profile.xcolor_space.strip()]  # KeyError: Lab and other spaces that no photograph has
    if mode == "RGB" and image.mode != "CMYK":
        image = image.convert("RGB")  # palettes, and grey pictures with an RGB profile
    elif image.mode == "LA":
        image = image.convert("L")
    if image.mode != mode:
        raise ValueError(f"a profile of {mode} in a picture of {image.mode}")
    transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB", _INTENT, _FLAGS)
    name = " ".join(ImageCms.getProfileDescription(profile).split())
    if mode == "RGB" and _is_identity(transform):
        return image, name
    return transform.apply(image), name


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether colours stay within rounding: sRGB itself, under any of its names, is then left as it is."""
    steps = np.arange(0, 256, 51, dtype=np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    there = np.asarray(transform.apply(Image.fromarray(lattice)))
    return int(np.abs(there.astype(int) - lattice).max()) <= 1
