"""A stage in which single images do what real ones sometimes do: crash, hang, never end, eat all memory, raise."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dataprep.pictures.codecs import decode_rgb
from dataprep.stages.base import Item, Result, Stage
from dataprep.stages.ingest import Ingest
from dataprep.tables.columns import FLOAT, Column
from pipelines.engine.dag import Dag, assemble


@dataclass(frozen=True)
class Poisonous(Stage):
    """The file's name decides what happens to it."""

    name: ClassVar[str] = "poisonous"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("ingest",)
    columns: ClassVar[tuple[Column, ...]] = (Column("mean", FLOAT, "mean grey level"),)
    timeout_s: ClassVar[float] = 1.0  # of processor time; ten seconds of the clock are a hang

    def process_item(self, item: Item, tools: None) -> Result:
        name = item.row["source_path"]
        if "segfault" in name:
            ctypes.string_at(0)
        if "hang" in name:
            time.sleep(3600)
        if "spin" in name:
            while True:
                pass
        if "memory" in name:
            return Result(columns={"mean": np.zeros(1 << 44).mean()})  # more than any machine has
        if "glutton" in name:
            return Result(columns={"mean": float(sum(chunk.mean() for chunk in list(_chunks())))})
        if "exception" in name:
            raise RuntimeError("an honest exception")
        return Result(columns={"mean": float(decode_rgb(item.source()).mean())})


def _chunks() -> Iterator[np.ndarray]:
    """More and more memory, really used, until somebody ends it: at most 8 GB."""
    for _ in range(400):
        time.sleep(0.01)
        yield np.ones(20_000_000, np.uint8)


def poison_dag() -> Dag:
    return assemble((Ingest(min_side_px=16), Poisonous()), ())
