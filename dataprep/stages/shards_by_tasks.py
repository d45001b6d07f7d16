"""The shards of a large data set: which rows are where, then one task for some shards at a time.

places-000012   where the images of rows lie in the parts' tars, by ranges of ids (`dataprep.tables.ranges`)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from dataprep.cards.facts import Facts, facts_of
from dataprep.files.locations import Location
from dataprep.files.untrusted import require_sample_ids
from dataprep.stages.aggregate import DatasetView, Workers
from dataprep.stages.packing import IMAGES, ReadImage, Told, counted_labels, finish_shards, write_shard
from dataprep.tables.manifest_files import MANIFEST, ManifestReader
from dataprep.tables.parts import Place, blob_position_columns
from dataprep.tables.ranges import clear, range_of, read_rows, write_ranges
from dataprep.tables.shard_folders import SHARDS, shard_name

_PARTS_AT_A_TIME = 64
_RANGE_ROWS = 8192
_SHARDS_AT_A_TIME = 4  # neighbours in the manifest: what they read around their own rows is read once
_BLOCK_ROWS = 2048


@dataclass(frozen=True)
class Shard:
    """Where a shard's rows lie in the manifest: between `first` and `last`, among those of other shards."""

    split: str
    number: int
    first: int
    last: int


@dataclass(frozen=True)
class _Task:
    view: DatasetView
    root: Location
    folder: Location
    ranges: int
    bundle: int = 0
    shards: tuple[Shard, ...] = ()


