"""likeness: 32 numbers that say who the portrait shows, for people who stand in more than one photograph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dataprep.frames import geometry
from dataprep.models.face.likeness_file import (
    FACE_PX,
    FEATURES,
    LIKENESS_LICENCE,
    LIKENESS_NAME,
    LIKENESS_SHA256,
    chip_from_picture,
    likeness_chip,
)
from dataprep.pictures.codecs import decode_rgb
from dataprep.settings import number
from dataprep.stages.base import Item, Result, Stage, Weight
from dataprep.tables.columns import FLOAT, FLOAT16, Column

if TYPE_CHECKING:
    from dataprep.models.face.likeness_network import LikenessReader


@dataclass(frozen=True)
class Likeness(Stage):
    """Reads the face of the native crop, before super-resolution invents any of it. Reasons: none."""

    name: ClassVar[str] = "likeness"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("ingest", "detect", "crop")
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "likeness",
            FLOAT16,
            "unit vector that says who the face is: the cosine of two is high for one person",
            shape=(FEATURES,),
        ),
        Column("likeness_self", FLOAT, "cosine of the face and its mirror image; low where the vector says little"),
    )

    min_face_px: float = number(
        24.0, 1, 1000, "a face whose eyes, nose and mouth are taken from fewer px across has no likeness; px"
    )

    def weights(self) -> tuple[Weight, ...]:
        return (Weight(LIKENESS_NAME, LIKENESS_SHA256, LIKENESS_LICENCE),)

    def load(self) -> LikenessReader:
        from dataprep.models.face.likeness_network import LikenessReader

        return LikenessReader()

    @classmethod
    def found(cls, row: Mapping[str, Any]) -> list[str]:
        if row["likeness_self"] is None:
            return ["too small a face for a likeness"]
        return [f"the face and its mirror image agree by {row['likeness_self']:.3f} (cosine)"]

    def process_item(self, item: Item, tools: LikenessReader) -> Result:
        native_from_source = item.row["crop_native_from_source"].astype(np.float64)
        landmarks = geometry.transform(native_from_source, item.row["landmarks68_px"])
        if FACE_PX / geometry.scale_of(chip_from_picture(landmarks)) < self.min_face_px:
            return Result()
        read = tools(likeness_chip(decode_rgb(item.blob("crop.png")), landmarks))
        return Result(columns={"likeness": read.vector, "likeness_self": read.self_similarity})
