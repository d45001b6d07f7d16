"""shards: the accepted samples as WebDataset-compatible tar files, each with a parquet twin.

shards/train-00000.tar       <id>.portrait.png <id>.face.png <id>.alpha.png <id>.json, fixed order, mtime 0
shards/train-00000.parquet   the manifest rows of those samples + byte offset, size and sha256 of every image
shards/index.json            shards with rows, bytes and hashes, bases, label statistics; written last
shards/README.md             the data set card, and shards/croissant.json: what others read them by
README.md                    the same card for the folder above, unless somebody's own lies there
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dataprep.files.locations import Location
from dataprep.stages.aggregate import Aggregate, DatasetView, Workers
from dataprep.stages.packing import CARD, CROISSANT, POSITION_COLUMNS, shard_files
from dataprep.stages.shards_by_tasks import shards_by
from dataprep.tables.columns import Column
from dataprep.tables.shard_folders import INDEX_PATH, SHARDS


@dataclass(frozen=True)
class Shards(Aggregate):
    """Packs what the manifest selected; which sample lies where was decided there."""

    name: ClassVar[str] = "shards"
    version: ClassVar[int] = 2
    requires: ClassVar[tuple[str, ...]] = ("manifest", "matte", "face")
    columns: ClassVar[tuple[Column, ...]] = POSITION_COLUMNS
    outputs: ClassVar[tuple[str, ...]] = (INDEX_PATH, f"{SHARDS}/{CARD}", f"{SHARDS}/{CROISSANT}")

    def more_files(self, root: Location) -> dict[str, tuple[int, str]]:
        return shard_files(root / SHARDS)

    def build_by(self, workers: Workers, view: DatasetView, root: Location) -> dict[str, int]:
        return shards_by(workers, view, root)
