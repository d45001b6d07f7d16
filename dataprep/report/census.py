"""The manifest as columns: what every number of the report is counted from.

Wide columns are read a few thousand rows at a time, so that memory does not grow with the labels of the data set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float

from dataprep.errors import StoreError
from dataprep.files.locations import Location
from dataprep.files.untrusted import require_sample_ids
from dataprep.tables.columns import flat_numbers, is_vector, rows_from_table
from dataprep.tables.manifest_files import ManifestReader, manifest_of

BLOCK_ROWS = 2048


@dataclass(frozen=True)
class Block:
    """Some rows of some columns; `first` is the place of the first row."""

    first: int
    table: pa.Table

    def __len__(self) -> int:
        return len(self.table)

    @property
    def rows(self) -> slice:
        return slice(self.first, self.first + len(self))

    def floats(self, name: str) -> Float[np.ndarray, " n"]:
        """A scalar column as float64, NaN where null."""
        return _as_float(self.table[name])

    def numbers(self, name: str) -> Float[np.ndarray, " n"]:
        """Every number of a scalar or list column, nulls left out."""
        column = self.table[name]
        return _as_float(flat_numbers(column) if is_vector(column.type) else column.drop_null())

    def matrix(self, name: str) -> Float[np.ndarray, "n k"]:
        """A list column as float32, one row a sample, NaN where null.

        Where every row is null, k is what the column declares, 0 when it does not.
        """
        column = self.table[name].combine_chunks()
        present = ~np.asarray(column.is_null().to_numpy(zero_copy_only=False), bool)
        flat = flat_numbers(self.table[name]).to_numpy(zero_copy_only=False).astype(np.float32)
        width = len(flat) // max(int(present.sum()), 1) or self._declared_width(name)
        out = np.full((len(self), width), np.nan, np.float32)
        out[present] = flat.reshape(-1, width) if width else 0
        return out

    def _declared_width(self, name: str) -> int:
        shape = (self.table.schema.field(name).metadata or {}).get(b"shape", b"").decode()
        return math.prod(map(int, shape.split("x"))) if shape.replace("x", "").isdigit() else 0


class Census:
    """A manifest's columns, in the order of the ids (which are hashes: any prefix is a random sample)."""

    def __init__(self, root: Location) -> None:
        """`root`: the folder of a data set, or a manifest file itself; StoreError when neither has a manifest."""
        named = manifest_of(root)
        if not named.exists():
            raise StoreError(f"{named}: no such file; build it with: shhq-hs run SOURCE --out DIR")
        self.path = named
        self._reader = ManifestReader(named)
        self.schema = self._reader.schema
        self.metadata = {key.decode(): value.decode() for key, value in (self.schema.metadata or {}).items()}
        self.ids: list[str] = self.column("sample_id")
        require_sample_ids(self.ids, named)
        self.statuses: list[str] = self.column("status")
        self.ok: Bool[np.ndarray, " n"] = np.array([status == "ok" for status in self.statuses], bool)
        self.selected: Bool[np.ndarray, " n"] = np.array([bool(chosen) for chosen in self.column("selected")], bool)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def files(self) -> list[Path]:
        """The manifest's files on this machine, one or, where rows are many, several."""
        return self._reader.files

    def has(self, *names: str) -> bool:
        return set(names) <= set(self.schema.names)

    def column(self, name: str) -> list[Any]:
        """Values in id order; all None when the manifest has no such column."""
        if name not in self.schema.names:
            return [None] * len(self)
        return self._read(name).to_pylist()

    def floats(self, name: str) -> Float[np.ndarray, " n"]:
        """A scalar column as float64, NaN where null or absent."""
        if name not in self.schema.names:
            return np.full(len(self), np.nan)
        return _as_float(self._read(name))

    def blocks(self, *names: str) -> Iterator[Block]:
        """All rows, a few thousand at a time, in order."""
        first = 0
        for batch in self._reader.batches(names, BLOCK_ROWS):
            yield Block(first, pa.Table.from_batches([batch]))
            first += len(batch)

    def by_blocks(self, names: Sequence[str], function: Callable[[Block], np.ndarray]) -> np.ndarray:
        """`function` of every block, one after the other."""
        return np.concatenate([function(block) for block in self.blocks(*names)])

    def matrix(self, name: str, columns: slice = slice(None)) -> Float[np.ndarray, "n k"]:
        """A list column (or some of its numbers) as float32, one row a sample, NaN where null; k = 0 when absent."""
        if name not in self.schema.names:
            return np.zeros((len(self), 0), np.float32)
        pieces = [block.matrix(name)[:, columns].copy() for block in self.blocks(name)]
        most = max(piece.shape[1] for piece in pieces)
        empty = np.full((BLOCK_ROWS, most), np.nan, np.float32)
        return np.concatenate([piece if piece.shape[1] == most else empty[: len(piece)] for piece in pieces])

    def width(self, name: str) -> int:
        """How many numbers a list column holds; 0 when every row is null."""
        return max(block.matrix(name).shape[1] for block in self.blocks(name))

    def samples(self, ids: Sequence[str], columns: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Full rows of a few samples, arrays in their shape, by id."""
        names = ["sample_id", *(name for name in columns if name in self.schema.names and name != "sample_id")]
        wanted = set(ids)
        chosen = pa.array([sample_id in wanted for sample_id in self.ids])
        picked = [self._picked(name, chosen) for name in names]
        table = pa.Table.from_arrays(picked, schema=pa.schema([self.schema.field(name) for name in names]))
        return {row["sample_id"]: row for row in rows_from_table(table)}

    def sample_at(self, place: int, columns: Sequence[str]) -> dict[str, Any]:
        """Some columns of the row at `place`, arrays in their shape; only its row group is read."""
        names = ["sample_id", *(name for name in columns if name in self.schema.names and name != "sample_id")]
        found = self._reader.row(place, names)
        if not len(found):
            raise StoreError(f"{self.path}: it has no row {place}")
        return rows_from_table(found.select(names))[0]

    def _picked(self, name: str, rows: pa.Array) -> pa.ChunkedArray:
        pieces = [block.table[name].filter(rows[block.rows]).chunks for block in self.blocks(name)]
        return pa.chunked_array([chunk for chunks in pieces for chunk in chunks], self.schema.field(name).type)

    def rows_where(self, chosen: Bool[np.ndarray, " n"]) -> pa.Table:
        """Whole rows, of the manifest's own schema."""
        pieces, first = [], 0
        for batch in self._reader.batches(self.schema.names, BLOCK_ROWS):
            pieces.append(batch.filter(pa.array(chosen[first : first + len(batch)])))
            first += len(batch)
        return pa.Table.from_batches(pieces, self.schema)

    def _read(self, name: str) -> pa.ChunkedArray:
        return self._reader.read([name])[name]


def _as_float(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False)
