"""Files and folders of ours where others may write, too: a link that waits under the name is never followed."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TextIO


def open_new(path: Path) -> IO[bytes]:
    """A file that was not there; FileExistsError when anything has its name, a link to nowhere included."""
    return path.open("xb")


def open_to_append(path: Path) -> TextIO:
    """The file or a new one, as UTF-8 text; raises OSError when a link, a pipe or a device has its name."""
    return os.fdopen(_descriptor(path, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8")


def descriptor_of(path: Path) -> int:
    """The file or a new, empty one, open to read and write; raises OSError as `open_to_append`."""
    return _descriptor(path, os.O_RDWR)


@contextmanager
def locked(path: Path, where_possible: bool = False) -> Iterator[None]:
    """Hold a lock of the system on a file, which is made where it is not; a process that dies lets go of it.

    Raises OSError where the file cannot be opened or the file system has no locks: `where_possible` goes on without.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = descriptor_of(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # not every network file system can
            if not where_possible:
                raise
        yield
    finally:
        os.close(descriptor)


class HeldFolder:
    """A new folder below `parent` that nobody else can write to, marked as in use while this process lives."""

    def __init__(self, parent: Path, prefix: str) -> None:
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            with suppress(FileNotFoundError):
                self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
                if self._is_there():
                    return
                os.close(self._descriptor)

    def _is_there(self) -> bool:
        """Before it was marked, another process may have taken the folder for an abandoned one."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(self.path))
        return False

    def remove(self) -> None:
        os.close(self._descriptor)
        shutil.rmtree(self.path, ignore_errors=True)


def remove_abandoned(folder: Path) -> bool:
    """Whether a HeldFolder was ours and its process is gone; then it is removed."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _descriptor(path: Path, way: int) -> int:
    flags = way | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link, which is not followed; delete it", str(path)) from error
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is no regular file; delete it", str(path))
