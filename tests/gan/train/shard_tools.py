"""Changing shards while their index stays true."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.tables.columns import innermost


def set_column(shards: Path, shard: str, name: str, values: list | str) -> None:
    """Replace a column of a parquet twin and keep the index true; vectors become lists of any size."""
    path = shards / f"{shard}.parquet"
    table = pq.read_table(path, partitioning=None)
    field = table.schema.field(name)
    if pa.types.is_fixed_size_list(field.type):
        field = field.with_type(pa.list_(innermost(field.type)))
    array = pa.array([values] * len(table) if isinstance(values, str) else values, field.type)
    table = table.set_column(table.column_names.index(name), field, array)
    pq.write_table(table, path)
    index = json.loads((shards / "index.json").read_text())
    for entry in index["shards"]:
        if entry["name"] == shard:
            entry["parquet"] = {
                "bytes": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
    (shards / "index.json").write_text(json.dumps(index))
