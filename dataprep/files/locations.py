"""Where data sets and photographs lie: in a folder, or below the URL of an object store.

A `Location` is either. Folders are plain `pathlib.Path`s and lose nothing; `ObjectPath` has those methods of a Path
that the store, the index and the commands need, over fsspec. Object stores have no rename, no append and no object that
is half written: a PUT shows all or nothing, so what is a temporary file and a rename in a folder is one PUT here.

`s3://` is any server that speaks S3; credentials, region and endpoint come from the environment (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_PROFILE, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL). `memory://` lives in one process, for tests.
Requests that fail on their way are sent again by botocore and s3fs, a few times within seconds.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, TextIO, TypeVar

from dataprep.errors import ConfigError
from dataprep.extras import install_command

_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://(.*)", re.DOTALL)
_WHOLE_BYTES = 100 << 20  # up to here an object is one PUT from memory, above it goes in pieces
_PIECE_BYTES = 16 << 20  # of an object that is read through
_REQUESTS = 16  # at a time: an object store answers slowly and many at once
_NO_CREDENTIALS = "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
T = TypeVar("T")
R = TypeVar("R")


def location(text: str) -> Location:
    """What the user typed: a folder or file, `file://` included, else the place that a URL names."""
    match = _URL.fullmatch(text)
    if match is None:
        return Path(text)
    return Path(match[2]) if match[1].lower() == "file" else ObjectPath(f"{match[1].lower()}://{match[2].rstrip('/')}")


@dataclass(frozen=True)
class Status:
    """Size in bytes and time of writing, by the clock of the object store. `version` changes with the content."""

    st_size: int
    st_mtime: float
    version: int

    @property
    def st_mtime_ns(self) -> int:
        return int(self.st_mtime * 1e9)


@dataclass(frozen=True, order=True)
class ObjectPath:
    """An object, or the prefix that objects share. Every method that asks the store raises OSError as a Path would."""

    url: str  # scheme://bucket/key, without a slash at the end

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(f"{self.url}/{name}")

    @property
    def parent(self) -> ObjectPath:
        return ObjectPath(self.url.rpartition("/")[0])

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        return self.name.removesuffix(self.suffix)

    @property
    def suffix(self) -> str:
        stem, dot, ending = self.name.rpartition(".")
        return dot + ending if stem else ""

    def with_name(self, name: str) -> ObjectPath:
        return self.parent / name

    def with_suffix(self, suffix: str) -> ObjectPath:
        return self.with_name(self.stem + suffix)

    def resolve(self) -> ObjectPath:
        return self

    # --- looking -------------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        return bool(self._kind())

    def is_file(self) -> bool:
        return self._kind() == "file"

    def is_dir(self) -> bool:
        """Whether objects lie below: there are no empty folders."""
        return self._kind() == "directory"

    def stat(self) -> Status:
        return _status(self._info())

    def _kind(self) -> str:
        try:
            return str(self._info()["type"])
        except FileNotFoundError:
            return ""

    def _info(self) -> dict[str, Any]:
        with self._asking() as (fs, key):
            return fs.info(key)

    def names(self) -> list[str]:
        """Names directly below, sorted; raises FileNotFoundError when there is none."""
        return sorted(self._entries())

    def _entries(self) -> dict[str, bool]:
        """Names directly below, and whether something lies below each."""
        with self._asking() as (fs, key):
            return {one["name"].rpartition("/")[2]: one["type"] == "directory" for one in fs.ls(key, detail=True)}

    def listing(self) -> dict[str, tuple[int, int]]:
        """Size and version of every object directly below, in one request a thousand."""
        try:
            with self._asking() as (fs, key):
                found = [one for one in fs.ls(key, detail=True) if one["type"] == "file"]
        except FileNotFoundError:
            return {}
        states = ((one["name"].rpartition("/")[2], _status(one)) for one in found)
        return {name: (status.st_size, status.version) for name, status in states}

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        """As `Path.glob`, without `**`: one listing a level, not one of everything below."""
        head, _, rest = pattern.partition("/")
        if not set("*?[") & set(head):
            found = [(head, True)] if rest or (self / head).exists() else []
        else:
            try:
                found = sorted(entry for entry in self._entries().items() if fnmatchcase(entry[0], head))
            except FileNotFoundError:
                found = []
        for name, below in found:
            if rest and below:
                yield from (self / name).glob(rest)
            elif not rest:
                yield self / name

    def walk(self) -> Iterator[tuple[str, Status]]:
        """Path below this prefix and state of every object, however deep: a thousand a request."""
        with self._asking() as (fs, key):
            listing: dict[str, dict[str, Any]] = fs.find(key, detail=True)
        for name, info in listing.items():
            if info["type"] == "file" and name.startswith(f"{key}/") and not name.endswith("/"):
                yield name[len(key) + 1 :], _status(info)

    # --- reading -------------------------------------------------------------------------------------------------

    def read_bytes(self) -> bytes:
        with self._asking() as (fs, key):
            return fs.cat_file(key)

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.read_bytes().decode(encoding, errors)

    def read_range(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, fewer where the object ends."""
        try:
            with self._asking() as (fs, key):
                return fs.cat_file(key, start=offset, end=offset + size) if size else b""
        except OSError as error:
            if error.errno == errno.EINVAL:  # the answer to a range that begins behind the end
                return b""
            raise

    def sha256(self) -> str:
        """Hex digest, a piece at a time."""
        digest = hashlib.sha256()
        for piece in self._pieces():
            digest.update(piece)
        return digest.hexdigest()

    def download(self, file: Path) -> None:
        with file.open("wb") as copy:
            copy.writelines(self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        size = self.stat().st_size
        for offset in range(0, size, _PIECE_BYTES):
            yield self.read_range(offset, min(_PIECE_BYTES, size - offset))

    def open(self, errors: str | None = None) -> TextIO:
        """The text, whole, to read line by line."""
        return io.TextIOWrapper(io.BytesIO(self.read_bytes()), encoding="utf-8", errors=errors)

    # --- writing -------------------------------------------------------------------------------------------------

    def write_bytes(self, data: bytes) -> None:
        with self._asking() as (fs, key):
            fs.pipe_file(key, data)

    def upload(self, file: Path) -> None:
        """Make this object from a local file; nobody sees it before it is whole."""
        if file.stat().st_size <= _WHOLE_BYTES:
            return self.write_bytes(file.read_bytes())  # what fails half way can be sent again
        with self._asking() as (fs, key):
            fs.put_file(str(file), key)
        return None

    def create(self, data: bytes) -> bool:
        """Write unless there is such an object, in one step (If-None-Match); False when there is.

        Raises OSError with ENOSYS where the server does not know how.
        """
        try:
            with self._asking() as (fs, key):
                fs.pipe_file(key, data, mode="create")
        except FileExistsError:
            return False
        return True

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            with self._asking() as (fs, key):
                fs.rm_file(key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def require_reachable(self) -> None:
        """Raise ConfigError unless the bucket is there and lets itself be listed."""
        bucket = self.url.split("://")[1].partition("/")[0]
        if not bucket:
            raise ConfigError(f"{self.url!r} names no bucket; expected s3://bucket/prefix")
        try:
            with self._asking() as (fs, key):
                if hasattr(fs, "call_s3"):
                    fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=key.partition("/")[2], MaxKeys=1)
        except FileNotFoundError as error:
            raise ConfigError(f"{self}: no bucket is named {bucket!r}; make it: aws s3 mb s3://{bucket}") from error
        except PermissionError as error:
            told = "these credentials may not list the bucket" if error.strerror != _NO_CREDENTIALS else _NO_CREDENTIALS
            raise ConfigError(f"{self}: {told}. To try: aws s3 ls s3://{bucket}") from error
        except OSError as error:
            raise ConfigError(f"{self}: the object store cannot be reached: {error.strerror}. Check AWS_ENDPOINT_URL "
                              f"and AWS_DEFAULT_REGION; to try: aws s3 ls s3://{bucket}") from error  # fmt: skip

    @contextmanager
    def _asking(self) -> Iterator[tuple[Any, str]]:
        """The file system and this object's key in it; what goes wrong inside the block becomes an OSError."""
        fs = _filesystem(self.url.partition("://")[0], os.getpid())
        try:
            yield fs, fs._strip_protocol(self.url)
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.url) from error
        except PermissionError as error:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self.url) from error
        except FileExistsError:
            raise
        except Exception as error:  # botocore's and aiohttp's own are no OSErrors
            said = " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())[:200]
            if "Credential" in type(error).__name__:
                raise PermissionError(errno.EACCES, _NO_CREDENTIALS, self.url) from error
            raise OSError(getattr(error, "errno", None) or errno.EIO, said, self.url) from error


