"""Where the shards of a data set lie: below its `shards/`, or in a folder of shards that was copied alone."""

from __future__ import annotations

from typing import TypeVar

from dataprep.files.locations import Location

SHARDS, SHARDS_INDEX = "shards", "index.json"
INDEX_PATH = f"{SHARDS}/{SHARDS_INDEX}"  # below a data set
Folder = TypeVar("Folder", bound=Location)


def shard_folder(root: Folder) -> Folder:
    """The folder of the shards of a data set `root`, or `root` itself where it holds nothing but shards."""
    return root / SHARDS if (root / SHARDS).is_dir() else root  # type: ignore[return-value]


def shard_name(split: str, shard: int) -> str:
    """The name of a shard; its tar and its parquet twin have a suffix each."""
    return f"{split}-{shard:05d}"


def twins(folder: Folder, split: str = "*") -> list[Folder]:
    """The parquet twins in a folder of shards, all or those of a split, in order."""
    return sorted(folder.glob(f"{split}-*.parquet"))  # type: ignore[arg-type]
