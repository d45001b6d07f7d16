"""Last step of the manifest: its rows in the order of their ids, as one file or as a folder of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.files.file_hashes import file_sha256
from dataprep.files.locations import Location
from dataprep.stages.aggregate import Workers
from dataprep.stages.manifest_decisions import NEAR_DUPLICATE, usual_path
from dataprep.stages.manifest_gathering import MESSAGE, Scratch
from dataprep.stages.verdicts import MESSAGE as REVIEWED_MESSAGE
from dataprep.tables.columns import Column
from dataprep.tables.manifest_files import ManifestFile, piece_name, remove_manifest, write_pieces
from dataprep.tables.ranges import read_array, read_rows
from dataprep.tables.store import ROW_GROUP, write_tables

_MANIFEST_STAGE = "manifest"  # whose name stands in rows that it rejects itself


@dataclass(frozen=True)
class Release:
    """What writers need; `numbers` are the ranges that one of them writes, `path` is where."""

    scratch: Scratch
    path: Location
    columns: tuple[Column, ...]
    metadata: Mapping[str, str]
    labels: tuple[str, ...]
    numbers: tuple[int, ...] = ()
    first_row: int = 0  # of the first of them in the manifest


def release(workers: Workers, task: Release, divided: bool) -> None:
    """Write `task.path`, as a file or divided into a file a range."""
    remove_manifest(task.path, unless_divided=divided)
    every = range(task.scratch.ranges)
    if not divided:
        workers.each(_write, [replace(task, numbers=tuple(every))], "manifest")
        return
    rows = [_own(task.scratch, number).num_rows for number in every]
    firsts = np.cumsum([0, *rows])
    tasks = [
        replace(task, path=task.path / piece_name(i), numbers=(number,), first_row=int(firsts[number]))
        for i, number in enumerate(number for number in every if rows[number])
    ]
    write_pieces(task.path, workers.each(_write, tasks, "manifest"))


def _write(task: Release) -> ManifestFile:
    counted = _Counted(_tables(task))
    write_tables(task.path, counted, task.metadata)
    return ManifestFile(task.path.name, counted.rows, task.path.stat().st_size, file_sha256(task.path))


class _Counted:
    """Tables, and how many rows have gone by."""

    def __init__(self, tables: Iterator[pa.Table]) -> None:
        self._tables, self.rows = tables, 0

    def __iter__(self) -> Iterator[pa.Table]:
        for table in self._tables:
            self.rows += len(table)
            yield table


def _tables(task: Release) -> Iterator[pa.Table]:
    """The rows of the ranges in pieces of `ROW_GROUP`, whatever the ranges' sizes: row groups are bytes of the file."""
    waiting: list[pa.Table] = []
    first = task.first_row
    for number in task.numbers:
        table = _range(task, number, first)
        first += len(table)
        waiting.append(table)
        table = pa.concat_tables(waiting)
        whole = len(table) // ROW_GROUP * ROW_GROUP
        for start in range(0, whole, ROW_GROUP):
            yield table.slice(start, ROW_GROUP).combine_chunks()
        waiting = [table.slice(whole)]
    rest = pa.concat_tables(waiting)
    if len(rest) or not task.first_row + first:
        yield rest.combine_chunks()


def _own(scratch: Scratch, number: int) -> pa.Table:
    return pa.ipc.open_stream(pa.py_buffer(scratch.own(number).read_bytes())).read_all()


def _range(task: Release, number: int, first: int) -> pa.Table:
    """Rows of a range: the manifest's own columns, then every released column of each stage."""
    own = _own(task.scratch, number)
    released = read_rows(task.scratch.all_rows, number)
    if released is None:
        released = _no_rows(task.scratch)
    if not own["sample_id"].combine_chunks().equals(released["sample_id"].combine_chunks()):
        raise ValueError("stages disagree on the order of rows: their parts were made from different indexes")
    decided = {
        "message": _messages(own, released[MESSAGE]),
        "flag_label_outlier": pa.array(_outliers(task, own, slice(first, first + len(own)))),
    }
    fields = [column.field() for column in task.columns]
    columns = [decided[field.name] if field.name in decided else own[field.name] for field in fields]
    released = released.drop_columns(["sample_id", MESSAGE])
    schema = pa.schema([*fields, *released.schema])
    return pa.Table.from_arrays([*columns, *released.columns], schema=schema)


def _no_rows(scratch: Scratch) -> pa.Table:
    found = (read_rows(scratch.all_rows, number) for number in range(scratch.ranges))
    return next(table for table in found if table is not None).slice(0, 0)


def _messages(own: pa.Table, told: pa.ChunkedArray) -> pa.ChunkedArray:
    """What the stages told, but for rows that the manifest itself rejects."""
    mine = pc.fill_null(pc.equal(own["stage"].cast(pa.string()), _MANIFEST_STAGE), False)
    copies = pc.fill_null(pc.equal(own["reason"].cast(pa.string()), NEAR_DUPLICATE[1]), False)
    return pc.if_else(mine, pc.if_else(copies, NEAR_DUPLICATE[2], REVIEWED_MESSAGE), told)


def _outliers(task: Release, own: pa.Table, rows: slice) -> np.ndarray:
    """Selected rows of which the prior may not draw some label."""
    usual = [read_array(usual_path(task.scratch, label), "usual", rows) for label in task.labels]
    kept = np.all(usual, axis=0) if usual else np.ones(len(own), bool)
    return own["selected"].to_numpy() & ~kept
