"""A large data set as a run leaves it before its aggregates, without a run: parts that hold a donor's columns.

    python -m tools.scale.replayed_parts DONOR OUT ROWS [--processes 2]

Row i is drawn with seed i // 8192. Nine in ten rows are a donor's accepted row, one a lost one. Ids, files, likenesses
and hashes are the row's own: three in ten rows show a person of an earlier row, one in fifty is almost a copy.
Hashes keep the donor's structure, white backgrounds above all: bits that seldom change in the donor seldom change here.
Pictures are tiny, and the same for all rows.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import multiprocessing
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.files.locations import Location
from dataprep.models.face.likeness_file import FEATURES
from dataprep.pictures.codecs import encode_png
from dataprep.stages.aggregate import DatasetView
from dataprep.tables.columns import table_from_rows
from dataprep.tables.parts import blob_position_columns
from dataprep.tables.sealed import seal
from dataprep.tables.sources import Source, part_size_for
from dataprep.tables.store import ROW_COLUMNS, SCHEMA_VERSION, StageRef, Store, add_tar_member, write_json
from pipelines import paper_stages
from pipelines.dataset_view import open_view
from pipelines.engine.dag import Dag, record_of
from pipelines.engine.index import write_index
from pipelines.engine.last_run import remember

BLOCK = 8192  # rows that are drawn together
_LOST, _AGAIN, _COPY = 0.1, 0.3, 0.02


def make_parts(donor: Path, out: Path, rows: int, processes: int = 2) -> DatasetView:
    """Write index and parts of `rows` rows below `out`; returns what an aggregate gets of it."""
    dag = paper_stages.build(["superres.model=span"])
    remember(Store(out), dag)
    write_json(out / "dataset.json", {"schema_version": SCHEMA_VERSION, "part_size": part_size_for(rows)})
    for stage in dag.stages:
        write_json(Store(out).folder(dag.refs[stage.name]) / "stage.json", record_of(dag, stage))
    blocks = range(0, rows, BLOCK)
    write_index(
        out, (source for start in blocks for source in _sources(start, min(BLOCK, rows - start), part_size_for(rows)))
    )
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for done, _ in enumerate(pool.imap_unordered(partial(_write_block, donor, out, rows), blocks), 1):
            print(f"{done}/{len(blocks)} blocks", file=sys.stderr)
    return view_of(out, dag, rows)


def view_of(out: Location, dag: Dag, rows: int) -> DatasetView:
    stages = {stage.name: stage for stage in dag.stages}
    return DatasetView(Store(out), stages, dag.refs, tuple(range(-(-rows // part_size_for(rows)))))


def _ids(start: int, count: int) -> list[str]:
    return [hashlib.sha256(f"row {i}".encode()).hexdigest()[:32] for i in range(start, start + count)]


def _sources(start: int, count: int, part_size: int) -> list[Source]:
    return [
        Source(
            f"{i // 1000:05d}/{i:08d}.jpg",
            100_000,
            hashlib.sha256(sample_id.encode()).digest(),
            sample_id,
            part=i // part_size,
        )
        for i, sample_id in enumerate(_ids(start, count), start)
    ]


@dataclass(frozen=True)
class _Donor:
    """Tables of all map stages, row i of each the same image; which rows are accepted, and how often bits are set."""

    tables: dict[str, pa.Table]
    accepted: np.ndarray
    lost: np.ndarray
    set_part: np.ndarray  # (256,) of the accepted rows' hashes

    @classmethod
    def read(cls, out: Path) -> _Donor:
        view = open_view(out)
        tables = {name: view.table(name) for name in view.stages}
        ok = np.all([np.array(table["status"].to_pylist()) == "ok" for table in tables.values()], axis=0)
        hashes = b"".join(tables["quality"]["portrait_dhash"].take(pa.array(np.flatnonzero(ok))).to_pylist())
        bits = np.unpackbits(np.frombuffer(hashes, np.uint8).reshape(-1, 32), axis=1)
        return cls(tables, np.flatnonzero(ok), np.flatnonzero(~ok), bits.mean(axis=0))


_donors: dict[Path, _Donor] = {}


def _write_block(donor: Path, out: Path, rows: int, start: int) -> None:
    known = _donors.setdefault(donor, _donors.get(donor) or _Donor.read(donor))
    dag = paper_stages.build(["superres.model=span"])
    count = min(BLOCK, rows - start)
    random = np.random.default_rng(start // BLOCK)
    lost = random.random(count) < _LOST
    row = np.where(lost, random.choice(known.lost, count), random.choice(known.accepted, count))
    size = part_size_for(rows)
    own = _own_columns(_sources(start, count, size), start, random, known)
    store = Store(out)
    for stage in dag.stages:
        table = _replaced(known.tables[stage.name].take(pa.array(row)), own)
        tars = _tar_of(stage, dag.refs[stage.name]) if stage.blobs else None
        for first in range(0, count, size):
            _write_part(store, dag.refs[stage.name], (start + first) // size, table.slice(first, size), stage, tars)


def _own_columns(sources: list[Source], start: int, random: np.random.Generator, donor: _Donor) -> dict[str, pa.Array]:
    count = len(sources)
    bits = random.random((count, 256)) < donor.set_part
    copies = np.flatnonzero(random.random(count) < _COPY)
    for i in copies[copies > 0]:
        bits[i] = bits[i - 1]
        bits[i, random.integers(0, 256, 3)] ^= True
    hashes = [one.tobytes() for one in np.packbits(bits, axis=1)]
    person = np.arange(start, start + count)
    again = np.flatnonzero(random.random(count) < _AGAIN)
    person[again] = random.integers(0, start + again + 1)
    likeness = np.stack([_likeness(int(one), random) for one in person])
    return {
        "sample_id": pa.array([source.sample_id for source in sources]),
        "source_path": pa.array([source.path for source in sources]),
        "source_sha256": pa.array([source.sha256 for source in sources], pa.binary(32)),
        "part": pa.array([source.part for source in sources], pa.uint32()),
        "portrait_dhash": pa.array(hashes, pa.binary(32)),
        "likeness": pa.array(list(likeness.astype(np.float32)), pa.list_(pa.float32())),
    }


def _likeness(person: int, random: np.random.Generator) -> np.ndarray:
    vector = np.random.default_rng(person).normal(size=FEATURES)
    vector = vector / np.linalg.norm(vector) + random.normal(size=FEATURES) * 0.04
    return vector / np.linalg.norm(vector)


def _replaced(table: pa.Table, own: dict[str, pa.Array]) -> pa.Table:
    """The row's own values, null where the donor has none."""
    for name, values in own.items():
        if name in table.column_names:
            place, field = table.schema.get_field_index(name), table.schema.field(name)
            values = values.cast(field.type)
            if name not in ("sample_id", "source_path", "source_sha256", "part"):
                values = pa.compute.if_else(
                    table[name].is_valid().combine_chunks(), values, pa.scalar(None, field.type)
                )
            table = table.set_column(place, field, values)
    return table


