"""A large file to read here and there, wherever it lies: a file of this machine, or an object by ranges."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from dataprep.files.locations import Location, ObjectPath

_PIECE_BYTES = 16 << 20  # of an object: one request


@contextmanager
def reading(path: Location) -> Iterator[IO[bytes]]:
    """Open for reading from any place; raises OSError, then and inside the block."""
    if not isinstance(path, ObjectPath):
        with path.open("rb") as file:
            yield file
        return
    raw: Any = _Ranges(path)
    with io.BufferedReader(raw, _PIECE_BYTES) as buffered:
        yield cast(IO[bytes], buffered)


class _Ranges(io.RawIOBase):
    """An object as `io` wants it."""

    def __init__(self, path: ObjectPath) -> None:
        self._path, self._at, self._size = path, 0, path.stat().st_size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self._size - self._at))
        data = self._path.read_range(self._at, wanted) if wanted else b""
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
