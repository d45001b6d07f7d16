"""Parquet files that know whether they are as they were written.

Parquet's own checksums cover the data of pages, not their headers and not the footer: a flipped bit there can name
another column, another encoding or another number of values, and the file still reads. So every table of ours carries
a seal in the gap that the format allows between the last page and the footer, where no reader looks:

    pages | 16 bytes mark, sha256 of everything else, sha256 of the footer | footer, its length, PAR1

A table written again by somebody else has none, and neither have those of earlier versions: their pages' checksums are
verified, and the sha256 of the whole file is their identity. The identity of a sealed file is that of the same file
without its seal, so that both ways of writing the same rows count as the same content.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.errors import Damaged, StoreError
from dataprep.files.foreign_files import why
from dataprep.files.locations import Location, ObjectPath

_MARK = bytes.fromhex("8f5e0a7dd1c34b169be2604f73a8d52c")
SEAL_BYTES = len(_MARK) + 32 + 32
_TAIL_BYTES = 8  # the footer's length and PAR1
_SIMILAR_BYTES = 12  # of the mark: damage must not make a sealed file pass for one that never was
_PIECE_BYTES = 8 << 20


def seal(file: IO[bytes]) -> str:
    """Insert the seal into a parquet file on disk that has just been written through `file`; returns its identity."""
    file.flush()
    with open(file.name, "rb") as written:
        size = written.seek(0, os.SEEK_END)
        footer_at = _footer_at(written, size)
        written.seek(0)
        digest = hashlib.sha256()
        for piece in _pieces(written, footer_at):
            digest.update(piece)
        footer = written.read()
    digest.update(footer)
    file.seek(footer_at)
    file.write(_MARK + digest.digest() + hashlib.sha256(footer).digest() + footer)
    return digest.hexdigest()


def read_table(path: Location, columns: Sequence[str] | None = None) -> pa.Table:
    """A table of ours, whole or those of `columns` that it has; every byte of the file has been verified.

    Raises Damaged when the file is missing or not as it was written, StoreError when it cannot be read now.
    """
    return read_identified(path, columns)[0]


def read_identified(path: Location, columns: Sequence[str] | None = None) -> tuple[pa.Table, str]:
    """`read_table`, and the table's identity in hex."""
    with _reading(path):
        data = _arrow_buffer(path.read_bytes())
        found = _identity(path, memoryview(data))
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            # read_table of pyarrow takes two to five times as long over small files
            return file.read(columns, use_threads=False), found


def identity(path: Location) -> str:
    """The identity of a sealed file, verified, or the sha256 of another, in hex; reads every byte, parses nothing."""
    with _reading(path):
        if isinstance(path, ObjectPath):
            return _identity(path, memoryview(path.read_bytes()))
        with path.open("rb") as file:
            return _identity_of(path, file)


@contextmanager
def open_table(path: Location) -> Iterator[pq.ParquetFile]:
    """A large table, to read column by column: the footer has been verified, pages are verified as they are read.

    Raises Damaged, also for what goes wrong inside the block. An object is fetched whole.
    """
    with _reading(path):
        source: Any = path
        if isinstance(path, ObjectPath):
            source = pa.BufferReader(_arrow_buffer(path.read_bytes()))
        else:
            with path.open("rb") as file:
                _check_footer(path, file)
        with pq.ParquetFile(source, pre_buffer=False, page_checksum_verification=True) as table:
            yield table


@contextmanager
def _reading(path: Location) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise Damaged(path, "is missing") from error
    except MemoryError:  # Arrow's own is an ArrowException, too
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EIO):  # Arrow's own have no number
            raise StoreError(f"{path} cannot be read: {why(error)}") from error
        raise Damaged(path, f"is damaged: it cannot be read: {' '.join(str(error).split())[:120]}") from error


def _identity(path: Location, data: memoryview) -> str:
    return _identity_of(path, io.BytesIO(data))


def _identity_of(path: Location, file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    place = _seal_at(file, size)
    digest = hashlib.sha256()
    if place is None:
        file.seek(0)
        for piece in _pieces(file, size):
            digest.update(piece)
        return digest.hexdigest()
    file.seek(0)
    for piece in _pieces(file, place):
        digest.update(piece)
    written = file.read(SEAL_BYTES)
    footer = file.read()
    digest.update(footer)
    if written != _MARK + digest.digest() + hashlib.sha256(footer).digest():
        raise Damaged(path, "is damaged: it has other bytes than were written")
    return digest.hexdigest()


def _check_footer(path: Location, file: IO[bytes]) -> None:
    place = _seal_at(file, file.seek(0, os.SEEK_END))
    if place is None:
        return
    file.seek(place)
    written, footer = file.read(SEAL_BYTES), file.read()
    if written[-32:] != hashlib.sha256(footer).digest():
        raise Damaged(path, "is damaged: its footer has other bytes than were written")


def _seal_at(file: IO[bytes], size: int) -> int | None:
    """Where the seal begins, by the footer's length or else by its mark; None in a file without one."""
    if size < _TAIL_BYTES:
        return None
    place = _footer_at(file, size) - SEAL_BYTES
    if place >= 0:
        file.seek(place)
        if sum(a == b for a, b in zip(file.read(16), _MARK, strict=False)) >= _SIMILAR_BYTES:
            return place
    return _mark_at(file, size)


def _footer_at(file: IO[bytes], size: int) -> int:
    file.seek(size - _TAIL_BYTES)
    return size - _TAIL_BYTES - int.from_bytes(file.read(4), "little")


def _mark_at(file: IO[bytes], size: int) -> int | None:
    """The last mark of the file: what the footer's length says may itself be damaged."""
    file.seek(0)
    found, before, at = None, b"", 0
    for piece in _pieces(file, size):
        window = before + piece
        if (place := window.rfind(_MARK)) >= 0:
            found = at - len(before) + place
        before, at = window[-15:], at + len(piece)
    return found


def _pieces(file: IO[bytes], size: int) -> Iterable[bytes]:
    while size > 0 and (piece := file.read(min(size, _PIECE_BYTES))):
        size -= len(piece)
        yield piece


def _arrow_buffer(data: bytes) -> Any:
    """Arrow's own memory: its threads let go of a buffer late, and of a Python object not while the process ends."""
    buffer = pa.allocate_buffer(len(data))
    memoryview(buffer).cast("B")[:] = data
    return buffer
