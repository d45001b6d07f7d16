"""balance: what a data set's balance is judged by, of every portrait that has a face: the tone of the skin.

It stands before quality, so that the report can say whether portraits of one tone are rejected more often.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dataprep.fits.face.skin_tone import ita_class, skin_tone
from dataprep.frames import geometry
from dataprep.pictures.codecs import decode_mask, decode_rgb
from dataprep.stages.base import Item, Result, Stage
from dataprep.tables.columns import FLOAT, UINT8, Column
from dataprep.tables.labels import CROP_FROM_SOURCE

SKIN_ITA_DEG = "skin_ita_deg"


@dataclass(frozen=True)
class Balance(Stage):
    """Measures the skin's typology angle on the cheeks, without a network. Rejects nothing."""

    name: ClassVar[str] = "balance"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("ingest", "detect", "superres", "matte")
    columns: ClassVar[tuple[Column, ...]] = (
        Column("skin_cheeks", UINT8, "cheeks that look like skin in ordinary light, 0 to 2", frame="portrait"),
        Column(
            SKIN_ITA_DEG,
            FLOAT,
            "individual typology angle atan((L* - 50) / b*) of the cheek that is better lit, CIELAB under D65 (Chardon "
            "et al. 1991): above 55 very light, 41 light, 28 intermediate, 10 tan, -30 brown, else dark. The "
            "photograph's light shifts it by 8 degrees (standard deviation). Null where no cheek looks like skin",
            unit="deg",
            frame="portrait",
        ),
    )

    @classmethod
    def found(cls, row: Mapping[str, Any]) -> list[str]:
        angle_deg = row[SKIN_ITA_DEG]
        if angle_deg is None:
            return ["no cheek looks like skin in ordinary light"]
        return [f"skin tone {angle_deg:.0f}° ITA in this light ({ita_class(angle_deg)})"]

    def process_item(self, item: Item, tools: None) -> Result:
        matrix = np.asarray(item.row[CROP_FROM_SOURCE], np.float64)
        mesh_px = geometry.transform(matrix, np.asarray(item.row["face_mesh478_px"], np.float64)[:, :2])
        portrait, alpha = decode_rgb(item.blob("portrait.png")), decode_mask(item.blob("alpha.png"))
        tone = skin_tone(portrait, alpha, mesh_px)
        return Result(columns={"skin_cheeks": tone.cheeks, SKIN_ITA_DEG: tone.ita_deg})