def _tar_of(stage: Any, ref: StageRef) -> tuple[bytes, dict[str, Any]]:
    """A tar that all parts of a stage share in content: one tiny picture a blob."""
    picture = encode_png(np.random.default_rng(0).integers(0, 255, (12, 12, 3), np.uint8))
    buffer, row = io.BytesIO(), dict[str, Any]()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for blob in stage.blobs:
            row[f"{blob}:offset"] = add_tar_member(tar, f"{ref.name}.{blob}", picture)
            row[f"{blob}:size"], row[f"{blob}:sha256"] = len(picture), hashlib.sha256(picture).digest()
    return buffer.getvalue(), row


def _write_part(
    store: Store, ref: StageRef, part: int, table: pa.Table, stage: Any, tar: tuple[bytes, dict[str, Any]] | None
) -> None:
    metadata = {"part_key": f"{part:016x}", "schema_version": str(SCHEMA_VERSION)}
    path = store.part_path(ref, part)
    names = [column.name for column in (*ROW_COLUMNS, *stage.columns)]
    table = table.select(names)
    if tar:
        data, place = tar
        ok = [status == "ok" for status in table["status"].to_pylist()]
        columns = [column for blob in stage.blobs for column in blob_position_columns(blob)]
        places = table_from_rows(columns, [place if one else {} for one in ok])
        table = pa.Table.from_arrays(
            [*table.columns, *places.columns], schema=pa.schema([*table.schema, *places.schema])
        )
        path.with_suffix(".tar").write_bytes(data)
        metadata |= {"tar_bytes": str(len(data)), "tar_sha256": hashlib.sha256(data).hexdigest()}
    with open(str(path), "w+b") as file:  # no fsync: nobody resumes this
        pq.write_table(table.replace_schema_metadata(metadata), file, compression="zstd", write_statistics=False,
                       write_page_checksum=True)  # fmt: skip
        seal(file)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("donor", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("rows", type=int)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    make_parts(options.donor, options.out, options.rows, options.processes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
