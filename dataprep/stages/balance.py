"""balance: what a data set's balance is judged by, of every portrait that has a face: the tone of the skin.

It stands before quality, so that the report can say whether portraits of one tone are rejected more often. Apparent age
and sex are read only when `balance.apparent` asks, and shown as distributions of the whole data set; they become
columns of the manifest only when `balance.apparent_columns` asks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dataprep.errors import ConfigError
from dataprep.fits.face.skin_tone import ita_class, skin_tone
from dataprep.frames import geometry
from dataprep.models.face.apparent_files import LICENCE, SHA256, find_known
from dataprep.pictures.codecs import decode_mask, decode_rgb
from dataprep.settings import setting
from dataprep.stages.base import Item, Result, Stage, Weight
from dataprep.tables.columns import FLOAT, UINT8, Column
from dataprep.tables.labels import CROP_FROM_SOURCE

if TYPE_CHECKING:
    from dataprep.models.face.apparent import ApparentNetworks

SKIN_ITA_DEG = "skin_ita_deg"
APPARENT_AGE, APPARENT_FEMALE = "apparent_age_years", "apparent_female"


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
        Column(APPARENT_AGE, FLOAT, "how old a network takes the face for; see docs/balance.md for its errors",
               unit="years", released=False),
        Column(APPARENT_FEMALE, FLOAT, "a network's share of female; see docs/balance.md for its errors",
               unit="[0, 1]", released=False),
    )  # fmt: skip

    apparent: bool = setting(False, "read apparent age and sex of faces, for distributions in the report alone")
    apparent_columns: bool = setting(False, "they are columns of the manifest, too; needs `balance.apparent=yes`")
    age_model: str = setting("age-v1.onnx", "network of apparent age, a path or a name in the assets folder")
    sex_model: str = setting("gender-v1.onnx", "network of apparent sex, a path or a name in the assets folder")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.apparent_columns and not self.apparent:
            raise ConfigError("balance.apparent_columns=yes shows what nobody reads; add --set balance.apparent=yes")

    def own_files(self) -> tuple[tuple[str, str], ...]:
        files = (("balance.age_model", self.age_model), ("balance.sex_model", self.sex_model))
        return files if self.apparent else ()

    def weights(self) -> tuple[Weight, ...]:
        found = [find_known(file, name) for name, file in self.own_files()]
        return tuple(Weight(path.name, SHA256[path.name], LICENCE) for path in found)

    def load(self) -> ApparentNetworks | None:
        if not self.apparent:
            return None
        from dataprep.models.face.apparent import ApparentNetworks

        return ApparentNetworks(self.age_model, self.sex_model)

    def releases(self, column: Column) -> bool:
        return column.released or self.apparent_columns

    @classmethod
    def found(cls, row: Mapping[str, Any]) -> list[str]:
        angle_deg = row[SKIN_ITA_DEG]
        if angle_deg is None:
            return ["no cheek looks like skin in ordinary light"]
        return [f"skin tone {angle_deg:.0f}° ITA in this light ({ita_class(angle_deg)})"]

    def process_item(self, item: Item, tools: ApparentNetworks | None) -> Result:
        matrix = np.asarray(item.row[CROP_FROM_SOURCE], np.float64)
        mesh_px = geometry.transform(matrix, np.asarray(item.row["face_mesh478_px"], np.float64)[:, :2])
        portrait, alpha = decode_rgb(item.blob("portrait.png")), decode_mask(item.blob("alpha.png"))
        tone = skin_tone(portrait, alpha, mesh_px)
        columns = {"skin_cheeks": tone.cheeks, SKIN_ITA_DEG: tone.ita_deg}
        if tools is not None:
            looks = tools(portrait, geometry.transform(matrix, np.asarray(item.row["landmarks68_px"], np.float64)))
            columns |= {APPARENT_AGE: looks.age_years, APPARENT_FEMALE: looks.female}
        return Result(columns=columns)
