"""sha256 of files: ours, read whenever somebody asks, and those of models, which are large and stay as they are."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from dataprep.files.locations import Location, ObjectPath


def file_sha256(path: Location) -> str:
    """Hex digest of a file's bytes, read in pieces."""
    if isinstance(path, ObjectPath):
        return path.sha256()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered_sha256(path: Path) -> str:
    """`file_sha256`, read once a process as long as the file's size and time of writing stay as they are."""
    stat = path.stat()
    return _sha256_of_version(path.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _sha256_of_version(path: Path, size: int, mtime_ns: int) -> str:
    return file_sha256(path)
