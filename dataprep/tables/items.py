"""One image between two stages: what a stage is given (`Item`), and what it says of it (`Result`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from dataprep.errors import Rejected, SourceChanged, Unreadable
from dataprep.files.filenames import unescape
from dataprep.files.foreign_files import read_bytes, require_there
from dataprep.files.locations import Location
from dataprep.tables.columns import Column

Status = Literal["ok", "rejected", "error", "crash", "timeout", "upstream"]


class Declaration(Protocol):
    """What the store must know of a stage: the columns of its rows, and the names of their images."""

    columns: ClassVar[tuple[Column, ...]]
    blobs: ClassVar[tuple[str, ...]]


@dataclass(frozen=True)
class Item:
    """One image on its way through the pipeline.

    `row` holds the ingest columns and those of every stage in `requires`, arrays already in their declared shape.
    """

    sample_id: str
    row: Mapping[str, Any]
    source_root: Location
    read_blob: Callable[[str], bytes] = field(repr=False)

    def blob(self, name: str) -> bytes:
        """The bytes an upstream stage emitted under `name`, for example "crop.png"."""
        return self.read_blob(name)

    def source(self) -> bytes:
        """The source file's bytes; raises SourceChanged when they are not the ones that were indexed, Unreadable when
        they cannot be read now, Unreachable when the whole folder has gone, and Rejected when they could not be read
        for the index.
        """
        if refused := self.row.get("refused"):
            raise Rejected(*refused.split(": ", 1))
        return self._read("source_path", "source_sha256")

    def mask(self) -> bytes | None:
        """The person mask the data set supplies for this image, or None."""
        return self._read("mask_path", "mask_sha256") if self.row.get("mask_path") else None

    def _read(self, path_key: str, sha_key: str) -> bytes:
        try:
            data = read_bytes(self.source_root, unescape(self.row[path_key]))
        except Unreadable:
            require_there(self.source_root)
            raise
        if hashlib.sha256(data).digest() != self.row[sha_key]:
            raise SourceChanged(f"{self.row[path_key]}: the file changed since it was indexed; run the command again")
        return data


@dataclass(frozen=True)
class Result:
    """What a stage says of one item. Columns and blobs are written only when `status` is ok or rejected."""

    status: Status = "ok"
    columns: Mapping[str, Any] = field(default_factory=dict)
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    reason: str = ""
    message: str = ""

    @classmethod
    def rejected(cls, reason: str, message: str, columns: Mapping[str, Any] | None = None) -> Result:
        return cls("rejected", columns or {}, {}, reason, message)
