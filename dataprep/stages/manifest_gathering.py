"""First step of the manifest: every part is read once, by a worker, and what others need of it lies in scratch files.

rows-000012     what the manifest releases of the rows, by ranges of ids (`dataprep.tables.ranges`)
facts-000012    arrays in the order of the index: what is decided over all rows at once
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float

from dataprep.duplicates import HASH_BYTES
from dataprep.files.locations import Location
from dataprep.stages.aggregate import DatasetView, Workers
from dataprep.stages.base import Stage
from dataprep.stages.verdicts import Ends
from dataprep.tables.columns import Column
from dataprep.tables.labels import Label, drawn
from dataprep.tables.parts import blob_position_columns
from dataprep.tables.ranges import write_arrays, write_ranges
from dataprep.tables.sampling_weights import AXES
from dataprep.tables.store import ROW_COLUMNS

ROWS_AT_A_TIME = 4096  # of all columns of all stages
MESSAGE = ":message"  # of the stage that did not accept the row; no column has such a name
_LIKENESS = ("likeness", "likeness_self")
_DECISIVE = (*_LIKENESS, "portrait_dhash", "clip")
RANGE_ROWS = 8192  # about so many rows of all columns are in memory at a time


@dataclass(frozen=True)
class Scratch:
    """Where the steps leave what later ones read: `bundles` files of each kind; rows lie in `ranges` ranges of ids."""

    folder: Location
    bundles: int
    ranges: int

    def rows(self, bundle: int) -> Location:
        return self.folder / f"rows-{bundle:06d}"

    def facts(self, bundle: int) -> Location:
        return self.folder / f"facts-{bundle:06d}"

    @cached_property
    def all_rows(self) -> list[Location]:
        return [self.rows(i) for i in range(self.bundles)]

    @cached_property
    def all_facts(self) -> list[Location]:
        return [self.facts(i) for i in range(self.bundles)]

    def own(self, number: int) -> Location:
        """Columns that the manifest decides itself, of one range."""
        return self.folder / f"own-{number:06d}"


@dataclass(frozen=True)
class Gathered:
    """What a worker found in its parts; `words` are few: of each fact that is a word, by the number it has there."""

    rows: int
    words: Mapping[str, tuple[str | None, ...]]


@dataclass(frozen=True)
class _Gathering:
    view: DatasetView
    bundle: int
    scratch: Scratch
    left_out: frozenset[str]


def gather(
    workers: Workers, view: DatasetView, scratch: Scratch, parts_at_a_time: int, own: Sequence[Column]
) -> list[Gathered]:
    """Read all parts and leave rows and facts; `own` are the columns that the manifest makes itself."""
    left_out = frozenset(column.name for column in (*ROW_COLUMNS, *own))
    tasks = [_Gathering(some, i, scratch, left_out) for i, some in enumerate(view.bundles(parts_at_a_time))]
    return workers.each(_gather, tasks, "parts")


def label_key(name: str) -> str:
    """The fact that holds a label, a row a dimension."""
    return f"label:{name}"


def axis_key(name: str) -> str:
    """The fact that holds the bin of an axis of balance."""
    return f"bin:{name}"


def owned(view: DatasetView) -> dict[str, tuple[str, Column]]:
    """The stage of every column, and the column, by name."""
    return {column.name: (name, column) for name, stage in view.stages.items() for column in stage.columns}


def known_labels(view: DatasetView) -> tuple[Label, ...]:
    """Labels that the prior draws, and the data set has."""
    return tuple(label for label in drawn() if label.name in owned(view))


def _gather(task: _Gathering) -> Gathered:
    tables = {name: task.view.table(name, _read_columns(stage)) for name, stage in task.view.stages.items()}
    ids = tables["ingest"]["sample_id"]
    if any(not table["sample_id"].equals(ids) for table in tables.values()):
        raise ValueError("stages disagree on the order of rows: their parts were made from different indexes")
    names = ids.to_pylist()
    ends, owner = Ends.of(tables, task.view.stages, names, task.view.decisions), owned(task.view)
    facts = {"sample_id": np.array(names, "S32"), "stage": ends.stage, "wanted": ends.wanted, **_groups(tables, owner)}
    words = {}
    clips = tables["ingest"]["clip"].to_pylist()
    for name, told in (("status", ends.status), ("reason", ends.reason), ("review", ends.review), ("clip", clips)):
        facts[name], words[name] = _coded(told)
    facts |= _labels(task.view, tables) | _bins(tables, owner)
    write_arrays(task.scratch.facts(task.bundle), facts)
    released = _released(task, tables).append_column(MESSAGE, pa.array(ends.message, pa.string()))
    write_ranges(task.scratch.rows(task.bundle), released, task.scratch.ranges)
    return Gathered(len(ids), words)


def _read_columns(stage: Stage) -> list[str]:
    """Columns of a stage that are released, or decided by."""
    decisive = {
        *_DECISIVE,
        *(label.name for label in drawn()),
        *(axis.column for axis in AXES),
    }
    own = [column.name for column in stage.columns if column.name in decisive or stage.releases(column)]
    return [*(column.name for column in ROW_COLUMNS), *own]


def _coded(words: Sequence[str | None]) -> tuple[np.ndarray, tuple[str | None, ...]]:
    known = {word: number for number, word in enumerate(dict.fromkeys(words))}
    return np.array([known[word] for word in words], np.int32), tuple(known)


def _groups(tables: Mapping[str, pa.Table], owner: Mapping[str, tuple[str, Column]]) -> dict[str, np.ndarray]:
    """What near-duplicates and people are told by; `judged`: the row reached quality with a portrait."""
    hashes = tables["quality"]["portrait_dhash"]
    judged = hashes.is_valid().to_numpy()
    packed = np.zeros((len(judged), HASH_BYTES), np.uint8)
    packed[judged] = np.frombuffer(b"".join(hashes.drop_null().to_pylist()), np.uint8).reshape(-1, HASH_BYTES)
    return {"judged": judged, "hash": packed} | {name: _known(tables, owner[name]) for name in _LIKENESS}


def _labels(view: DatasetView, tables: Mapping[str, pa.Table]) -> dict[str, np.ndarray]:
    owner = owned(view)
    return {label_key(one.name): _known(tables, owner[one.name]).T for one in known_labels(view)}


def _bins(tables: Mapping[str, pa.Table], owner: Mapping[str, tuple[str, Column]]) -> dict[str, np.ndarray]:
    known = [axis for axis in AXES if axis.column in owner]
    return {axis_key(axis.name): axis.bin_of(_known(tables, owner[axis.column])).astype(np.int8) for axis in known}


def _known(tables: Mapping[str, pa.Table], owner: tuple[str, Column]) -> Float[np.ndarray, "n *k"]:
    stage, column = owner
    return _matrix(tables[stage], column)


def _matrix(table: pa.Table, column: Column) -> Float[np.ndarray, "n *k"]:
    """A column of numbers or of lists of them as float32, NaN where null."""
    values = table[column.name]
    if not column.shape:
        return values.cast(pa.float32()).to_numpy()
    known: Bool[np.ndarray, " n"] = values.is_valid().to_numpy()
    matrix = np.full((len(values), math.prod(column.shape)), np.nan, np.float32)
    matrix[known] = pc.list_flatten(values).to_numpy().reshape(int(known.sum()), matrix.shape[1])
    return matrix


def _released(task: _Gathering, tables: Mapping[str, pa.Table]) -> pa.Table:
    """Ids and released columns of every stage."""
    fields, columns = [], []
    for name, table in tables.items():
        hidden = task.left_out | hidden_columns(task.view.stages[name])
        kept = [field for field in table.schema if field.name not in hidden]
        fields += kept
        columns += [table[field.name] for field in kept]
    schema = pa.schema([pa.field("sample_id", pa.string()), *fields])
    return pa.Table.from_arrays([tables["ingest"]["sample_id"], *columns], schema=schema)


def hidden_columns(stage: Stage) -> set[str]:
    """Columns that stay in the part files."""
    positions = {column.name for blob in stage.blobs for column in blob_position_columns(blob)}
    return positions | {column.name for column in stage.columns if not stage.releases(column)}
