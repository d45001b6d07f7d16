"""A map beside the data set: `OUT/viewer/map-KIND-HOW-KEY.parquet`, whose key is that of the manifest's bytes.

Another manifest has another key, so that no map is shown for rows it was not made from; older files of the same map go.
Where the folder cannot be written, the map lives as long as the viewer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from dataprep.errors import Damaged, StoreError
from dataprep.files.locations import Location, listing
from dataprep.tables.sealed import identity, read_table
from dataprep.tables.store import write_table
from pipelines.viewer.nearness import map_layout
from pipelines.viewer.nearness.feature_rows import FeatureRows

FOLDER = "viewer"


@dataclass(frozen=True, eq=False)
class PortraitMap:
    """Where rows of the manifest lie, within [0, 1]; with the unit vectors it was made from."""

    features: FeatureRows
    points: Float[np.ndarray, "m 2"]

    @property
    def rows(self) -> Int[np.ndarray, " m"]:
        return self.features.rows


def map_path(out: Location, manifest: Sequence[Path], kind: str, how: str) -> Location:
    """Where the map of a manifest lies; reads every byte of the manifest, which is of one file or several."""
    said = f"{' '.join(map(identity, manifest))} {kind} {how} {map_layout.VERSION}"
    return out / FOLDER / f"map-{kind}-{how}-{hashlib.sha256(said.encode()).hexdigest()[:16]}.parquet"


def write_map(path: Location, made: PortraitMap) -> None:
    """Atomic; raises Unwritable. Maps of the same kind from other manifests are removed."""
    table = pa.table({
        "row": pa.array(made.rows, pa.uint32()),
        "point": pa.FixedSizeListArray.from_arrays(pa.array(made.points.astype(np.float32).ravel()), 2),
        "vector": pa.FixedSizeListArray.from_arrays(
            pa.array(made.features.vectors.astype(np.float32).ravel()), made.features.vectors.shape[1]
        ),
    })  # fmt: skip
    said = {"kind": made.features.kind, "network": made.features.network}
    write_table(path, table.replace_schema_metadata(said))
    stem = path.name.rpartition("-")[0]
    for name in listing(path.parent):
        if name.rpartition("-")[0] == stem and name != path.name and name.endswith(".parquet"):
            (path.parent / name).unlink(missing_ok=True)


def read_map(path: Location) -> PortraitMap | None:
    """None where there is none, or a damaged one: it is made again."""
    try:
        if not path.exists():
            return None
        table = read_table(path)
    except (Damaged, StoreError):
        return None
    said = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    columns = [table["row"].to_numpy(), *(_matrix(table[name]) for name in ("point", "vector"))]
    rows, points, vectors = columns
    return PortraitMap(FeatureRows(said["kind"], rows.astype(np.int64), vectors, said["network"]), points)


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    width = column.type.list_size
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(-1, width)
