"""Columns: what a stage adds to a row, with unit, frame, shape and meaning in the Arrow field metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float

from dataprep.errors import StoreError

STRING, BOOL, FLOAT = pa.string(), pa.bool_(), pa.float32()
UINT8, UINT16, UINT32, UINT64, INT32 = pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.int32()
FLOAT16 = pa.float16()
HASH256 = pa.binary(32)


@dataclass(frozen=True)
class Column:
    """One column. `shape` is () for scalars, else the array shape that its flat list holds, row-major.

    Lists are of variable size in parts and manifest, though every value has the declared one: parquet readers choke on
    nulls in fixed-size lists, and rows that are not ok have nulls. The shards' twins have no such rows: see `shaped`.
    """

    name: str
    type: pa.DataType
    desc: str
    unit: str = "-"
    frame: str = "-"
    shape: tuple[int, ...] = ()
    released: bool = True  # False: kept in the part files, left out of the manifest

    def field(self) -> pa.Field:
        dtype = pa.list_(self.type) if self.shape else self.type
        shape = "x".join(map(str, self.shape)) or "scalar"
        return pa.field(
            self.name, dtype, metadata={"unit": self.unit, "frame": self.frame, "shape": shape, "desc": self.desc}
        )


def floats(name: str, shape: tuple[int, ...], desc: str, unit: str = "-", frame: str = "-", **kwargs: Any) -> Column:
    """A float32 array column of `shape`."""
    return Column(name, FLOAT, desc, unit, frame, shape, **kwargs)


def table_from_rows(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Build a table; a missing or None value becomes null, arrays are flattened and must have the declared shape."""
    arrays = [_array(column, [row.get(column.name) for row in rows]) for column in columns]
    return pa.Table.from_arrays(arrays, schema=pa.schema([column.field() for column in columns]))


def _array(column: Column, values: list[Any]) -> pa.Array:
    if not column.shape:
        return pa.array([_scalar(value) for value in values], type=column.type)
    size = int(np.prod(column.shape))
    flat: list[Any] = []
    for value in values:
        if value is None:
            flat.append(None)
            continue
        array = np.asarray(value)
        if array.shape != column.shape:
            raise ValueError(f"column {column.name}: shape {array.shape}, expected {column.shape}")
        flat.append(array.reshape(size).tolist())
    return pa.array(flat, type=pa.list_(column.type))


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def rows_from_table(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as dicts; lists become numpy arrays in the shape their metadata declares."""
    names = table.column_names
    decoded = [_decode(table.schema.field(name), table.column(name).to_pylist()) for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*decoded, strict=True)] if names else []


def _decode(field: pa.Field, values: list[Any]) -> list[Any]:
    if not is_vector(field.type):
        return values
    dtype = innermost(field.type).to_pandas_dtype()
    try:
        shape = shape_of(field)
        return [None if value is None else np.asarray(value, dtype=dtype).reshape(shape) for value in values]
    except (KeyError, ValueError, TypeError) as error:
        raise StoreError(f"column {field.name} does not hold arrays of one shape ({error}): it was not written by "
                         "shhq-hs, or is damaged") from error  # fmt: skip


def is_vector(kind: pa.DataType) -> bool:
    """Whether values of this type are lists, of any size or of one."""
    return bool(pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind))


def innermost(kind: pa.DataType) -> pa.DataType:
    """Return the type of the numbers in lists of lists."""
    while is_vector(kind):
        kind = kind.value_type
    return kind


def shape_of(field: pa.Field) -> tuple[int, ...]:
    """Return the shape that a field's metadata declares, () for a scalar; KeyError or ValueError where it has none."""
    said = (field.metadata or {})[b"shape"].decode()
    return () if said == "scalar" else tuple(int(n) for n in said.split("x"))


def flat_numbers(column: pa.ChunkedArray) -> pa.Array:
    """Return every number of a column of numbers or lists, nulls left out, as one array."""
    flat = column.combine_chunks().drop_null()
    while is_vector(flat.type):
        flat = flat.flatten()
    return flat


def shaped(table: pa.Table) -> pa.Table:
    """Return the table with vectors as fixed-size lists, nested as their shape says: every reader then keeps the shape.

    A null vector becomes NaN in every place, since parquet readers choke on nulls in fixed-size lists.
    """
    for at, field in enumerate(table.schema):
        if pa.types.is_list(field.type) and pa.types.is_floating(field.type.value_type):
            array = _fixed(table.column(at), shape_of(field))
            table = table.set_column(at, pa.field(field.name, array.type, metadata=field.metadata), array)
    return table


def _fixed(column: pa.ChunkedArray, shape: tuple[int, ...]) -> pa.Array:
    dtype = column.type.value_type.to_pandas_dtype()
    known = column.is_valid().to_numpy()
    values = np.full((len(column), int(np.prod(shape))), np.nan, dtype)
    values[known] = flat_numbers(column).to_numpy(zero_copy_only=False).reshape(-1, values.shape[1])
    array = pa.array(values.ravel(), column.type.value_type)
    for size in reversed(shape):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array


def unique_names(columns: Iterable[Column]) -> None:
    """Raise ValueError when two columns share a name."""
    seen: set[str] = set()
    for column in columns:
        if column.name in seen:
            raise ValueError(f"column {column.name} is declared twice")
        seen.add(column.name)


def matrix_of(column: pa.ChunkedArray) -> Float[np.ndarray, "n *k"]:
    """Return a column of numbers (n,) or of lists of them (n, k) as float64, NaN where null."""
    if not pa.types.is_list(column.type):
        return column.cast(pa.float64()).to_numpy()
    known = column.is_valid().to_numpy()
    values = pc.list_flatten(column).to_numpy().astype(np.float64)
    width = len(values) // max(1, int(known.sum()))
    matrix = np.full((len(column), width), np.nan)
    matrix[known] = values.reshape(int(known.sum()), width)
    return matrix
