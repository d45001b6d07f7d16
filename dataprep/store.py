"""The store: parts committed atomically, plain files only.

    <root>/dataset.json                                name, part size, schema version
    <root>/index.parquet                               inputs, ids, parts (dataprep.sources)
    <root>/stages/<stage>-<fp>/part-000123.parquet     rows; its presence means the part is complete
    <root>/stages/<stage>-<fp>/part-000123.tar         images of the rows, written before the parquet
    <root>/stages/<stage>-<fp>/stage.json              parameters, weights, upstream fingerprints
    <root>/manifest.parquet, shards/, report/          what users take away
    <root>/runs/<run id>/events.jsonl                  times, hosts, tracebacks: never in a payload

Every file appears by temporary name, fsync and rename; on an object store, by one PUT. Payloads depend
on inputs, parameters and weights alone. (spec 3, section 3)
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.errors import StoreError, Unwritable
from dataprep.foreign import require_word
from dataprep.machine import this_machine
from dataprep.own_files import open_new
from dataprep.reading import why
from dataprep.schema import STRING, UINT64, Column, rows_from_table, table_from_rows
from dataprep.stages.base import Result, Stage
from dataprep.storage import Location, ObjectPath, names_in, parquet, read_range

SCHEMA_VERSION = 1
ROW_GROUP = 8192  # rows
_PARQUET: dict[str, Any] = {"compression": "zstd", "write_statistics": False, "write_page_checksum": True}
_PART = re.compile(r"part-(\d{6})\.parquet")
ROW_COLUMNS = (
    Column("sample_id", STRING, "first 128 bits of sha256(path, bytes), hex"),
    Column("status", STRING, "ok, rejected, error, crash, timeout or upstream"),
    Column("reason", STRING, "short code of why the row is not ok"),
    Column("message", STRING, "one sentence of why the row is not ok"),
)


_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


@contextmanager
def atomic_file(path: Location) -> Iterator[IO[bytes]]:
    """Write `path` so that it appears whole or not at all: temporary name, fsync, rename, directory fsync.

    An object is first written to the machine's folder for temporary files, then sent. Raises Unwritable when the disk
    is full or does not let us write, or the object store refuses.
    """
    if isinstance(path, ObjectPath):
        with _uploaded(path) as upload:
            yield upload
        return
    temporary = path.parent / f".{path.name}.{this_machine()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open_new(temporary)
    try:
        try:
            yield file
            with _explained(path):
                file.flush()
                os.fsync(file.fileno())
                file.close()
                os.replace(temporary, path)
        except OSError as error:  # from the caller's own writes; what it read may fail for other reasons
            if error.errno in _CANNOT_WRITE:
                raise unwritable(path, error) from error
            raise
    except BaseException:
        with suppress(OSError):
            file.close()  # flushes again, onto the same full disk
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


@contextmanager
def _uploaded(path: ObjectPath) -> Iterator[IO[bytes]]:
    with tempfile.NamedTemporaryFile(prefix="shhq-hs-") as file:
        try:
            yield file.file
            file.flush()
        except OSError as error:
            if error.errno in _CANNOT_WRITE:
                raise unwritable(Path(file.name), error) from error
            raise
        with _explained(path):
            path.upload(Path(file.name))


@contextmanager
def _explained(path: Location) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Location, error: OSError) -> Unwritable:
    """The error for a file that could not be written, with what is free where it should lie."""
    if isinstance(path, ObjectPath):
        return Unwritable(f"{path} cannot be written: {why(error)}; finished parts are whole")
    return Unwritable(f"{path} cannot be written: {why(error)} ({_free(path)} free there); finished parts are whole")


def _free(path: Path) -> str:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        free_bytes = shutil.disk_usage(folder).free
    except OSError:
        return "unknown space"
    return f"{free_bytes / 1e9:.1f} GB" if free_bytes >= 1e9 else f"{free_bytes / 1e6:.1f} MB"


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems refuse; the rename itself is still atomic
        pass
    finally:
        os.close(descriptor)


def file_sha256(path: Location) -> str:
    """Hex digest of a file of ours, read in pieces."""
    if isinstance(path, ObjectPath):
        return path.sha256()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Location, value: Any) -> None:
    """Atomic, sorted, indented JSON."""
    with atomic_file(path) as file:
        file.write(json_bytes(value))


def json_bytes(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def write_table(path: Location, table: pa.Table, row_group_size: int = ROW_GROUP) -> None:
    """Atomic zstd parquet; the same bytes for the same table and pyarrow version."""
    with atomic_file(path) as file:
        pq.write_table(table, file, row_group_size=row_group_size, **_PARQUET)


def write_tables(path: Location, tables: Iterable[pa.Table], metadata: Mapping[str, str]) -> None:
    """`write_table` of tables that follow each other, one in memory at a time; `metadata` goes to the schema."""
    with atomic_file(path) as file, ExitStack() as stack:
        writer = None
        for table in tables:
            described = table.replace_schema_metadata(metadata)
            writer = writer or stack.enter_context(pq.ParquetWriter(file, described.schema, **_PARQUET))
            writer.write_table(described, row_group_size=ROW_GROUP)


def add_tar_member(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    """Append one plain member (mtime 0, no owner, mode 0644); returns the byte offset of its data."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o644
    offset = tar.offset + tarfile.BLOCKSIZE
    tar.addfile(info, io.BytesIO(data))
    return offset