Location = Path | ObjectPath


@cache
def _filesystem(scheme: str, process: int) -> Any:
    """One a process: its connections do not survive a fork. Nothing is cached, other machines write too."""
    if scheme not in ("s3", "memory"):
        raise ConfigError(f"{scheme}:// is not known; expected a folder, file:///folder or s3://bucket/prefix")
    import fsspec

    try:
        if scheme == "memory":
            return fsspec.filesystem("memory")
        # An object is one GET: more would ask for its size first.
        return fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True, max_concurrency=1)
    except ImportError as error:
        raise ConfigError(
            f"{scheme}:// needs a package that is not installed ({error}); install it with: {install_command('s3')}"
        ) from error


def _status(info: dict[str, Any]) -> Status:
    written = info.get("LastModified") or info.get("created")
    seconds = written.timestamp() if written is not None else 0.0
    mark = f"{info.get('ETag')} {seconds}"
    return Status(int(info["size"]), seconds, int.from_bytes(hashlib.sha256(mark.encode()).digest()[:7]))


# --- what paths and objects do differently -----------------------------------------------------------------------


def names_in(folder: Location) -> list[str]:
    """Names directly below a folder, in any order; raises FileNotFoundError when it is not there."""
    return folder.names() if isinstance(folder, ObjectPath) else os.listdir(folder)


def listing(folder: Location) -> dict[str, tuple[int, int]]:
    """Size in bytes and time of writing (of an object: its version) of every file directly below; {} for none."""
    if isinstance(folder, ObjectPath):
        return folder.listing()
    try:
        with os.scandir(folder) as entries:
            stated = [(entry.name, entry.stat()) for entry in entries if entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {name: (status.st_size, status.st_mtime_ns) for name, status in stated}


def matching(folder: Location, pattern: str) -> list[Location]:
    """`glob`, sorted."""
    found: list[Location] = [*folder.glob(pattern)]
    return sorted(found, key=str)


def read_range(path: Location, offset: int, size: int) -> bytes:
    """`size` bytes at `offset`, fewer where the file ends."""
    if isinstance(path, ObjectPath):
        return path.read_range(offset, size)
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def each(root: Location, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """`function` of every item that lies below `root`, in order; requests to an object store go out together."""
    if not isinstance(root, ObjectPath):
        return [function(item) for item in items]
    with ThreadPoolExecutor(_REQUESTS) as pool:
        return list(pool.map(function, items))
