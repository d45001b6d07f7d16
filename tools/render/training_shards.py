"""Rendered people as a data set that `shhq-hs train` reads.

OUT/people/p00012.parquet    one person: a row a view, labels and PNG files; written whole or not at all
OUT/manifest.parquet, shards/    all people together, as `shhq-hs run` writes them

All views of a person are in one split, and beside each other in the shards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dataprep import __version__
from dataprep.errors import Damaged
from dataprep.stages.body import Body
from dataprep.stages.camera import Camera
from dataprep.stages.face import Face
from dataprep.stages.manifest import OWN_COLUMNS, Manifest
from dataprep.stages.shards import IMAGES, write_shards
from dataprep.tables import input_rows
from dataprep.tables.columns import STRING, UINT32, Column, rows_from_table, table_from_rows
from dataprep.tables.labels import BASES, LABELS, drawn
from dataprep.tables.outliers import label_outliers
from dataprep.tables.sealed import identity, read_table
from dataprep.tables.shard_folders import SHARDS
from dataprep.tables.store import SCHEMA_VERSION, write_table

_SPLIT_STREAM = 6  # of `Recipe.rng`
LICENCE = "CC0-1.0"  # of the assets that the renderer puts together (samples/README.md)
LABEL_NAMES = tuple(label.name for label in LABELS if label.mirrored or label.in_eg3d)  # what training and EG3D read
_DECLARED = {
    column.name: column
    for source in (input_rows.COLUMNS, Body.columns, Face.columns, Camera.columns)
    for column in source
}
_VIEW_COLUMNS = (
    Column("sample_id", STRING, "first 128 bits of sha256(seed, person, view), hex"),
    Column("person", UINT32, "number of the person among those of its seed"),
    *(_DECLARED[name] for name in ("source_path", "source_dataset", "license", *BASES, *LABEL_NAMES)),
)
_PNG_COLUMNS = tuple(Column(name, pa.binary(), f"PNG of the {name}") for name in IMAGES)


def view_row(
    seed: int, person: int, view: int, bases: dict[str, str], labels: dict[str, Any], pngs: dict[str, bytes]
) -> dict[str, Any]:
    """One row of `write_person`: labels by `LABEL_NAMES`, PNG files of portrait, face and alpha."""
    name = f"rendered/{seed}/{person}/{view}"
    return {
        "sample_id": hashlib.sha256(name.encode()).hexdigest()[:32],
        "person": person,
        "source_path": name,
        "source_dataset": "rendered",
        "license": LICENCE,
        **bases,
        **labels,
        **pngs,
    }


def person_file(out: Path, person: int) -> Path:
    """Where a person's views lie."""
    return out / "people" / f"p{person:05d}.parquet"


def is_whole(out: Path, person: int) -> bool:
    """Whether a person's file is there and as it was written."""
    try:
        identity(person_file(out, person))
    except Damaged:
        return False
    return True


def write_person(out: Path, person: int, rows: Sequence[dict[str, Any]]) -> None:
    """Write the views of a person; the same bytes for the same rows."""
    write_table(person_file(out, person), table_from_rows((*_VIEW_COLUMNS, *_PNG_COLUMNS), rows))


def pack(out: Path, seed: int, people: Sequence[int]) -> dict[str, int]:
    """Write manifest and shards of finished people; returns the numbers of samples and shards.

    Raises Damaged where the file of a person is not as it was written.
    """
    names = [column.name for column in _VIEW_COLUMNS]
    views = pa.concat_tables(read_table(person_file(out, person), names) for person in people)
    manifest = _manifest(views, seed)
    of_sample = dict(zip(views["sample_id"].to_pylist(), views["person"].to_pylist(), strict=True))

    @lru_cache(maxsize=1)
    def pngs(person: int) -> dict[str, dict[str, bytes]]:
        rows = read_table(person_file(out, person), ["sample_id", *IMAGES]).to_pylist()
        return {row["sample_id"]: row for row in rows}

    counts = write_shards(manifest, out / SHARDS, lambda sample, image: pngs(of_sample[sample])[sample][image])
    write_table(out / "manifest.parquet", manifest)
    return counts


def _manifest(views: pa.Table, seed: int) -> pa.Table:
    """Place every view in a split and a shard."""
    shard_rows, placed = Manifest().shard_rows, {"train": 0, "val": 0}
    rows, content = [], rows_from_table(views)
    splits = [split_of(seed, row["person"]) for row in content]
    outliers = label_outliers({one.name: np.stack([row[one.name] for row in content]) for one in drawn()}, splits)
    for row, split, outlier in zip(content, splits, outliers, strict=True):
        shard, shard_row = divmod(placed[split], shard_rows)
        placed[split] += 1
        place = {"split": split, "shard": shard, "shard_row": shard_row, "selected": True}
        rows.append({**row, **place, "status": "ok", "flag_label_outlier": bool(outlier), "models": "{}"})
    columns = {column.name: column for column in (*OWN_COLUMNS, *_VIEW_COLUMNS)}
    metadata = {"schema_version": str(SCHEMA_VERSION), "code_version": __version__, "stages": "{}"}
    return table_from_rows(tuple(columns.values()), rows).replace_schema_metadata(metadata)


def split_of(seed: int, person: int) -> str:
    """The split of all views of a person, whatever the number of people."""
    share = np.random.default_rng(np.random.SeedSequence((seed, person, _SPLIT_STREAM))).random()
    return "val" if share < Manifest().val_fraction else "train"
