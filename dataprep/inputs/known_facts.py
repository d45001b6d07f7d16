"""What is known of a picture beside its bytes, and under which names lists, img2dataset and others write it.

img2dataset writes a parquet file beside every shard: a row for each URL that it was given, with its `key`, whether the
picture came (`status`), and the user's own columns. It encodes pictures anew unless told otherwise, so that its sha256
is that of the download and not of the file that it wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.files.locations import Location
from dataprep.files.range_reader import reading

NAMES = {
    "path": ("path", "file", "file_name", "filename"),
    "url": ("url", "image_url"),
    "sha256": ("sha256",),
    "license": ("license", "licence"),
    "consent": ("consent",),
    "caption": ("caption", "text"),
}
SHA256 = re.compile(r"[0-9a-f]{64}")
_OF_PICTURES = ("url", "license", "consent", "caption", "sha256")
NOT_PARQUET = (pa.ArrowException, ValueError)


@dataclass(frozen=True)
class PictureFacts:
    """Where a picture came from and under which terms; `url_sha256` is that of the download."""

    url: str | None = None
    license: str | None = None
    consent: str | None = None
    caption: str | None = None
    url_sha256: bytes | None = None

    def or_else(self, other: PictureFacts) -> PictureFacts:
        """Return these facts, and of the other what these do not say."""
        mine = {name: value for name, value in vars(self).items() if value is not None}
        return PictureFacts(**(vars(other) | mine))


NO_FACTS = PictureFacts()


def as_text(value: Any) -> str | None:
    """Return a cell as text; None where there is nothing, or something that is no text and no number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        return None
    return str(value).strip().encode("utf-8", "replace").decode()


def columns_of(names: list[str]) -> dict[str, str]:
    """Return which of a table's columns hold what: our name of it -> the table's."""
    lower = {name.strip().lower(): name for name in reversed(names)}
    return {ours: next(lower[one] for one in theirs if one in lower)
            for ours, theirs in NAMES.items() if any(one in lower for one in theirs)}  # fmt: skip


def facts_of(row: Mapping[str, Any]) -> PictureFacts:
    """Return what a row or a picture's JSON says, whatever else it holds."""
    columns = columns_of([name for name in row if isinstance(name, str)])
    said = {ours: as_text(row[columns[ours]]) if ours in columns else None for ours in _OF_PICTURES}
    sha256 = (said.pop("sha256") or "").lower()
    return PictureFacts(**said, url_sha256=bytes.fromhex(sha256) if SHA256.fullmatch(sha256) else None)


def key_of(name: str) -> str:
    """Return what the files of one sample share: the name up to the first dot behind the last slash."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


@contextmanager
def parquet_of(file: IO[bytes]) -> Iterator[pq.ParquetFile]:
    """Open a parquet file that anybody wrote; raises one of NOT_PARQUET, also inside the block, for what is none.

    An OSError is one of the disk or of the object store: pyarrow's own, of damaged pages, have no number.
    """
    try:
        with pq.ParquetFile(file) as parquet:
            yield parquet
    except OSError as error:
        if error.errno is None:
            raise ValueError(str(error)) from error
        raise


def read_facts(path: Location) -> dict[str, PictureFacts] | None:
    """Return what the parquet file of a shard says, by key; None where it has no keys, so that it is something else.

    Raises OSError, or one of NOT_PARQUET, when it cannot be read.
    """
    with reading(path) as file, parquet_of(file) as parquet:
        names = parquet.schema_arrow.names
        if "key" not in names:
            return None
        wanted = {name for ours, name in columns_of(names).items() if ours in _OF_PICTURES}
        found: dict[str, PictureFacts] = {}
        for batch in parquet.iter_batches(columns=["key", *sorted(wanted)]):
            found |= {str(row["key"]): facts_of(row) for row in batch.to_pylist()}
        return found
