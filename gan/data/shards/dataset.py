"""Random access to the shards of one or several data sets.

A sample is found by the byte offsets of the parquet twin and read with one `pread`: no unpacking, no index in memory
but a few numbers a sample, and nothing shared between loader processes. On an object store the `pread` is a GET.
"""

import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, UInt8

from dataprep.errors import ConfigError, Damaged, Rejected
from dataprep.files.file_hashes import file_sha256
from dataprep.files.locations import Location, ObjectPath
from dataprep.files.untrusted import parse_json, require_sample_ids, require_shard_name
from dataprep.frames.geometry import PORTRAIT_PX
from dataprep.pictures.codecs import decode_mask, decode_rgb
from dataprep.tables.sampling_weights import SAMPLING_WEIGHT
from dataprep.tables.sealed import read_table
from dataprep.tables.shard_folders import SHARDS_INDEX, shard_folder
from dataprep.tables.store import SCHEMA_VERSION
from gan.checkpoint import Bases
from gan.data.errors import MixedBases, ShardCorrupt, ShardsMissing
from gan.data.label_rows import LABEL_SHAPES, concatenate, labels_from_table

Split = Literal["train", "val"]
ImageName = Literal["portrait", "face", "alpha"]
IMAGE_NAMES: tuple[ImageName, ...] = ("portrait", "face", "alpha")
_REPAIR = "copy it again, or: shhq-hs verify OUT --repair, then the run that built it"
_BASES = ("body_model", "body_model_sha256", "face_model", "face_model_sha256")
_POSITIONS = tuple(f"{name}_{what}" for name in IMAGE_NAMES for what in ("offset", "size", "sha256"))


class Sample(NamedTuple):
    """Real images of one person: uint8 RGB (H, W, 3) on white."""

    row: int
    portrait: np.ndarray
    face: np.ndarray


@dataclass(frozen=True)
class _Shard:
    tar: Location
    first: int  # index of its first sample
    offset_N3: np.ndarray = field(repr=False)
    size_N3: np.ndarray = field(repr=False)
    sha256_N3: list[tuple[bytes, ...]] = field(repr=False)


class ShardDataset:
    """Map-style data set over the shards below one or several output folders.

    `labels` and `bases` are those of all samples. An image is compared with its sha256 when it is decoded, which takes
    many times as long; with `verify`, also where its bytes alone are read. Samples
    are in the order of the folders given, then of the shards' names, then of the rows. Safe to pickle and to fork.
    `left_out`: ids that are as if the shards did not hold them; the attribute names those that they hold.
    """

    def __init__(
        self,
        roots: Sequence[Location],
        split: Split = "train",
        portrait_px: int = PORTRAIT_PX,
        face_px: int = 256,
        verify: bool = False,
        left_out: Collection[str] = (),
    ) -> None:
        self.split, self.portrait_px, self.face_px, self.verify = split, portrait_px, face_px, verify
        self._shards: list[_Shard] = []
        tables, dropped, count = [], list[str](), 0
        for tar, every in _twins(roots, split):
            table = _without(every, left_out, dropped)
            self._shards.append(_shard(tar, count, table))
            tables.append((tar, table))
            count += len(table)
        if not count:
            raise ShardsMissing(f"{_listed(roots)}: no samples in the split '{split}'")
        self.left_out = tuple(sorted(dropped))
        self.bases = _one_basis(tables)
        self.labels = concatenate(labels_from_table(table, str(tar)) for tar, table in tables)
        self._weights = _weights([table for _, table in tables])
        self.sample_ids: list[str] = [name for _, table in tables for name in table["sample_id"].to_pylist()]
        self._starts = np.array([shard.first for shard in self._shards])
        self._descriptors: dict[Location, int] = {}

    def __len__(self) -> int:
        return len(self.sample_ids)

    def sampling_weights(self) -> Float[np.ndarray, " n"]:
        """Return how often each sample is to be drawn beside others; 1 on average in each data set.

        Raises ShardsMissing where a data set was built without them.
        """
        if self._weights is None or not np.all(self._weights > 0):
            raise ShardsMissing(
                f"balance=yes: not every sample has a {SAMPLING_WEIGHT}; build the data set again: shhq-hs run"
            )
        return self._weights

    @property
    def picture_bytes(self) -> int:
        """What all portraits and faces take in their shards."""
        columns = [IMAGE_NAMES.index("portrait"), IMAGE_NAMES.index("face")]
        return int(sum(shard.size_N3[:, columns].sum() for shard in self._shards))

    def __getitem__(self, index: int) -> Sample:
        return Sample(index, self.image(index, "portrait", self.portrait_px), self.image(index, "face", self.face_px))

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
        shard = self._shards[int(np.searchsorted(self._starts, index, side="right")) - 1]
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


