"""One image between two stages: what a stage is given (`Item`), and what it says of it (`Result`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from dataprep.errors import Damaged, Rejected, SourceChanged, Unreadable, WrongHash
from dataprep.files.filenames import unescape
from dataprep.files.foreign_files import read_bytes, require_there
from dataprep.files.locations import Location
from dataprep.tables.columns import Column
from dataprep.tables.input_rows import IN_OUT, read_input

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
    out: Location | None = None  # the data set, which holds frames of videos and what was downloaded

    def blob(self, name: str) -> bytes:
        """The bytes an upstream stage emitted under `name`, for example "crop.png"."""
        return self.read_blob(name)

    def source(self) -> bytes:
        """The source file's bytes; raises SourceChanged when they are not the ones that were indexed, Unreadable when
        they cannot be read now, Unreachable when the whole folder has gone, Rejected when they could not be read for
        the index, and WrongHash when a list said another sha256.
        """
        if refused := self.row.get("refused"):
            reason, message = refused.split(": ", 1)
            raise WrongHash(message) if reason == WrongHash.reason else Rejected(reason, message)
        return self._compared(lambda: read_input(self.source_root, self.out, self.row), "source_path", "source_sha256")

    def mask(self) -> bytes | None:
        """The person mask the data set supplies for this image, or None."""
        if not (path := self.row.get("mask_path")):
            return None
        return self._compared(lambda: read_bytes(self.source_root, unescape(path)), "mask_path", "mask_sha256")

    def _compared(self, read: Callable[[], bytes], path_key: str, sha_key: str) -> bytes:
        try:
            data = read()
        except Unreadable:
            require_there(self.source_root)
            raise
        if hashlib.sha256(data).digest() != self.row[sha_key]:
            if self.out is not None and (place := self.row.get("source_place") or "").startswith(IN_OUT):
                raise Damaged(self.out / place.removeprefix(IN_OUT), "is damaged: it has other bytes than were written")
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
