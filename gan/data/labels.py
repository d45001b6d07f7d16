"""Label arrays of a data set, in the units and frames of the manifest's columns of the same names."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from gan.data.errors import ShardCorrupt

LABEL_SHAPES: dict[str, tuple[int, ...]] = {
    "camera_pitch_yaw": (2,),
    "face_pitch_yaw": (2,),
    "joints_zyx": (6, 3),
    "bfm_id": (80,),
    "bfm_exp": (64,),
    "smpl_betas": (10,),
    "landmarks68": (68, 2),
}


@dataclass(frozen=True, eq=False)
class Labels:
    """One row a sample, float32. Angles in radians, landmarks in portrait pixels, coefficients in deviations."""

    camera_pitch_yaw: Float[np.ndarray, "n 2"]
    face_pitch_yaw: Float[np.ndarray, "n 2"]
    joints_zyx: Float[np.ndarray, "n 6 3"]
    bfm_id: Float[np.ndarray, "n 80"]
    bfm_exp: Float[np.ndarray, "n 64"]
    smpl_betas: Float[np.ndarray, "n 10"]
    landmarks68: Float[np.ndarray, "n 68 2"]

    def __len__(self) -> int:
        return len(self.camera_pitch_yaw)

    def take(self, rows: Any) -> "Labels":
        """Return the rows of an index array, a slice or a boolean mask."""
        return Labels(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def concatenate(parts: Iterable[Labels]) -> Labels:
    """Stack rows."""
    every = list(parts)
    return Labels(**{name: np.concatenate([getattr(part, name) for part in every]) for name in LABEL_SHAPES})


def labels_from_table(table: pa.Table, source: str) -> Labels:
    """Read the label columns of a parquet twin; raise ShardCorrupt where a value is null or has another length."""
    return Labels(**{name: _array(table[name], shape, f"{source}: {name}") for name, shape in LABEL_SHAPES.items()})


def _array(column: pa.ChunkedArray, shape: tuple[int, ...], what: str) -> np.ndarray:
    lists = column.combine_chunks()
    size = int(np.prod(shape))
    if lists.null_count or not np.all(np.diff(lists.offsets.to_numpy()) == size):
        raise ShardCorrupt(f"{what} has a row without {size} values; build the shards again: shhq-hs run")
    values = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, *shape)
    if not np.isfinite(values).all():
        raise ShardCorrupt(f"{what} holds values that are not finite; build the shards again: shhq-hs run")
    return values
