"""What stands in the JSON beside the pictures of a sample, and in which order: who streams tars reads no twin.

Everything that the twin says of the sample: who and whose it is, the labels in the order of their list, then every
score, flag and measure. Left out are hashes and places, which are of the files, and what says how a lost row ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from dataprep.tables.columns import innermost
from dataprep.tables.labels import BASES, LABELS

FIRST = ("sample_id", "source_path", "license", *BASES)
_BOOKKEEPING = {
    "status", "stage", "reason", "message", "selected", "shard", "shard_row", "part", "models", "duplicate_of",
    "source_bytes", "mask_path", "mask_sha256", "openpose", "portrait_dhash", "source_sha256", "url_sha256",
}  # fmt: skip
# It is made to recognise people; who asks for it finds it in the twins (the card says what that means).
_BIOMETRIC = {"likeness"}


def json_fields(schema: pa.Schema) -> tuple[pa.Field, ...]:
    """Return the columns of a manifest that stand in the JSON, in its order."""
    listed = {one.name: one for one in LABELS}
    labels = [name for name, one in listed.items() if one.in_shards]
    others = [name for name in schema.names if name not in {*FIRST, *listed, *_BOOKKEEPING, *_BIOMETRIC}]
    return tuple(schema.field(name) for name in (*FIRST, *labels, *others) if name in schema.names)


def sample_json(row: Mapping[str, Any], fields: tuple[pa.Field, ...]) -> bytes:
    """Return the JSON of a row of `rows_from_table`; arrays are nested as their shape says, what is unknown is null.

    Numbers are the shortest that read back as the same float32 (or float16).
    """
    return json.dumps({field.name: _value(row[field.name], field) for field in fields}, separators=(",", ":")).encode()


def _value(value: Any, field: pa.Field) -> Any:
    if isinstance(value, np.ndarray):
        return _nested(map(_number, value.ravel()), value.shape)
    return _number(innermost(field.type).to_pandas_dtype()(value)) if isinstance(value, float) else value


def _nested(numbers: Iterator[Any], shape: tuple[int, ...]) -> Any:
    return [_nested(numbers, shape[1:]) for _ in range(shape[0])] if shape else next(numbers)


def _number(number: np.generic) -> Any:
    """The float whose text is the shortest that means this number; None where it is none: JSON knows no NaN."""
    if not isinstance(number, np.floating):
        return number.item()
    return float(str(number)) if np.isfinite(number) else None
