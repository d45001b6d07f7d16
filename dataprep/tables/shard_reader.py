"""The pictures of a data set's shards, by index: what training, the Python interface and exports read them with.

A sample is found by the byte offsets of the parquet twin and read with one `pread`: no unpacking, no index in memory
but a few numbers a sample, and nothing shared between loader processes. On an object store the `pread` is a GET.
"""

from __future__ import annotations

import bisect
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import UInt8

from dataprep.errors import ConfigError, Damaged, Rejected, ShardCorrupt, ShardsMissing
from dataprep.files.file_hashes import file_sha256
from dataprep.files.locations import Location, ObjectPath
from dataprep.files.untrusted import parse_json, require_sample_ids, require_shard_name
from dataprep.pictures.codecs import decode_mask, decode_rgb
from dataprep.tables.sealed import read_table
from dataprep.tables.shard_folders import SHARDS_INDEX, shard_folder
from dataprep.tables.store import SCHEMA_VERSION

Split = Literal["train", "val"]
ImageName = Literal["portrait", "face", "alpha"]
IMAGE_NAMES: tuple[ImageName, ...] = ("portrait", "face", "alpha")
_REPAIR = "copy it again, or: shhq-hs verify OUT --repair, then the run that built it"
_POSITIONS = tuple(f"{name}_{what}" for name in IMAGE_NAMES for what in ("offset", "size", "sha256"))


@dataclass(frozen=True)
class _Shard:
    tar: Location
    first: int  # index of its first sample
    offset_N3: np.ndarray = field(repr=False)
    size_N3: np.ndarray = field(repr=False)
    sha256_N3: list[tuple[bytes, ...]] = field(repr=False)


