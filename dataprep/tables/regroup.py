"""Write rows that come in one order in another, with a bounded part of them in memory.

A bucket sort over a scratch folder: rows go to the file of the range that their place falls into, then one range after
the other is put in order. Memory holds one batch and one range; the scratch folder holds everything once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int

_MAX_RANGES = 256  # files open at a time


def in_places(
    batches: Iterable[tuple[pa.Table, Int[np.ndarray, "k"]]], rows: int, range_rows: int
) -> Iterator[tuple[int, pa.Table]]:
    """Yield (first place, table) for successive ranges of `range_rows` rows, or a multiple where there are many.

    batches: tables of one schema with the place of each of their rows; together the places are 0 ... rows - 1.
    Dictionary-encoded columns are not supported: scratch files would need one dictionary for all batches.
    """
    range_rows *= -(-rows // (range_rows * _MAX_RANGES)) or 1
    with tempfile.TemporaryDirectory(prefix="shhq-hs-") as scratch:
        count = -(-rows // range_rows)
        files = [Path(scratch) / f"{i}.arrow" for i in range(count)]
        places = _spread(batches, files, range_rows)
        for i, file in enumerate(files):
            with pa.memory_map(str(file)) as source:
                table = pa.ipc.open_stream(source).read_all()
                yield i * range_rows, table.take(pa.array(np.argsort(np.concatenate(places[i]))))
            file.unlink()


def _spread(
    batches: Iterable[tuple[pa.Table, Int[np.ndarray, "k"]]], files: list[Path], range_rows: int
) -> list[list[Int[np.ndarray, "k"]]]:
    """Append each row to the file of its range; returns the places of every file's rows."""
    places: list[list[Int[np.ndarray, "k"]]] = [[] for _ in files]
    writers: dict[int, pa.RecordBatchStreamWriter] = {}
    with ExitStack() as stack:
        for table, place in batches:
            for i in np.unique(place // range_rows):
                chosen = np.flatnonzero(place // range_rows == i)
                if i not in writers:
                    writers[i] = stack.enter_context(pa.ipc.new_stream(str(files[i]), table.schema))
                writers[i].write_table(table.take(pa.array(chosen)).combine_chunks())
                places[i].append(place[chosen])
    return places