def _twins(roots: Sequence[Location], split: Split) -> Iterator[tuple[Location, pa.Table]]:
    """Tar path and parquet twin of every shard, after comparing sizes and row counts with the index."""
    columns = ["sample_id", *_BASES, *_POSITIONS, *LABEL_SHAPES]
    for root in roots:
        folder = shard_folder(root)
        for entry in _index(folder)["shards"]:
            require_shard_name(entry["name"], folder / SHARDS_INDEX)
            if not entry["name"].startswith(f"{split}-"):
                continue
            for suffix in ("tar", "parquet"):
                _compare_size(folder / f"{entry['name']}.{suffix}", entry[suffix]["bytes"])
            path = folder / f"{entry['name']}.parquet"
            table = _read_columns(path, columns, (SAMPLING_WEIGHT,), entry["parquet"]["sha256"])
            if len(table) != entry["rows"]:
                raise ShardCorrupt(f"{path} has {len(table)} rows, the index says {entry['rows']}: shhq-hs run")
            require_sample_ids(table["sample_id"].to_pylist(), path)
            yield path.with_suffix(".tar"), table


def _without(table: pa.Table, left_out: Collection[str], dropped: list[str]) -> pa.Table:
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


def _read_columns(path: Location, columns: list[str], optional: tuple[str, ...], sha256: str) -> pa.Table:
    try:
        table = read_table(path, [*columns, *optional])
    except Damaged as error:
        raise ShardCorrupt(f"{path} {error.what}; {_REPAIR}") from error
    if file_sha256(path) != sha256:
        raise ShardCorrupt(f"{path} has other bytes than index.json says; {_REPAIR}")
    if missing := sorted(set(columns) - set(table.column_names)):
        raise ShardCorrupt(f"{path} has no column {', '.join(missing)}; build the shards again: shhq-hs run")
    return table.select([*columns, *(name for name in optional if name in table.column_names)])


def _shard(tar: Location, first: int, table: pa.Table) -> _Shard:
    offset, size = (
        np.stack([table[f"{name}_{what}"].to_numpy() for name in IMAGE_NAMES], axis=1) for what in ("offset", "size")
    )
    digests = zip(*(table[f"{name}_sha256"].to_pylist() for name in IMAGE_NAMES), strict=True)
    return _Shard(tar, first, offset.astype(np.int64), size.astype(np.int64), list(digests))


def _one_basis(tables: Sequence[tuple[Location, pa.Table]]) -> Bases:
    """Return the body and face model all rows agree on."""
    seen: dict[Bases, Location] = {}
    for tar, table in tables:
        for values in sorted(set(zip(*(table[name].to_pylist() for name in _BASES), strict=True)), key=repr):
            if None in values:
                raise ShardCorrupt(f"{tar}: a row does not name its body and face model; build the shards again")
            seen.setdefault(Bases(*values), tar)
    if len(seen) > 1:
        said = " but ".join(f"{tar} was made with {bases}" for bases, tar in seen.items())
        raise MixedBases(
            f"{said}. Coefficients of different bases never mix: train on one of them, or rebuild all with one"
        )
    return next(iter(seen))


def _weights(tables: Sequence[pa.Table]) -> Float[np.ndarray, " n"] | None:
    """Return the sampling weights of all rows, NaN where a row has none; None where a data set has no such column."""
    if any(SAMPLING_WEIGHT not in table.column_names for table in tables):
        return None
    return np.concatenate([table[SAMPLING_WEIGHT].cast(pa.float64()).to_numpy() for table in tables])


def _listed(roots: Sequence[Location]) -> str:
    return ", ".join(str(root) for root in roots) or "no folder given"