@dataclass(frozen=True)
class StageRef:
    """A stage as the store sees it: its name and fingerprint."""

    name: str
    fingerprint: str

    def __post_init__(self) -> None:
        """Both make the name of a folder; raises StoreError when they cannot."""
        require_word(self.name, "the name of a stage")
        require_word(self.fingerprint, f"the fingerprint of stage {self.name}")

    @property
    def folder(self) -> str:
        return f"{self.name}-{self.fingerprint}"


@dataclass(frozen=True)
class Store:
    """Reads and commits parts below one output folder."""

    root: Location

    def folder(self, ref: StageRef) -> Location:
        return self.root / "stages" / ref.folder

    def part_path(self, ref: StageRef, part: int) -> Location:
        return self.folder(ref) / f"part-{part:06d}.parquet"

    def committed(self, ref: StageRef) -> set[int]:
        """Numbers of the parts that are on disk: one directory listing."""
        try:
            names = names_in(self.folder(ref))
        except FileNotFoundError:
            return set()
        return {int(match[1]) for match in map(_PART.fullmatch, names) if match}

    def part_key(self, ref: StageRef, part: int) -> str:
        """The key under which a part was committed (its inputs' identity), from the parquet footer."""
        metadata = pq.read_schema(parquet(self.part_path(ref, part))).metadata or {}
        return metadata.get(b"part_key", b"").decode()

    def table(self, ref: StageRef, part: int, columns: Sequence[str] | None = None) -> pa.Table:
        """One part, all columns or some; raises StoreError naming the file when it cannot be read."""
        path = self.part_path(ref, part)
        try:
            with pq.ParquetFile(parquet(path)) as file:  # read_table takes two to five times as long over small files
                return file.read(columns, use_threads=False)
        except (OSError, pa.ArrowInvalid) as error:
            raise StoreError(
                f"{path}: not a readable part ({error}); delete the file and run the command again"
            ) from error

    def rows(self, ref: StageRef, part: int) -> list[dict[str, Any]]:
        return rows_from_table(self.table(ref, part))

    def write_part(
        self, ref: StageRef, part: int, stage: Stage, ids: Sequence[str], results: Sequence[Result], part_key: str
    ) -> None:
        """Commit one part: the tar of its images first, then the parquet that makes it count."""
        if len(ids) != len(results):
            raise ValueError(f"{ref.name} part {part}: {len(ids)} rows in, {len(results)} results")
        rows = [_row(sample_id, result) for sample_id, result in zip(ids, results, strict=True)]
        metadata = {"part_key": part_key, "schema_version": str(SCHEMA_VERSION)}
        if stage.blobs:
            metadata |= self._write_tar(ref, part, stage, rows, results)
        blob_columns = [column for blob in stage.blobs for column in blob_position_columns(blob)]
        table = table_from_rows([*ROW_COLUMNS, *stage.columns, *blob_columns], rows)
        write_table(self.part_path(ref, part), table.replace_schema_metadata(metadata))

    def _write_tar(
        self, ref: StageRef, part: int, stage: Stage, rows: list[dict[str, Any]], results: Sequence[Result]
    ) -> dict[str, str]:
        path = self.part_path(ref, part).with_suffix(".tar")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for row, result in zip(rows, results, strict=True):
                for blob in stage.blobs:
                    if blob in result.blobs:
                        data = result.blobs[blob]
                        row[f"{blob}:offset"] = add_tar_member(tar, f"{row['sample_id']}.{blob}", data)
                        row[f"{blob}:size"] = len(data)
        data = buffer.getvalue()
        with atomic_file(path) as file:
            file.write(data)
        return {"tar_bytes": str(len(data)), "tar_sha256": hashlib.sha256(data).hexdigest()}

    def remove_part(self, ref: StageRef, part: int) -> None:
        """Uncommit a part: first what makes it count, then its images."""
        path = self.part_path(ref, part)
        path.unlink(missing_ok=True)
        path.with_suffix(".tar").unlink(missing_ok=True)

    def read_tar(self, ref: StageRef, part: int, offset: int, size: int) -> bytes:
        """`size` bytes at `offset` of a part's tar; raises StoreError when the tar is cut off."""
        path = self.part_path(ref, part).with_suffix(".tar")
        data = read_range(path, offset, size)
        if len(data) != size:
            raise StoreError(f"{path}: cut off; delete the part's .parquet and .tar and run the command again")
        return data

    def blob_reader(self, ref: StageRef, part: int, row: Mapping[str, Any]) -> Callable[[str], bytes]:
        """A function name -> bytes over the images that stage `ref` emitted for one row."""

        def read(name: str) -> bytes:
            offset, size = row.get(f"{name}:offset"), row.get(f"{name}:size")
            if offset is None or size is None:
                raise KeyError(f"{ref.name} emitted no {name} for {row['sample_id']}")
            return self.read_tar(ref, part, offset, size)

        return read


def blob_position_columns(blob: str) -> tuple[Column, Column]:
    """Where a row's image lies in the part's tar."""
    return (
        Column(f"{blob}:offset", UINT64, f"byte offset of {blob} in the part's tar", unit="B", released=False),
        Column(f"{blob}:size", UINT64, f"bytes of {blob}", unit="B", released=False),
    )


def _row(sample_id: str, result: Result) -> dict[str, Any]:
    return {
        **result.columns,
        "sample_id": sample_id,
        "status": result.status,
        "reason": result.reason or None,
        "message": result.message or None,
    }