def shards_by(workers: Workers, view: DatasetView, root: Location) -> dict[str, int]:
    """Write all shards of the manifest below `root`; returns counts."""
    folder = root / "stages" / "shards" / "scratch"
    clear(folder)
    manifest = ManifestReader(root / MANIFEST)
    shards, rows, models = _shards(manifest)
    ranges = -(-rows // _RANGE_ROWS) or 1
    bundles = [_Task(some, root, folder, ranges, i) for i, some in enumerate(view.bundles(_PARTS_AT_A_TIME))]
    workers.each(_find_places, bundles, "places")
    without_parts = _Task(view.without_parts(), root, folder, ranges, len(bundles))
    tasks = [
        _Task(without_parts.view, root, folder, ranges, len(bundles), tuple(some))
        for _, of_split in itertools.groupby(shards, lambda one: one.split)
        for some in _in_groups(list(of_split))
    ]
    entries = [entry for some in workers.each(_write, tasks, "shards") for entry in some]
    (statistics,) = workers.each(_statistics, [root / MANIFEST], "statistics") if shards else ({},)
    (facts,) = workers.each(_facts, [root / MANIFEST], "card")
    counts = finish_shards(root / SHARDS, entries, Told(manifest.schema, models, statistics, facts))
    clear(folder)
    return counts


def _in_groups(shards: list[Shard]) -> Iterator[list[Shard]]:
    for start in range(0, len(shards), _SHARDS_AT_A_TIME):
        yield shards[start : start + _SHARDS_AT_A_TIME]


def _shards(manifest: ManifestReader) -> tuple[list[Shard], int, str]:
    """All shards by name, the rows of the manifest, and the models of the first selected one."""
    ends: dict[tuple[str, int], list[int]] = {}
    rows, models = 0, ""
    for batch in manifest.batches(["split", "shard", "models"], _BLOCK_ROWS):
        table = pa.Table.from_batches([batch])
        selected = np.flatnonzero(table["split"].is_valid().to_numpy())
        if len(selected):
            chosen = table.take(pa.array(selected))
            models = models or chosen["models"][0].as_py()
            for row, key in zip(
                selected, zip(*(chosen[n].to_pylist() for n in ("split", "shard")), strict=True), strict=True
            ):
                ends.setdefault(key, [rows + int(row), 0])[1] = rows + int(row)
        rows += len(batch)
    return [Shard(*key, *ends[key]) for key in sorted(ends, key=lambda one: shard_name(*one))], rows, models or "{}"


def _find_places(task: _Task) -> None:
    view = task.view
    columns: dict[str, list[Any]] = {}
    for image, (stage, blob) in IMAGES.items():
        names = ["sample_id", *(column.name for column in blob_position_columns(blob))]
        tables = [view.store.table(view.refs[stage], part, names) for part in view.parts]
        columns["sample_id"] = [name for table in tables for name in table["sample_id"].to_pylist()]
        columns["part"] = [part for part, table in zip(view.parts, tables, strict=True) for _ in range(len(table))]
        for name, kind in zip(names[1:], ("offset", "size", "sha256"), strict=True):
            columns[f"{image}:{kind}"] = [
                value
                for table in tables
                for value in (table[name].to_pylist() if name in table.column_names else [None] * len(table))
            ]
    kinds = {"offset": pa.uint64(), "size": pa.uint64(), "sha256": pa.binary(32), "part": pa.uint32()}
    arrays = {
        name: pa.array(values, kinds.get(name.rpartition(":")[2], pa.string())) for name, values in columns.items()
    }
    write_ranges(task.folder / f"places-{task.bundle:06d}", pa.table(arrays), task.ranges)


def _write(task: _Task) -> list[dict[str, Any]]:
    """Write some shards of one split; returns their entries of the index."""
    rows = _manifest_rows(ManifestReader(task.root / MANIFEST, whole=False), task.shards)
    require_sample_ids(rows["sample_id"].to_pylist(), "the manifest")
    read_image = _reader(task, rows["sample_id"].to_pylist())
    found = []
    for shard in task.shards:
        own = rows.filter(pa.compute.equal(rows["shard"], shard.number))
        found.append(write_shard(task.root / SHARDS, shard_name(shard.split, shard.number), own, read_image))
    return found


def _manifest_rows(manifest: ManifestReader, shards: tuple[Shard, ...]) -> pa.Table:
    """The rows of shards of one split; no more of the manifest is read than lies around them."""
    wanted = pa.array(sorted(shard.number for shard in shards), pa.uint16())
    pieces = []
    for table in manifest.row_groups(min(shard.first for shard in shards), max(shard.last for shard in shards)):
        of_split = pa.compute.equal(table["split"].cast(pa.string()), shards[0].split)
        chosen = pa.compute.and_(of_split, pa.compute.is_in(table["shard"], wanted))
        pieces.append(table.filter(pa.compute.fill_null(chosen, False)))
    return pa.concat_tables(pieces).unify_dictionaries()


def _reader(task: _Task, ids: list[str]) -> ReadImage:
    paths = [task.folder / f"places-{i:06d}" for i in range(task.bundle)]
    wanted = pa.array(ids)
    places: dict[str, dict[str, Any]] = {}
    for number in np.unique(range_of(ids, task.ranges)):
        table = read_rows(paths, int(number))
        if table is not None:
            chosen = table.filter(pa.compute.is_in(table["sample_id"], wanted))
            places |= {row["sample_id"]: row for row in chosen.to_pylist()}

    def read(name: str, image: str) -> bytes:
        row = places[name]
        place = Place(row[f"{image}:offset"], row[f"{image}:size"], row[f"{image}:sha256"])
        return task.view.blob(IMAGES[image][0], row["part"], place)

    return read


def _facts(manifest: Location) -> Facts:
    reader = ManifestReader(manifest, whole=False)
    return facts_of(lambda names: map(_table, reader.batches(names, _BLOCK_ROWS)), reader.schema)


def _table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def _statistics(manifest: Location) -> Mapping[str, Mapping[str, list[float]]]:
    """Mean and deviation of labels over the selected rows, added up row by row, however many are read at once."""
    reader = ManifestReader(manifest, whole=False)
    found = {}
    for label in counted_labels(reader.schema):
        count, total = 0, None
        for values in _selected(reader, label.name):
            count, total = count + len(values), _plus(total, values)
        assert total is not None
        mean, squares = total / count, None
        for values in _selected(reader, label.name):
            squares = _plus(squares, np.square(values - mean))
        assert squares is not None
        found[label.name] = {"mean": mean.round(6).tolist(), "std": np.sqrt(squares / count).round(6).tolist()}
    return found


def _selected(reader: ManifestReader, name: str) -> Iterator[Float[np.ndarray, "n k"]]:
    for batch in reader.batches(["selected", name], _BLOCK_ROWS):
        chosen = batch.filter(batch["selected"])[name]
        if len(chosen):
            yield np.array(chosen.to_pylist(), np.float64)


def _plus(total: Float[np.ndarray, " k"] | None, values: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " k"]:
    return (values if total is None else np.concatenate([total[None], values])).sum(axis=0)
