"""Pictures in the column of a parquet file: img2dataset's format `parquet`, and data sets of the Hugging Face hub.

Such bytes cannot be read by their place, pages are compressed. So they are unpacked into a tar of the data set, once.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.files.filenames import escape
from dataprep.files.foreign_files import MAX_BYTES
from dataprep.files.untrusted import leads_below
from dataprep.inputs.known_facts import NOT_PARQUET, as_text, columns_of, facts_of, parquet_of
from dataprep.inputs.tar_members import Member, TarMembers
from dataprep.tables.layouts import IMAGE_SUFFIXES
from dataprep.tables.store import add_tar_member

_PICTURES = ("image", "img", "picture", "photo", *sorted(suffix.removeprefix(".") for suffix in IMAGE_SUFFIXES))
_ROWS = 16  # at a time: a picture may have many MB


def picture_column(schema: pa.Schema) -> str | None:
    """Return the column that holds pictures: bytes, or as the hub writes them, bytes and a path."""
    for field in schema:
        kind = field.type.field("bytes").type if _is_hub(field.type) else field.type
        if field.name.strip().lower() in _PICTURES and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            return str(field.name)
    return None


def has_pictures(file: IO[bytes]) -> bool:
    """Whether a parquet file has a column of pictures; raises as `unpack` does."""
    with parquet_of(file) as parquet:
        return picture_column(parquet.schema_arrow) is not None


def unpack(file: IO[bytes], tar: tarfile.TarFile, found: TarMembers) -> None:
    """Write the pictures of a table into a tar, and what is known of each into `found`.

    Raises OSError, or one of NOT_PARQUET, when the table cannot be read; what came before stands in `found`.
    """
    with parquet_of(file) as parquet:
        schema = parquet.schema_arrow
        column = picture_column(schema)
        if column is None:
            raise ValueError("no column holds pictures")
        wanted = {*columns_of(schema.names).values(), *({"key", "id"} & set(schema.names)), column}
        for row, content in enumerate(_rows(parquet, sorted(wanted), found)):
            data, path = _bytes_of(content[column])
            if data is None:
                found.left_out += 1
            else:
                found.members.append(_unpacked(tar, row, _name(content, path, column, row), data, content))


def _rows(parquet: pq.ParquetFile, columns: list[str], found: TarMembers) -> Iterator[dict[str, Any]]:
    try:
        for batch in parquet.iter_batches(batch_size=_ROWS, columns=columns, use_threads=False):
            yield from batch.to_pylist()
    except (*NOT_PARQUET, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk or of the object store
            raise
        found.flaw = "a part of it is damaged, and what follows cannot be read"


def _unpacked(tar: tarfile.TarFile, row: int, name: str, data: bytes, content: Mapping[str, Any]) -> Member:
    facts = facts_of(content)
    if len(data) > MAX_BYTES:
        return Member(name, refused="too_large: the file is larger than 1 GiB", facts=facts)
    offset = add_tar_member(tar, f"{row:08d}", data)
    return Member(name, offset, len(data), hashlib.sha256(data).digest(), facts=facts)


def _is_hub(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0


def _bytes_of(value: Any) -> tuple[bytes | None, str | None]:
    if isinstance(value, dict):
        return value.get("bytes"), as_text(value.get("path"))
    return value, None


def _name(content: Mapping[str, Any], path: str | None, column: str, row: int) -> str:
    """What the picture is called below its archive: by its key, its path, or the number of its row."""
    name = as_text(content.get("key")) or path or as_text(content.get("id")) or f"{row:08d}"
    suffix = f".{column}" if f".{column}" in IMAGE_SUFFIXES else ""
    return escape(name) + suffix if leads_below(name) else f"#{row:08d}"
