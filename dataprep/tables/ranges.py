"""Rows that workers find in one order, for workers that want them in the order of their ids: through scratch files.

Ids are hashes, so equal ranges of ids hold about equally many rows, and the range of a row follows from its id alone.
A worker writes one file: for each range a table, the ranges one after the other, and where each begins. Another reads
one range out of all files. Memory holds what one worker writes, or one range; the scratch folder holds everything once.
Scratch files appear whole, by rename; they are not synced to disk, for nobody goes on with them after a crash.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from dataprep.errors import StoreError
from dataprep.files.foreign_files import why
from dataprep.files.locations import Location, ObjectPath, each, matching, read_range
from dataprep.tables.store import unwritable

_MARK_BYTES = 8  # at the end: how long the JSON of the ranges before it is
_DIGITS = 8  # of an id that say its range
Places = list[tuple[int, int]]  # of each range: offset and bytes


def range_of(ids: Sequence[str], ranges: int) -> Int[np.ndarray, " n"]:
    """Return in which of `ranges` equal ranges each id lies."""
    return np.array([int(one[:_DIGITS], 16) * ranges >> 4 * _DIGITS for one in ids], np.int64)


def write_ranges(path: Location, table: pa.Table, ranges: int) -> None:
    """Write a table that has `sample_id`, its rows sorted by it, range by range."""
    ids = table["sample_id"].to_pylist()
    table = table.take(pa.array(np.argsort(np.array(ids, "S"), kind="stable"))).combine_chunks()
    ends = np.cumsum(np.bincount(range_of(ids, ranges), minlength=ranges))

    def write(file: io.BytesIO) -> None:
        places: Places = []
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            offset = file.tell()
            if end > start:
                with pa.ipc.new_stream(file, table.schema) as stream:
                    stream.write_table(table.slice(start, end - start))
            places.append((offset, file.tell() - offset))
        index = json.dumps(places).encode()
        file.write(index + len(index).to_bytes(_MARK_BYTES, "little"))

    write_scratch(path, write)


def read_rows(paths: Sequence[Location], number: int) -> pa.Table | None:
    """The rows of one range out of all files, sorted by id; None where there is none."""
    found = [table for path in paths if (table := _read_range(path, number)) is not None]
    if not found:
        return None
    table = pa.concat_tables(found)
    if len(found) == 1:
        return table
    return table.take(pa.array(np.argsort(np.array(table["sample_id"].to_pylist(), "S"), kind="stable")))


def _read_range(path: Location, number: int) -> pa.Table | None:
    size = path.stat().st_size
    length = int.from_bytes(read_range(path, size - _MARK_BYTES, _MARK_BYTES), "little")
    places: Places = json.loads(read_range(path, size - _MARK_BYTES - length, length))
    offset, length = places[number]
    return pa.ipc.open_stream(pa.py_buffer(read_range(path, offset, length))).read_all() if length else None


def write_scratch(path: Location, write: Callable[[io.BytesIO], None]) -> None:
    """Make a scratch file by what `write` puts into it; raises Unwritable."""
    buffer = io.BytesIO()
    if isinstance(path, ObjectPath):
        write(buffer)
        path.write_bytes(buffer.getvalue())
        return
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)  # type: ignore[arg-type]
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def write_arrays(path: Location, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as they lie in memory, to be read in pieces."""

    def write(file: io.BytesIO) -> None:
        places = {}
        for name, values in arrays.items():
            places[name] = (file.tell(), str(values.dtype), values.shape)
            file.write(np.ascontiguousarray(values).data)
        index = json.dumps(places).encode()
        file.write(index + len(index).to_bytes(_MARK_BYTES, "little"))

    write_scratch(path, write)


def read_array(path: Location, name: str, rows: slice | None = None) -> np.ndarray:
    """One array of a file, or consecutive rows of it."""
    size = path.stat().st_size
    length = int.from_bytes(read_range(path, size - _MARK_BYTES, _MARK_BYTES), "little")
    offset, dtype, shape = json.loads(read_range(path, size - _MARK_BYTES - length, length))[name]
    first, stop, _ = (rows or slice(None)).indices(shape[0])
    row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * np.dtype(dtype).itemsize
    data = read_range(path, offset + first * row_bytes, max(0, stop - first) * row_bytes)
    return np.frombuffer(data, dtype).reshape(max(0, stop - first), *shape[1:])


def gathered(paths: Sequence[Location], name: str, rows: slice | None = None) -> np.ndarray:
    """The same array of all files, one after the other."""
    return np.concatenate(each(paths[0], lambda path: read_array(path, name, rows), paths))


def clear(folder: Location) -> None:
    """Remove a scratch folder and all that lies in it."""
    if isinstance(folder, ObjectPath):
        for path in matching(folder, "*"):
            path.unlink(missing_ok=True)
    elif folder.is_dir():
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise StoreError(
                f"{folder} cannot be removed: {why(error)}; remove it, and run the command again"
            ) from error


def slices(count: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` that cover `count`."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
