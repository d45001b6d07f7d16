"""A small DAG for tests of the machinery: real images in, real parts out, stages that fail on demand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from dataprep.errors import Rejected
from dataprep.pictures.codecs import decode_rgb, encode_png
from dataprep.stages.aggregate import Aggregate, DatasetView
from dataprep.stages.base import Item, Result, Stage
from dataprep.stages.ingest import Ingest
from dataprep.tables.columns import FLOAT, Column, floats
from dataprep.tables.store import atomic_file
from pipelines.engine.dag import Dag, assemble


@dataclass(frozen=True)
class Brightness(Stage):
    """Mean and a small picture; dark images are rejected, images of brightness 99 raise."""

    name: ClassVar[str] = "brightness"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("ingest",)
    columns: ClassVar[tuple[Column, ...]] = (
        Column("brightness", FLOAT, "mean grey level"),
        floats("corners", (2, 2), "grey levels of the corners"),
    )
    blobs: ClassVar[tuple[str, ...]] = ("small.png",)

    gain: float = 1.0
    darkest: float = 10.0

    def process_item(self, item: Item, tools: None) -> Result:
        rgb = decode_rgb(item.source())
        if rgb[0, 0, 0] == 99:
            raise ZeroDivisionError("the number 99\nis unlucky")
        value = float(rgb.mean()) * self.gain
        if value < self.darkest:
            raise Rejected("dark", "too dark to see")
        columns = {"brightness": value, "corners": rgb[[0, 0, -1, -1], [0, -1, 0, -1], 0].reshape(2, 2)}
        return Result(columns=columns, blobs={"small.png": encode_png(rgb[::16, ::16])})


@dataclass(frozen=True)
class Inverted(Stage):
    """Reads the upstream picture."""

    name: ClassVar[str] = "inverted"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("ingest", "brightness")
    columns: ClassVar[tuple[Column, ...]] = (Column("darkness", FLOAT, "255 - mean of the small picture"),)

    offset: float = 0.0

    def process_item(self, item: Item, tools: None) -> Result:
        small = decode_rgb(item.blob("small.png"))
        assert abs(small.mean() - item.row["brightness"]) < 40  # the picture is this item's own
        return Result(columns={"darkness": 255 - float(small.mean()) + self.offset})


@dataclass(frozen=True)
class Listing(Aggregate):
    """All rows as text."""

    name: ClassVar[str] = "listing"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("ingest", "inverted")
    outputs: ClassVar[tuple[str, ...]] = ("listing.txt",)

    def build(self, view: DatasetView, root: Path) -> dict[str, int]:
        rows = view.table("inverted").to_pylist()
        with atomic_file(root / "listing.txt") as file:
            file.write("\n".join(f"{row['sample_id']} {row['status']} {row['darkness']}" for row in rows).encode())
        return {"rows": len(rows)}


def toy_dag(**parameters: float) -> Dag:
    gain, offset = parameters.get("gain", 1.0), parameters.get("offset", 0.0)
    return assemble((Ingest(min_side_px=16), Brightness(gain=gain), Inverted(offset=offset)), (Listing(),))


def make_photos(folder: Path, count: int, first: int = 0) -> None:
    """`count` noisy images; every tenth is dark, one raises, one is broken."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        level = 2 if i % 10 == 3 else 40 + i * 3 % 200
        noise = np.random.default_rng(i).integers(-2, 3, (32, 32, 3)) + level
        if i % 20 == 7:
            noise[0, 0, 0] = 99
        elif noise[0, 0, 0] == 99:
            noise[0, 0, 0] = 98
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(folder / f"photo{i:04d}.png")
    (folder / f"broken{first}.jpg").write_bytes(b"not an image %d" % first)
