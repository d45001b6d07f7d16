"""Very small photographs, all different."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

_PER_FOLDER = 1000


def make_tiny_photos(folder: Path, count: int) -> None:
    """`count` PNG files of 4 x 4 pixels, a thousand a folder; number i is drawn with seed i."""
    for i in range(count):
        place = folder / f"{i // _PER_FOLDER:04d}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{i:07d}.png")
