"""As many distinct photographs of people as wanted, from the shipped ones: other light, framing and tilt."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy.random import Generator, default_rng
from PIL import Image

_SIDE = (0.5, 0.8)  # of the photograph's size
_TILT_DEG = 4.0
_SHIFT = 0.03  # of the side


def make_people(folder: Path, count: int, samples: Path = Path("samples/people")) -> None:
    """Write `count` photographs into `folder`; number i is drawn with seed i, whatever `count` is."""
    folder.mkdir(parents=True)
    originals = sorted(samples.glob("*/p*.jpg"))
    for i in range(count):
        photo = np.asarray(Image.open(originals[i % len(originals)]).convert("RGB"))
        Image.fromarray(vary(photo, default_rng(i))).save(folder / f"{i:05d}.jpg", quality=92)


def vary(photo: UInt8[np.ndarray, "h w 3"], rng: Generator) -> UInt8[np.ndarray, "H W 3"]:
    """The photograph in another size, mirrored or not, tilted, shifted, and in other light (gain by colour, gamma)."""
    if rng.random() < 0.5:
        photo = photo[:, ::-1]
    height, width = photo.shape[:2]
    scale = rng.uniform(*_SIDE)
    size = (round(width * scale), round(height * scale))
    move: Float[np.ndarray, "2 3"] = cv2.getRotationMatrix2D(
        (width / 2, height / 2), rng.uniform(-_TILT_DEG, _TILT_DEG), scale
    )
    centre = np.array(size) * (0.5 + rng.uniform(-_SHIFT, _SHIFT, 2))
    move[:, 2] = move[:, 2] + centre - (width / 2, height / 2)
    moved = cv2.warpAffine(
        np.ascontiguousarray(photo), move, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    light = 255 * (moved / 255) ** rng.uniform(0.8, 1.25) * rng.uniform(0.85, 1.1, 3)
    return light.clip(0, 255).astype(np.uint8)
