"""Every picture of a sample: what its photograph was, what stages made of it, small for the grid and whole for a look.

Pictures that stages emitted leave as they lie on disk, pixel for pixel. The photograph leaves upright, in sRGB, as the
labels' coordinates mean it.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from dataprep.errors import ShhqError
from dataprep.files.locations import Location
from dataprep.pictures.codecs import decode_mask, decode_rgb
from dataprep.report.page_pictures import Rgb, read_photograph, shrunk, source_folder
from dataprep.tables.parts import Place
from dataprep.tables.store import StageRef, Store
from pipelines.paper_stages import MAP_STAGES

THUMB_PX = 224
_PNG = b"\x89PNG\r\n\x1a\n"
_KEPT_BYTES, _KEPT_PLACES = 48 << 20, 512
T = TypeVar("T")


@dataclass(frozen=True)
class PictureKind:
    """One way to see a sample. `blob`: what a stage emitted under that name; "" where it is made here."""

    key: str
    title: str
    blob: str = ""


KINDS = (
    PictureKind("photograph", "Photograph"),
    PictureKind("crop", "Native crop", "crop.png"),
    PictureKind("superres", "Super-resolved", "superres.png"),
    PictureKind("cutout", "Cut out"),
    PictureKind("alpha", "Alpha", "alpha.png"),
    PictureKind("portrait", "Portrait", "portrait.png"),
    PictureKind("face", "Face", "face.png"),
)
_BY_KEY = {kind.key: kind for kind in KINDS}


@dataclass(frozen=True)
class EncodedPicture:
    """A picture as it is sent."""

    data: bytes
    mime: str


NO_PICTURE = EncodedPicture(b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>', "image/svg+xml")


class SampleImages:
    """Reads pictures of a data set's samples; None where there is none. Threads may share one."""

    def __init__(self, out: Location, fingerprints: Mapping[str, str]) -> None:
        """`fingerprints`: which variant of each stage the manifest was made from."""
        self._store, self._folder = Store(out), source_folder(out)
        stages = {blob: stage.name for stage in MAP_STAGES for blob in stage.blobs}
        self._refs = {b: StageRef(s, fingerprints[s]) for b, s in stages.items() if s in fingerprints}
        self._thumbs = _Kept(_KEPT_BYTES, lambda picture: len(picture.data) if picture else 64)
        self._places = _Kept(_KEPT_PLACES, lambda _: 1)

    def thumb(self, row: Mapping[str, Any]) -> EncodedPicture | None:
        """The portrait, of lost rows the photograph, at most THUMB_PX on its longer side."""
        return self._thumbs.get(row["sample_id"], lambda: self._made_thumb(row))

    def whole(self, kind: str, row: Mapping[str, Any]) -> EncodedPicture | None:
        """One of KINDS, full size; raises KeyError for another word."""
        known = _BY_KEY[kind]
        if known.blob:
            return _png(self._blob(known.blob, row))
        if kind == "cutout":
            return self._cutout(row)
        rgb = read_photograph(self._folder, row)
        return None if rgb is None else _jpeg(rgb)

    def portrait(self, row: Mapping[str, Any]) -> bytes | None:
        """The portrait as it lies on disk; of `row` only `sample_id` and `part` are read."""
        return self._blob("portrait.png", row)

    def kinds_of(self, row: Mapping[str, Any]) -> list[str]:
        """Which of KINDS there are, without reading them."""
        found = {kind.key for kind in KINDS if kind.blob and self._place(kind.blob, row) is not None}
        found |= {"cutout"} if {"superres", "alpha"} <= found else set()
        found |= {"photograph"} if self._folder is not None and row.get("source_path") else set()
        return [kind.key for kind in KINDS if kind.key in found]

    def _made_thumb(self, row: Mapping[str, Any]) -> EncodedPicture | None:
        try:
            portrait = self._blob("portrait.png", row)
            rgb = decode_rgb(portrait) if portrait else read_photograph(self._folder, row)
        except ShhqError:  # damaged or gone: the grid goes on; opened, the sample says why
            return None
        return None if rgb is None else _webp(shrunk(rgb, THUMB_PX).rgb)

    def _cutout(self, row: Mapping[str, Any]) -> EncodedPicture | None:
        picture, alpha = self._blob("superres.png", row), self._blob("alpha.png", row)
        if picture is None or alpha is None:
            return None
        rgba = np.dstack([decode_rgb(picture), decode_mask(alpha)])
        buffer = io.BytesIO()
        Image.fromarray(rgba).save(buffer, format="PNG", compress_level=1)
        return EncodedPicture(buffer.getvalue(), "image/png")

    def _blob(self, blob: str, row: Mapping[str, Any]) -> bytes | None:
        place = self._place(blob, row)
        return None if place is None else self._store.read_tar(self._refs[blob], int(row["part"]), *place)

    def _place(self, blob: str, row: Mapping[str, Any]) -> Place | None:
        if blob not in self._refs:
            return None
        ref, part = self._refs[blob], int(row["part"])
        return self._places.get((blob, part), lambda: self._part_places(ref, part, blob)).get(row["sample_id"])

    def _part_places(self, ref: StageRef, part: int, blob: str) -> dict[str, Place]:
        try:
            return self._store.places(ref, part, blob)
        except ShhqError:  # a part that was pruned or is damaged: its rows have no such picture; `verify` tells why
            return {}


class _Kept:
    """What was made last, up to a size; made outside the lock, so that pictures are made side by side."""

    def __init__(self, most: int, size: Callable[[Any], int]) -> None:
        self._most, self._size, self._held = most, size, 0
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._held += self._size(value)
            while self._held > self._most and len(self._values) > 1:
                self._held -= self._size(self._values.popitem(last=False)[1])
        return value


def _png(data: bytes | None) -> EncodedPicture | None:
    if data is None:
        return None
    if data.startswith(_PNG):
        return EncodedPicture(data, "image/png")
    return _jpeg(decode_rgb(data))  # what somebody else wrote is not passed on as it is


def _jpeg(rgb: Rgb) -> EncodedPicture:
    return _encoded(rgb, "JPEG", quality=92)


def _webp(rgb: Rgb) -> EncodedPicture:
    return _encoded(rgb, "WEBP", quality=80, method=0)


def _encoded(rgb: Rgb, form: str, **options: Any) -> EncodedPicture:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format=form, **options)
    return EncodedPicture(buffer.getvalue(), f"image/{form.lower()}")
