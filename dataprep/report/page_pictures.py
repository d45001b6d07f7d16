"""Pictures for people: what stages emitted, the photographs themselves, and thumbnails as data URIs.

The output folder holds no photographs. `runs/source.json` says where they were when the data set was built; a file that
is no longer there, or has other bytes, is left out.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from dataprep.errors import Damaged, Rejected, Unreachable, Unreadable
from dataprep.files.filenames import unescape
from dataprep.files.locations import Location, location
from dataprep.files.untrusted import parse_json
from dataprep.pictures.codecs import decode_rgb
from dataprep.stages.aggregate import DatasetView
from dataprep.tables.input_rows import read_input
from dataprep.tables.parts import Place

Rgb = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True, eq=False)
class Picture:
    """A shrunk picture and how many of its pixels make one pixel of the original."""

    rgb: Rgb
    scale: float

    @cached_property
    def data_uri(self) -> str:
        """WebP inside the page."""
        buffer = io.BytesIO()
        Image.fromarray(self.rgb).save(buffer, format="WEBP", quality=80, method=2)
        return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()

    @property
    def width(self) -> int:
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        return int(self.rgb.shape[0])


def source_folder(out: Location) -> Location | None:
    """The folder of photographs the data set in `out` was last built from, None when unknown or gone."""
    try:
        folder = location(unescape(parse_json((out / "runs" / "source.json").read_text())["source"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return folder if folder.is_dir() else None


def read_photograph(folder: Location | None, row: Mapping[str, Any], out: Location | None = None) -> Rgb | None:
    """The photograph of a manifest row, upright; None when it is gone, changed or no readable image."""
    if folder is None or row["source_path"] is None:  # earlier versions did not say it of rows that failed at ingest
        return None
    try:
        data = read_input(folder, out, row)
        return decode_rgb(data) if hashlib.sha256(data).digest() == row["source_sha256"] else None
    except (Damaged, Unreachable, Unreadable, Rejected):
        return None


class PagePictures:
    """Reads the pictures of a few samples of a data set, whichever parts they lie in."""

    def __init__(self, view: DatasetView, out: Location) -> None:
        self._view = view
        self._folder, self._out = source_folder(out), out
        self._places: dict[tuple[str, str, int], dict[str, Place]] = {}

    def photograph(self, row: Mapping[str, Any], longest_px: int) -> Picture | None:
        rgb = read_photograph(self._folder, row, self._out)
        return None if rgb is None else shrunk(rgb, longest_px)

    def emitted(self, stage: str, blob: str, row: Mapping[str, Any], longest_px: int) -> Picture | None:
        """What `stage` emitted under `blob` for a manifest row (it names the part); None when it did not."""
        part = int(row["part"])
        place = self._part_places(stage, blob, part).get(row["sample_id"])
        return None if place is None else shrunk(decode_rgb(self._view.blob(stage, part, place)), longest_px)

    def _part_places(self, stage: str, blob: str, part: int) -> dict[str, Place]:
        key = (stage, blob, part)
        if key not in self._places:
            self._places[key] = self._view.store.places(self._view.refs[stage], part, blob)
        return self._places[key]


def shrunk(rgb: Rgb, longest_px: int) -> Picture:
    """Area-averaged so that the longer side is at most `longest_px`; never enlarged."""
    height, width = rgb.shape[:2]
    scale = min(1.0, longest_px / max(height, width))
    if scale == 1.0:
        return Picture(rgb, 1.0)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Picture(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), scale)
