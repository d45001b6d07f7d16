"""Label arrays of a data set, in the units and frames of the manifest's columns of the same names."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from dataprep.errors import ShardCorrupt
from dataprep.tables.columns import flat_numbers
from dataprep.tables.labels import trained

LABEL_SHAPES: dict[str, tuple[int, ...]] = {label.name: label.shape for label in trained()}


@dataclass(frozen=True, eq=False)
class Labels:
    """One row a sample, float32; a field for every label of the list that training reads.

    Angles in radians, landmarks in portrait pixels, coefficients in deviations (`dataprep.tables.labels`).
    """

    __annotations__ = {name: Float[np.ndarray, " ".join(map(str, ("n", *s)))] for name, s in LABEL_SHAPES.items()}

    if TYPE_CHECKING:  # the list alone knows the fields

        def __init__(self, **arrays: np.ndarray) -> None: ...

        def __getattr__(self, name: str) -> np.ndarray: ...

    def __len__(self) -> int:
        return len(next(iter(self.arrays().values())))

    def take(self, rows: Any) -> "Labels":
        """Return the rows of an index array, a slice or a boolean mask."""
        return Labels(**{name: values[rows] for name, values in self.arrays().items()})

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every label's array by its name."""
        return {name: getattr(self, name) for name in LABEL_SHAPES}


def concatenate(parts: Iterable[Labels]) -> Labels:
    """Stack rows."""
    every = list(parts)
    return Labels(**{name: np.concatenate([getattr(part, name) for part in every]) for name in LABEL_SHAPES})


def labels_from_table(table: pa.Table, source: str) -> Labels:
    """Read the label columns of a parquet twin; raise ShardCorrupt where a value is null or has another length."""
    return Labels(**{name: _array(table[name], shape, f"{source}: {name}") for name, shape in LABEL_SHAPES.items()})


def _array(column: pa.ChunkedArray, shape: tuple[int, ...], what: str) -> np.ndarray:
    size = int(np.prod(shape))
    if column.null_count or not _of_one_size(column, size):
        raise ShardCorrupt(f"{what} has a row without {size} values; build the shards again: shhq-hs run")
    values = flat_numbers(column).to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, *shape)
    if not np.isfinite(values).all():
        raise ShardCorrupt(f"{what} holds values that are not finite; build the shards again: shhq-hs run")
    return values


def _of_one_size(column: pa.ChunkedArray, size: int) -> bool:
    """Whether every row holds so many numbers; twins of earlier versions have lists of any size."""
    if pa.types.is_list(column.type):
        return bool(np.all(np.diff(column.combine_chunks().offsets.to_numpy()) == size))
    return len(flat_numbers(column)) == size * len(column)
