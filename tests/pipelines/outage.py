"""A toy DAG with an outage that tests switch on and off: not a parameter, so fingerprints do not see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from dataprep.errors import Rejected
from dataprep.pictures.codecs import decode_rgb, encode_png
from dataprep.stages.base import Item, Result, Stage
from dataprep.stages.ingest import Ingest
from dataprep.tables.columns import FLOAT, Column
from pipelines.engine.dag import Dag, assemble
from pipelines.engine.run import RunSummary, run
from pipelines.executors.serial_executor import SerialExecutor
from tests.pipelines.toy import Inverted, Listing


@dataclass(frozen=True)
class Fragile(Stage):
    """Fails on every image while `outage`, on those whose number ends in `outage_digit` if given; rejects dark ones."""

    name: ClassVar[str] = "brightness"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("ingest",)
    columns: ClassVar[tuple[Column, ...]] = (Column("brightness", FLOAT, "mean grey level"),)
    blobs: ClassVar[tuple[str, ...]] = ("small.png",)
    outage: ClassVar[bool] = False
    outage_digit: ClassVar[str] = ""

    def process_item(self, item: Item, tools: None) -> Result:
        if self.outage and item.row["source_path"].removesuffix(".png").endswith(self.outage_digit):
            raise ConnectionError("the model server is away")
        rgb = decode_rgb(item.source())
        if rgb.mean() < 10:
            raise Rejected("dark", "too dark to see")
        return Result(columns={"brightness": float(rgb.mean())}, blobs={"small.png": encode_png(rgb[::16, ::16])})


def fragile_dag() -> Dag:
    return assemble((Ingest(min_side_px=16), Fragile(), Inverted()), (Listing(),))


def build(photos: Path, out: Path, **parameters: Any) -> RunSummary:
    """Run the fragile DAG in this process."""
    with SerialExecutor() as executor:
        return run(photos, out, fragile_dag(), executor, **parameters)
