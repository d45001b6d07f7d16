"""ingest: does the file decode to a photograph that is large enough and not a copy of another?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dataprep.errors import Rejected
from dataprep.pictures.codecs import decode_photograph
from dataprep.settings import number, setting
from dataprep.stages.base import Item, Result, Stage
from dataprep.tables import input_rows
from dataprep.tables.columns import STRING, UINT32, Column

_FROM_LISTS = (("from", "source_url"), ("consent:", "consent"), ("caption:", "caption"))


@dataclass(frozen=True)
class Ingest(Stage):
    """Reads each input once and records what it is; rejects what no later stage could use.

    Reasons: unreadable, link_outside, empty_file, undecodable, missing_decoder, too_large, unsupported_mode, too_small,
    duplicate; of videos no_video and no_frames; of lists not_fetched; of archives
    damaged_archive. A sha256 that is not the one
    that a list says is an error, wrong_hash.
    """

    name: ClassVar[str] = "ingest"
    version: ClassVar[int] = 4
    columns: ClassVar[tuple[Column, ...]] = (
        *input_rows.COLUMNS,
        Column("source_width", UINT32, "width of the upright source image", unit="px", frame="source"),
        Column("source_height", UINT32, "height of the upright source image", unit="px", frame="source"),
        Column(
            "source_profile", STRING, "ICC profile that colours were converted from to sRGB; `unusable`: left as sRGB"
        ),
    )

    min_side_px: int = number(
        128, 1, 100_000, "a photograph whose shorter side is smaller is rejected (`too_small`); px"
    )
    license: str = setting("unspecified", "terms of the photographs, written into every row that no list has terms of")

    @classmethod
    def found(cls, row: Mapping[str, Any]) -> list[str]:
        if row["source_width"] is None:
            return []
        told = [f"{row['source_width']} × {row['source_height']} px, terms {row['license']}"]
        if row.get("clip") is not None:
            told.append(f"{row['clip_time_s']:.3f} s into the video {row['clip']}")
        return told + [f"{what} {row[name]}" for what, name in _FROM_LISTS if row.get(name) is not None]

    def process_item(self, item: Item, tools: None) -> Result:
        row: dict[str, Any] = {**item.row, "license": item.row.get("license") or self.license, "person_index": 0}
        try:
            row |= self._inspect(item)
        except Rejected as rejected:
            return Result.rejected(rejected.reason, rejected.message, row)
        return Result(columns=row)

    def _inspect(self, item: Item) -> dict[str, Any]:
        rgb, profile = decode_photograph(item.source())
        height, width = rgb.shape[:2]
        if item.row["duplicate_of"]:
            raise Rejected("duplicate", f"the same bytes as {item.row['duplicate_of']}")
        if min(width, height) < self.min_side_px:
            raise Rejected("too_small", f"the image is {width} x {height} px, at least {self.min_side_px} are needed")
        return {"source_width": width, "source_height": height, "source_profile": profile}
