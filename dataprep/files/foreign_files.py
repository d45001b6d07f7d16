"""Reading files that are not ours: they may be slow, vanish, change or be no files at all."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dataprep.errors import Unreachable, Unreadable
from dataprep.files.locations import Location, ObjectPath, Status
from dataprep.files.untrusted import leads_below

MAX_BYTES = 1 << 30  # no photograph is larger; a file is held in memory whole
LARGEST_BYTES = 1 << 50  # of videos and archives, which are read in pieces
_PAUSES_S = (0.1, 0.5)  # network file systems hiccup; two more tries
_LASTING = {
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENXIO,
}  # fmt: skip
T = TypeVar("T")


def read_bytes(root: Location, name: str, follow: bool = True) -> bytes:
    """The bytes of `root / name`; raises Unreadable, which says why, when it cannot be read or does not lie below.

    Without `follow` a link is not read. Raises Unreachable when an object store does not answer: that says nothing
    about the file.
    """
    return _patiently(lambda: _read(_below(root, name), follow))


def read_part(root: Location, name: str, offset: int | None, size: int) -> bytes:
    """`size` bytes at `offset` of `root / name`, all of it where there is no offset; raises as `read_bytes` does."""
    if offset is None:
        return read_bytes(root, name)
    data = _patiently(lambda: _part(_below(root, name), offset, size))
    if len(data) != size:
        raise Unreadable("the file cannot be read: it ends early")
    return data


def sha256_of(root: Location, name: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Digest of `root / name`; raises Unreadable, for one that is larger too, and Unreachable."""
    return _patiently(lambda: _digest(_below(root, name), max_bytes))


def state_of(root: Location, name: str) -> os.stat_result | Status:
    """Size and time of writing of `root / name`; raises Unreadable and Unreachable."""
    return _patiently(lambda: _below(root, name).stat())


def require_there(root: Location) -> None:
    """Raise Unreachable when the folder of the photographs is gone or, as after an unmount, empty.

    To be asked when one of its files cannot be read: then that says nothing about the file.
    """
    if isinstance(root, ObjectPath):
        return
    try:
        with os.scandir(root) as entries:
            if next(entries, None) is not None:
                return
        gone = "is empty now"
    except OSError as error:
        gone = f"cannot be listed now: {why(error)}"
    raise Unreachable(f"SOURCE {str(root)!r} {gone}; mount it again, then run the command again")


def why(error: OSError) -> str:
    """What went wrong, without the path of the machine."""
    return (error.strerror or type(error).__name__).lower()


def _below(root: Location, name: str) -> Location:
    """Names come out of tables, too, which anybody may have written."""
    if not leads_below(name):
        raise Unreadable("the file cannot be read: its name leads out of the folder")
    return root / name


def _patiently(read: Callable[[], T]) -> T:
    for pause_s in _PAUSES_S:
        try:
            return read()
        except OSError as error:
            if error.errno in _LASTING:
                break
            time.sleep(pause_s)
    try:
        return read()
    except OSError as error:
        if isinstance(error.filename, str) and "://" in error.filename and error.errno not in _LASTING:
            raise Unreachable(f"{error.filename} cannot be read now: {why(error)}; run the command again") from error
        raise Unreadable(f"the file cannot be read: {why(error)}") from error


def _open(path: Path, follow: bool = True, max_bytes: int = MAX_BYTES) -> int:
    """Never waits: opening a pipe that nobody writes to would."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise OSError(errno.ELOOP, "it is a link, which is not followed") from error
        raise
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size <= max_bytes:
        return descriptor
    os.close(descriptor)
    raise OSError(errno.ENXIO, "not a regular file" if not stat.S_ISREG(status.st_mode) else "larger than 1 GiB")


def _read(path: Location, follow: bool) -> bytes:
    if isinstance(path, ObjectPath):
        return path.read_bytes()
    with open(_open(path, follow), "rb") as file:
        return file.read(MAX_BYTES)


def _part(path: Location, offset: int, size: int) -> bytes:
    if isinstance(path, ObjectPath):
        return path.read_range(offset, size)
    with open(_open(path, max_bytes=LARGEST_BYTES), "rb") as file:
        file.seek(offset)
        return file.read(size)


def _digest(path: Location, max_bytes: int) -> bytes:
    if isinstance(path, ObjectPath):
        return bytes.fromhex(path.sha256()) if max_bytes > MAX_BYTES else hashlib.sha256(path.read_bytes()).digest()
    with open(_open(path, max_bytes=max_bytes), "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
