"""`shhq-hs shards build`: rows that `shhq-hs select` chose, as shards of their own."""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dataprep.errors import ConfigError, Damaged, StoreError
from dataprep.files.locations import Location, read_range
from dataprep.files.untrusted import inside, require_sample_ids
from dataprep.report.census import Census
from dataprep.stages.manifest import Manifest
from dataprep.stages.packing import IMAGES, ReadImage, reader_of, write_shards
from dataprep.tables.manifest_files import MANIFEST
from dataprep.tables.review import decisions
from dataprep.tables.sealed import read_table
from dataprep.tables.shard_folders import SHARDS, SHARDS_INDEX, twins
from dataprep.tables.store import write_table
from pipelines.commands.new_folder import require_folder
from pipelines.commands.reviewing.obeyed import obeyed
from pipelines.dataset_view import open_view


def build_shards(out: Path, subset: Path, target: Path, shard_rows: int = Manifest.shard_rows) -> int:
    """Write the selected rows of a subset, but for what reviewers rejected, as a data set: manifest and shards.

    Splits stay as they were, so that nothing moves from validation to training; numbers of shards are new. The marks
    themselves, which name people, stay with the data set.
    """
    if target.resolve() == out.resolve():
        raise ConfigError(f"--out {str(target)!r} is the data set itself; give another folder")
    require_folder(target)
    if (target / MANIFEST).exists() and not (target / SHARDS).is_dir():
        raise StoreError(f"{target} holds a manifest that is not of shards built here; give another folder")
    known = set(Census(out).ids)
    table = _read_subset(subset)
    strangers = [name for name in table["sample_id"].to_pylist() if name not in known]
    if strangers:
        raise ConfigError(
            f"{subset}: {len(strangers)} rows are not of {out} (first: {strangers[0]}); choose again with: "
            f"shhq-hs select {out} EXPRESSION -o FILE"
        )
    table = obeyed(table, decisions(out))
    table = placed(table.filter(table["selected"]), shard_rows)
    if not len(table):
        raise ConfigError(f"{subset} has no row that is selected for training; shards hold accepted portraits only")
    counts = write_shards(table, inside(target, SHARDS, SHARDS_INDEX).parent, images_of(out))
    write_table(target / MANIFEST, table)
    print(f"{target / 'shards'}: {counts['samples']} samples in {counts['shards']} shards")
    return 0


def images_of(out: Location) -> ReadImage:
    """Return a reader of the images of the data set's own shards, compared with their hashes; else of its parts.

    Parts may be waiting to be computed again, the shards are whole until then.
    """
    places = _packed(out)
    emitted = cache(lambda: reader_of(open_view(out)))

    def read(sample_id: str, image: str) -> bytes:
        if (sample_id, image) not in places:
            return emitted()(sample_id, image)
        tar, offset, size, sha256 = places[sample_id, image]
        try:
            data = read_range(tar, offset, size)
        except FileNotFoundError as error:
            raise Damaged(tar, "is missing") from error
        if hashlib.sha256(data).digest() != sha256:
            raise Damaged(tar, f"is damaged: {image} of {sample_id} has other bytes than were written")
        return data

    return read


def _packed(out: Location) -> dict[tuple[str, str], tuple[Location, int, int, bytes]]:
    """Tar, offset, size and sha256 of every image in the shards of a data set, by sample and image."""
    found = {}
    for twin in twins(out / SHARDS):
        for image in IMAGES:
            columns = read_table(twin, ["sample_id", *(f"{image}_{what}" for what in ("offset", "size", "sha256"))])
            for sample_id, *place in zip(*(column.to_pylist() for column in columns.columns), strict=True):
                found[sample_id, image] = (twin.with_suffix(".tar"), *place)
    return found


def _read_subset(path: Path) -> pa.Table:
    try:
        table = read_table(path)
    except StoreError as error:
        raise ConfigError(f"--subset {path}: no readable parquet file ({error}); see: shhq-hs select") from error
    if missing := {"sample_id", "selected", "split", "shard", "shard_row"} - set(table.column_names):
        raise ConfigError(f"--subset {path}: no column {', '.join(sorted(missing))}; make it with: shhq-hs select")
    require_sample_ids(table["sample_id"].to_pylist(), f"--subset {path}")
    return table


def placed(table: pa.Table, shard_rows: int) -> pa.Table:
    """Return the rows sorted by id, those with a split numbered anew within it."""
    table = table.take(pc.sort_indices(table["sample_id"]))
    counts: Counter[str] = Counter()
    places: list[tuple[int | None, int | None]] = []
    for split in table["split"].to_pylist():
        if split is None:
            places.append((None, None))
            continue
        places.append(divmod(counts[split], shard_rows))
        counts[split] += 1
    for name, values in zip(("shard", "shard_row"), zip(*places, strict=True), strict=False):
        at = table.schema.get_field_index(name)
        field = table.schema.field(name)
        table = table.set_column(at, field, pa.array(values, field.type))
    return table