class ShardFiles:
    """Pictures of shards by the index of their sample. Safe to pickle and to fork.

    An image is compared with its sha256 when it is decoded, which takes many times as long; with `verify`, also where
    its bytes alone are read.
    """

    def __init__(self, verify: bool = False) -> None:
        self.verify = verify
        self.sample_ids: list[str] = []
        self._shards: list[_Shard] = []
        self._starts: list[int] = []
        self._descriptors: dict[Location, int] = {}

    def add(self, tar: Location, table: pa.Table) -> None:
        """Take one shard more: its tar, and the rows of its twin."""
        self._starts.append(len(self.sample_ids))
        self._shards.append(_shard(tar, len(self.sample_ids), table))
        self.sample_ids += table["sample_id"].to_pylist()

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def picture_bytes(self) -> int:
        """What all portraits and faces take in their shards."""
        columns = [IMAGE_NAMES.index("portrait"), IMAGE_NAMES.index("face")]
        return int(sum(shard.size_N3[:, columns].sum() for shard in self._shards))

    def image(self, index: int, name: ImageName, side_px: int | None = None) -> UInt8[np.ndarray, "h w *c"]:
        """Decode an image, (H, W, 3) or (H, W) for alpha; a smaller `side_px` averages areas, a larger one is refused.

        Area averaging keeps the mean and does not alias; enlarging would train on blur.
        """
        content = self._read(index, name, verify=True)
        try:
            image = decode_mask(content) if name == "alpha" else decode_rgb(content)
        except Rejected as error:
            raise ShardCorrupt(f"{self._where(index, name)}: {error.message}") from error
        height, width = image.shape[:2]
        if side_px is None or side_px == height == width:
            return image
        if side_px > min(height, width):
            raise ConfigError(
                f"{self._where(index, name)} is {width} x {height} pixels, {side_px} were asked for; "
                "train at most at the resolution of the data"
            )
        return np.asarray(cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_AREA))

    def read(self, index: int, name: ImageName) -> bytes:
        """Return the bytes of an image file as they lie in the tar."""
        return self._read(index, name, self.verify)

    def _read(self, index: int, name: ImageName, verify: bool) -> bytes:
        shard, row, column = *self._locate(index), IMAGE_NAMES.index(name)
        size = int(shard.size_N3[row, column])
        content = self._bytes(shard.tar, int(shard.offset_N3[row, column]), size)
        if len(content) != size:
            raise ShardCorrupt(f"{self._where(index, name)}: the tar ends early; {_REPAIR}")
        if verify and hashlib.sha256(content).digest() != shard.sha256_N3[row][column]:
            raise ShardCorrupt(f"{self._where(index, name)}: other bytes than were written; {_REPAIR}")
        return content

    def digest(self, index: int, name: ImageName) -> bytes:
        """Return the sha256 of an image file as the parquet twin has it."""
        shard, row = self._locate(index)
        return shard.sha256_N3[row][IMAGE_NAMES.index(name)]

    def _locate(self, index: int) -> tuple[_Shard, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        shard = self._shards[bisect.bisect_right(self._starts, index) - 1]
        return shard, index - shard.first

    def _where(self, index: int, name: str) -> str:
        return f"{self._locate(index)[0].tar}: {self.sample_ids[index]}.{name}.png"

    def _bytes(self, tar: Location, offset: int, size: int) -> bytes:
        if isinstance(tar, ObjectPath):
            return tar.read_range(offset, size)
        return os.pread(self._descriptor(tar), size, offset)

    def _descriptor(self, tar: Path) -> int:
        # `pread` moves no file position, so that a forked child may read through its parent's descriptors.
        if tar not in self._descriptors:
            self._descriptors[tar] = os.open(tar, os.O_RDONLY)
        return self._descriptors[tar]

    def close(self) -> None:
        """Close this process's files; reading opens them again."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    def __del__(self) -> None:
        if hasattr(self, "_descriptors"):
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_descriptors": {}}


def twin_tables(
    roots: Sequence[Location], splits: Sequence[str], columns: Sequence[str] | None, optional: Sequence[str] = ()
) -> Iterator[tuple[Location, pa.Table]]:
    """Tar path and parquet twin of every shard, after comparing sizes, hashes and row counts with the index.

    Columns are those named (None: all) and of `optional` those that are there. Raises ShardsMissing where there are
    none or one is not there, ShardCorrupt where one is not as it was written.
    """
    needed = ["sample_id", *_POSITIONS, *(columns or ())]
    for root in roots:
        folder = shard_folder(root)
        for entry in _index(folder)["shards"]:
            require_shard_name(entry["name"], folder / SHARDS_INDEX)
            if entry["name"].rpartition("-")[0] not in splits:
                continue
            for suffix in ("tar", "parquet"):
                _compare_size(folder / f"{entry['name']}.{suffix}", entry[suffix]["bytes"])
            path = folder / f"{entry['name']}.parquet"
            table = _read_columns(path, needed, optional, entry["parquet"]["sha256"], columns is None)
            if len(table) != entry["rows"]:
                raise ShardCorrupt(f"{path} has {len(table)} rows, the index says {entry['rows']}: shhq-hs run")
            require_sample_ids(table["sample_id"].to_pylist(), path)
            yield path.with_suffix(".tar"), table


def once(shards: Iterable[tuple[Location, pa.Table]]) -> Iterator[tuple[Location, pa.Table]]:
    """Leave out samples that an earlier data set has: the same photograph under the same name, as `merge` does."""
    seen: set[str] = set()
    for tar, table in shards:
        fresh = [name not in seen for name in table["sample_id"].to_pylist()]
        seen.update(table["sample_id"].to_pylist())
        yield tar, table if all(fresh) else table.filter(pa.array(fresh))


def without(table: pa.Table, left_out: Collection[str], dropped: list[str]) -> pa.Table:
    """Drop the rows of some ids, and add to `dropped` which they were."""
    if not left_out:
        return table
    rows = pc.is_in(table["sample_id"], pa.array(sorted(left_out), pa.string()))
    dropped += table["sample_id"].filter(rows).to_pylist()
    return table.filter(pc.invert(rows))


def _index(folder: Location) -> Any:
    path = folder / SHARDS_INDEX
    try:
        index = parse_json(path.read_text())
    except FileNotFoundError:
        raise ShardsMissing(f"{path}: no such file. Build a data set first: shhq-hs run PHOTOS --out OUT") from None
    except (OSError, ValueError) as error:
        raise ShardCorrupt(f"{path} cannot be read ({error}); build the shards again: shhq-hs run") from error
    if index.get("schema_version") != SCHEMA_VERSION:
        raise ShardCorrupt(f"{path} has schema {index.get('schema_version')}, this version reads {SCHEMA_VERSION}")
    return index


def _compare_size(path: Location, expected: int) -> None:
    if not path.is_file():
        raise ShardsMissing(f"{path}: no such file, though index.json names it; build the shards again: shhq-hs run")
    if path.stat().st_size != expected:
        raise ShardCorrupt(
            f"{path} has {path.stat().st_size:,} bytes, index.json says {expected:,}; copy it again or: shhq-hs run"
        )


def _read_columns(
    path: Location, columns: Sequence[str], optional: Sequence[str], sha256: str, every: bool
) -> pa.Table:
    try:
        table = read_table(path, None if every else [*columns, *optional])
    except Damaged as error:
        raise ShardCorrupt(f"{path} {error.what}; {_REPAIR}") from error
    if file_sha256(path) != sha256:
        raise ShardCorrupt(f"{path} has other bytes than index.json says; {_REPAIR}")
    if missing := sorted(set(columns) - set(table.column_names)):
        raise ShardCorrupt(f"{path} has no column {', '.join(missing)}; build the shards again: shhq-hs run")
    if every:
        return table
    return table.select([*columns, *(name for name in optional if name in table.column_names)])


def _shard(tar: Location, first: int, table: pa.Table) -> _Shard:
    offset, size = (
        np.stack([table[f"{name}_{what}"].to_numpy() for name in IMAGE_NAMES], axis=1) for what in ("offset", "size")
    )
    digests = zip(*(table[f"{name}_sha256"].to_pylist() for name in IMAGE_NAMES), strict=True)
    return _Shard(tar, first, offset.astype(np.int64), size.astype(np.int64), list(digests))
