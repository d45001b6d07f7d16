"""The store: parts committed atomically, plain files only.

    <root>/dataset.json                                name, part size, schema version
    <root>/index.parquet                               inputs, ids, parts (dataprep.tables.sources)
    <root>/stages/<stage>-<fp>/part-000123.parquet     rows; its presence means the part is complete
    <root>/stages/<stage>-<fp>/part-000123.tar         images of the rows, written before the parquet
    <root>/stages/<stage>-<fp>/stage.json              parameters, weights, upstream fingerprints
    <root>/manifest.parquet, shards/, report/          what users take away
    <root>/runs/<run id>/events.jsonl                  times, hosts, tracebacks: never in a payload

Every file appears by temporary name, fsync and rename; on an object store, by one PUT. Payloads depend
on inputs, parameters and weights alone.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.errors import Damaged, StoreError, Unwritable
from dataprep.files.file_hashes import file_sha256
from dataprep.files.foreign_files import why
from dataprep.files.locations import Location, ObjectPath, names_in, read_range
from dataprep.files.machine_identity import this_machine
from dataprep.files.own_files import open_new
from dataprep.files.untrusted import require_word
from dataprep.tables.columns import STRING, Column, rows_from_table, table_from_rows
from dataprep.tables.items import Declaration, Result
from dataprep.tables.parts import PartRecord, Place, blob_position_columns, part_number
from dataprep.tables.sealed import read_identified, read_table, seal

SCHEMA_VERSION = 1
ROW_GROUP = 8192  # rows
_PARQUET: dict[str, Any] = {"compression": "zstd", "write_statistics": False, "write_page_checksum": True}
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


def write_json(path: Location, value: Any) -> None:
    """Atomic, sorted, indented JSON."""
    with atomic_file(path) as file:
        file.write(json_bytes(value))


def json_bytes(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def write_table(path: Location, table: pa.Table, row_group_size: int = ROW_GROUP) -> tuple[str, int]:
    """Atomic zstd parquet with a seal; the same bytes for the same table and pyarrow version.

    Returns the table's identity (dataprep/tables/sealed.py) and the size of the file in bytes.
    """
    with atomic_file(path) as file:
        pq.write_table(table, file, row_group_size=row_group_size, **_PARQUET)
        return seal(file), file.seek(0, os.SEEK_END)


def write_tables(path: Location, tables: Iterable[pa.Table], metadata: Mapping[str, str]) -> None:
    """`write_table` of tables that follow each other, one in memory at a time; `metadata` goes to the schema."""
    with atomic_file(path) as file:
        with ExitStack() as stack:
            writer = None
            for table in tables:
                described = table.replace_schema_metadata(metadata)
                writer = writer or stack.enter_context(pq.ParquetWriter(file, described.schema, **_PARQUET))
                writer.write_table(described, row_group_size=ROW_GROUP)
        seal(file)


def add_tar_member(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    """Append one plain member (mtime 0, no owner, mode 0644); returns the byte offset of its data."""
    # Our own offsets: tarfile does not say where data will lie, and a reader of one sample wants it in one request.
    # In USTAR the header of a short name is one block.
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
        return {part for name in names if (part := part_number(name)) is not None}

    def table(self, ref: StageRef, part: int, columns: Sequence[str] | None = None) -> pa.Table:
        """One part, all columns or some; raises Damaged unless every byte is as it was written."""
        return read_table(self.part_path(ref, part), columns)

    def rows(self, ref: StageRef, part: int) -> list[dict[str, Any]]:
        return self.rows_and_identity(ref, part)[0]

    def rows_and_identity(self, ref: StageRef, part: int) -> tuple[list[dict[str, Any]], str]:
        table, identity = read_identified(self.part_path(ref, part))
        return rows_from_table(table), identity

    def examine(self, ref: StageRef, part: int) -> PartRecord:
        """Read a part's parquet through and say what it is; raises Damaged."""
        path = self.part_path(ref, part)
        table, identity = read_identified(path, [])
        said = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        return PartRecord(
            said.get("part_key", ""),
            said.get("made_from", ""),
            identity,
            path.stat().st_size,
            int(said["tar_bytes"]) if "tar_bytes" in said else None,
            said.get("tar_sha256", ""),
        )

    def places(self, ref: StageRef, part: int, blob: str) -> dict[str, Place]:
        """Where the images that stage `ref` emitted under `blob` lie, by sample id."""
        names = ["sample_id", *(column.name for column in blob_position_columns(blob))]
        table = self.table(ref, part, names)
        columns = [table[name].to_pylist() if name in table.column_names else [None] * len(table) for name in names]
        return {name: Place(*place) for name, *place in zip(*columns, strict=True) if place[0] is not None}

    def write_part(
        self,
        ref: StageRef,
        part: int,
        stage: Declaration,
        ids: Sequence[str],
        results: Sequence[Result],
        part_key: str,
        made_from: str = "",
    ) -> PartRecord:
        """Commit one part: the tar of its images first, then the parquet that makes it count."""
        if len(ids) != len(results):
            raise ValueError(f"{ref.name} part {part}: {len(ids)} rows in, {len(results)} results")
        rows = [_row(sample_id, result) for sample_id, result in zip(ids, results, strict=True)]
        metadata = {"part_key": part_key, "schema_version": str(SCHEMA_VERSION)}
        if made_from:
            metadata |= {"made_from": made_from}
        tar = self._write_tar(ref, part, stage, rows, results) if stage.blobs else {}
        blob_columns = [column for blob in stage.blobs for column in blob_position_columns(blob)]
        table = table_from_rows([*ROW_COLUMNS, *stage.columns, *blob_columns], rows)
        identity, size = write_table(self.part_path(ref, part), table.replace_schema_metadata(metadata | tar))
        tar_bytes = int(tar["tar_bytes"]) if tar else None
        return PartRecord(part_key, made_from, identity, size, tar_bytes, tar.get("tar_sha256", ""))

    def _write_tar(
        self, ref: StageRef, part: int, stage: Declaration, rows: list[dict[str, Any]], results: Sequence[Result]
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
                        row[f"{blob}:sha256"] = hashlib.sha256(data).digest()
        data = buffer.getvalue()
        with atomic_file(path) as file:
            file.write(data)
        return {"tar_bytes": str(len(data)), "tar_sha256": hashlib.sha256(data).hexdigest()}

    def remove_part(self, ref: StageRef, part: int) -> None:
        """Uncommit a part: first what makes it count, then its images."""
        path = self.part_path(ref, part)
        path.unlink(missing_ok=True)
        path.with_suffix(".tar").unlink(missing_ok=True)

    def read_tar(self, ref: StageRef, part: int, offset: int, size: int, sha256: bytes | None = None) -> bytes:
        """An image of a part; raises Damaged when the tar is gone, cut off or has other bytes there.

        Without a `sha256` the whole tar is compared with the one that the part's parquet names, once a process.
        """
        path = self.part_path(ref, part).with_suffix(".tar")
        try:
            data = read_range(path, offset, size)
            whole = hashlib.sha256(data).digest() == sha256 if sha256 else self._is_whole(ref, part, path)
        except FileNotFoundError as error:
            raise Damaged(path, "is missing") from error
        except OSError as error:
            if error.errno == errno.EIO:
                raise Damaged(path, f"is damaged: it cannot be read: {why(error)}") from error
            raise StoreError(f"{path} cannot be read: {why(error)}") from error
        if len(data) != size:
            raise Damaged(path, "is damaged: it is cut off")
        if not whole:
            raise Damaged(path, "is damaged: it has other bytes than were written")
        return data

    def _is_whole(self, ref: StageRef, part: int, tar: Location) -> bool:
        expected = _tar_sha256(self, ref, part)
        return not expected or _sha256_of_version(tar, tar.stat().st_mtime_ns) == expected

    def blob_reader(self, ref: StageRef, part: int, row: Mapping[str, Any]) -> Callable[[str], bytes]:
        """A function name -> bytes over the images that stage `ref` emitted for one row."""

        def read(name: str) -> bytes:
            offset, size = row.get(f"{name}:offset"), row.get(f"{name}:size")
            if offset is None or size is None:
                raise KeyError(f"{ref.name} emitted no {name} for {row['sample_id']}")
            return self.read_tar(ref, part, offset, size, row.get(f"{name}:sha256"))

        return read


@lru_cache(maxsize=64)
def _tar_sha256(store: Store, ref: StageRef, part: int) -> str:
    return store.examine(ref, part).tar_sha256


@lru_cache(maxsize=64)
def _sha256_of_version(path: Location, written_ns: int) -> str:
    return file_sha256(path)


def _row(sample_id: str, result: Result) -> dict[str, Any]:
    return {
        **result.columns,
        "sample_id": sample_id,
        "status": result.status,
        "reason": result.reason or None,
        "message": result.message or None,
    }
