"""A large data set for the report from a small one: its rows, repeated under new ids until there are enough.

Labels and thumbnails are real (those of the small one), difference hashes are random, parts hold 64 rows. Only what
the report and the owner's tools read is written: the manifest, the index of portraits, the log.

    python -m tests.many_rows build/shhq-hs build/many 40000
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.models.face.likeness_file import FEATURES
from dataprep.stages.aggregate import DatasetView
from dataprep.tables.store import StageRef, Store, write_table
from pipelines import paper_stages
from pipelines.engine.last_run import current_stages

PART_ROWS = 64


def multiply(source: Path, out: Path, rows: int, refs: dict[str, StageRef] | None = None) -> DatasetView:
    """Write a data set of `rows` rows below `out` and return the view that an aggregate gets of it."""
    refs = refs or {name: stage.ref for name, stage in current_stages(Store(source)).items()}
    small = pq.read_table(source / "manifest.parquet", partitioning=None)
    origin = np.arange(rows) % len(small)
    ids = sorted((hashlib.sha256(f"{i}".encode()).hexdigest()[:32], int(k)) for i, k in enumerate(origin))
    order = np.array([k for _, k in ids])
    table = _renamed(small.take(pa.array(order)), [name for name, _ in ids])
    out.mkdir(parents=True)
    write_table(out / "manifest.parquet", table)
    stages = {stage.name: stage for stage in paper_stages.build().stages}
    parts = _write_portraits(Store(source), Store(out), refs["matte"], small, table, order)
    _write_log(out, parts, [*stages])
    if (source / "runs" / "source.json").exists():
        shutil.copy(source / "runs" / "source.json", out / "runs" / "source.json")
    return DatasetView(Store(out), stages, refs, tuple(range(parts)))


def _renamed(table: pa.Table, ids: list[str]) -> pa.Table:
    """New ids, parts of 64 rows, every hash another one and every portrait a cluster of its own."""
    n, random = len(table), np.random.default_rng(0)
    hashes = random.integers(0, 256, (n, 32), np.uint8)
    judged = table["portrait_dhash"].is_valid().to_pylist()
    values = {
        "sample_id": pa.array(ids),
        "part": pa.array(np.arange(n) // PART_ROWS, pa.uint32()),
        "portrait_dhash": pa.array([h.tobytes() if ok else None for h, ok in zip(hashes, judged, strict=True)],
                                   table.schema.field("portrait_dhash").type),
        "dup_cluster": pa.array([i if ok else None for i, ok in enumerate(judged)], pa.uint32()),
        "person": pa.array([one if ok else None for one, ok in zip(ids, judged, strict=True)], pa.string()),
    }  # fmt: skip
    values["likeness"] = _likenesses(random, judged, table.schema.field("likeness").type)
    for name, column in values.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), column)
    return table


def _likenesses(random: np.random.Generator, judged: list[bool], kind: pa.DataType) -> pa.Array:
    """Unit vectors in groups of some ten that resemble one another, as relatives might."""
    groups = random.normal(size=(-(-len(judged) // 10), FEATURES))
    vectors = groups[random.integers(0, len(groups), len(judged))] + 0.5 * random.normal(size=(len(judged), FEATURES))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    values = [vector.astype(np.float16) if ok else None for vector, ok in zip(vectors, judged, strict=True)]
    return pa.array(values, kind)


def _write_portraits(
    source: Store, store: Store, ref: StageRef, small: pa.Table, table: pa.Table, order: np.ndarray
) -> int:
    """One tar with every portrait of the small data set, hard-linked to all parts; each part's rows point into it."""
    blobs, positions = bytearray(), {}
    for part in sorted(set(small["part"].to_pylist())):
        for row in source.rows(ref, part):
            if row["portrait.png:offset"] is not None:
                data = source.read_tar(ref, part, row["portrait.png:offset"], row["portrait.png:size"])
                positions[row["sample_id"]] = (len(blobs), len(data))
                blobs += data
    small_ids, ids = small["sample_id"].to_pylist(), table["sample_id"].to_pylist()
    found = [positions.get(small_ids[k], (None, None)) for k in order]
    store.folder(ref).mkdir(parents=True)
    first = store.part_path(ref, 0).with_suffix(".tar")
    first.write_bytes(bytes(blobs))
    parts = -(-len(ids) // PART_ROWS)
    for part in range(parts):
        rows = slice(part * PART_ROWS, (part + 1) * PART_ROWS)
        offsets, sizes = zip(*found[rows], strict=True)
        columns = {
            "sample_id": ids[rows],
            "portrait.png:offset": pa.array(offsets, pa.uint64()),
            "portrait.png:size": pa.array(sizes, pa.uint64()),
        }
        pq.write_table(pa.table(columns), store.part_path(ref, part))
        if part:
            os.link(first, store.part_path(ref, part).with_suffix(".tar"))
    return parts


def _write_log(out: Path, parts: int, stages: list[str]) -> None:
    path = out / "runs" / "20260101T000000-host-1" / "events.jsonl"
    path.parent.mkdir(parents=True)
    event = {"event": "part", "counts": {"ok": PART_ROWS}, "seconds": 12.5, "memory_mib": 900}
    lines = (json.dumps(event | {"stage": stage, "part": part}) for stage in stages for part in range(parts))
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    multiply(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
