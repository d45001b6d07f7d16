"""Archives of pictures below SOURCE: what was found in each, as it lies in a data set.

OUT/inputs/archives/<key>.parquet   each picture of an archive: name, place, sha256, what is known of it
OUT/inputs/archives/<sha256>.tar    the pictures themselves, where they were unpacked from a table; written first

The key is the hash of the archive's path, size and time of writing, and of those of the table beside it. An archive
that has its table is not read again; of a tar the pictures are read in their place. An unpacked tar is named by the
bytes of its table, since rows of the data set name it: they do not depend on times.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from dataprep.errors import Damaged, Unreachable, Unreadable
from dataprep.files.filenames import unescape
from dataprep.files.foreign_files import require_there, state_of, why
from dataprep.files.locations import Location, ObjectPath
from dataprep.files.range_reader import reading
from dataprep.inputs.known_facts import NO_FACTS, NOT_PARQUET, PictureFacts, key_of, read_facts
from dataprep.inputs.table_pictures import has_pictures, unpack
from dataprep.inputs.tar_members import DAMAGED, Member, TarMembers, read_members
from dataprep.tables.columns import HASH256, STRING, UINT64
from dataprep.tables.input_rows import ARCHIVES_FOLDER, IN_OUT, IN_SOURCE, Source
from dataprep.tables.layouts import ARCHIVE_SUFFIXES, is_tar
from dataprep.tables.sealed import read_table
from dataprep.tables.sources import refuse, sample_id_of
from dataprep.tables.store import atomic_file, write_table

_FACTS = ("url", "license", "consent", "caption")
_SCHEMA = pa.schema([
    ("name", STRING), ("offset", UINT64), ("size", UINT64), ("sha256", HASH256), ("refused", STRING),
    *((name, STRING) for name in _FACTS), ("url_sha256", HASH256),
])  # fmt: skip
_FLAWS, _LEFT_OUT, _UNPACKED = b"flaws", b"left_out", b"unpacked"


@dataclass(frozen=True)
class ArchiveTask:
    """One archive to be read. `beside` is the path of the table that tells of its pictures, if there is one."""

    source_root: Location
    out: Location
    path: str
    name: str  # of its files in the data set
    beside: str | None = None

    @property
    def key(self) -> tuple[str, int | None]:
        """What a worker that dies of it is remembered by."""
        return self.name, None

    @property
    def table(self) -> Location:
        """Where what was found in it is written."""
        return self.out / ARCHIVES_FOLDER / f"{self.name}.parquet"


def archive_task(source_root: Location, out: Location, archive: Source) -> ArchiveTask:
    """Return the task for an archive as it is now; raises Unreadable."""
    files = [archive.path, *([archive.beside] if archive.beside else [])]
    states = [(path, (state := state_of(source_root, unescape(path))).st_size, _version(state)) for path in files]
    name = hashlib.sha256(repr(states).encode()).hexdigest()[:32]
    return ArchiveTask(source_root, out, archive.path, name, archive.beside)


def _version(state: Any) -> int:
    return int(getattr(state, "version", None) or state.st_mtime_ns)


def read_archive(task: ArchiveTask) -> int:
    """Read an archive and write down what is in it; returns how many pictures there are.

    Raises Unreachable when an object store does not answer.
    """
    found, flaws, beside, unpacked = TarMembers(), dict[str, str](), dict[str, PictureFacts](), ""
    if task.beside:
        try:
            beside = read_facts(task.source_root / unescape(task.beside)) or {}
        except NOT_PARQUET:
            flaws[task.beside] = "it is no parquet file that can be read; what it says of pictures is not known"
        except OSError as error:
            flaws[task.beside] = _unread(task, error)
    try:
        found, unpacked = _members(task)
        if found.flaw:
            flaws[task.path] = f"{found.flaw}; {len(found.members)} pictures of it are inputs"
    except NOT_PARQUET:
        flaws[task.path] = "it is no parquet file that can be read"
    except OSError as error:
        flaws[task.path] = _unread(task, error)
    members = [replace(one, facts=one.facts.or_else(beside.get(key_of(one.name), NO_FACTS))) for one in found.members]
    left_out = found.left_out + len(beside.keys() - {key_of(one.name) for one in members})
    said = {_FLAWS: "\n".join(f"{path}\t{what}" for path, what in flaws.items()), _LEFT_OUT: str(left_out)}
    _write(task, members, said | {_UNPACKED: unpacked})
    return len(members)


def _unread(task: ArchiveTask, error: OSError) -> str:
    """Why a file cannot be read; raises Unreachable where that says nothing about the file."""
    require_there(task.source_root)
    if isinstance(task.source_root, ObjectPath):
        raise Unreachable(f"{task.source_root / task.path} cannot be read now: {why(error)}; run the command "
                          "again") from error  # fmt: skip
    return f"the file cannot be read: {why(error)}"


def _members(task: ArchiveTask) -> tuple[TarMembers, str]:
    """Every picture of an archive, and the name of the tar that a table's are unpacked into."""
    with reading(task.source_root / unescape(task.path)) as file:
        if is_tar(task.path):
            return read_members(file), ""
        found = TarMembers()
        if not has_pictures(file):
            return found, ""
        file.seek(0)
        name = f"{hashlib.file_digest(file, 'sha256').hexdigest()[:32]}.tar"  # type: ignore[arg-type]
        with (
            atomic_file(task.out / ARCHIVES_FOLDER / name) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            unpack(file, tar, found)
        return found, name


def _write(task: ArchiveTask, members: Iterable[Member], said: dict[bytes, str]) -> None:
    rows = [{**vars(one), **vars(one.facts)} for one in members]
    arrays = [pa.array([row[field.name] for row in rows], field.type) for field in _SCHEMA]
    write_table(task.table, pa.Table.from_arrays(arrays, schema=_SCHEMA).replace_schema_metadata(said))


def holds_pictures(table: Location) -> bool:
    """Whether a parquet file has a column of pictures; False for what cannot be read, which its reader will say."""
    try:
        with reading(table) as file:
            return has_pictures(file)
    except (OSError, *NOT_PARQUET):
        return False


def is_read(task: ArchiveTask) -> bool:
    """Whether an archive is known, and its pictures are where its table says; raises OSError."""
    try:
        table = read_table(task.table)
    except (Damaged, FileNotFoundError):
        return False
    unpacked = (table.schema.metadata or {}).get(_UNPACKED, b"").decode()
    return table.schema.names == _SCHEMA.names and (not unpacked or (task.table.parent / unpacked).exists())


def rows_of_archive(archive: Source, task: ArchiveTask) -> tuple[list[Source], int]:
    """Return the pictures of an archive as inputs, its flaws as refused ones, and how many pictures it says it lacks.

    Raises Damaged where its table is not as it was written.
    """
    table = read_table(task.table)
    said = table.schema.metadata or {}
    flaws = [line.partition("\t") for line in said.get(_FLAWS, b"").decode().split("\n") if line]
    rows = [refuse(Source(path, 0), f"{DAMAGED}: {what}") for path, _, what in flaws]
    unpacked = said.get(_UNPACKED, b"").decode()
    place = f"{IN_OUT}{ARCHIVES_FOLDER}/{unpacked}" if unpacked else IN_SOURCE + archive.path
    seen: Counter[str] = Counter()
    for one in table.to_pylist():
        seen[one["name"]] += 1
        again = f"#{seen[one['name']]}" if seen[one["name"]] > 1 else ""
        rows.append(_row(f"{archive.path}/{one['name']}{again}", one, place))
    return rows, int(said.get(_LEFT_OUT, b"0"))


def _row(path: str, one: dict[str, Any], place: str) -> Source:
    facts = {name: one[name] for name in (*_FACTS, "url_sha256")}
    if one["refused"]:
        return refuse(Source(path, one["size"], dataset="archive", **facts), one["refused"])
    sample_id = sample_id_of(path, one["sha256"])
    return Source(path, one["size"], one["sha256"], sample_id, dataset="archive", place=place, offset=one["offset"],
                  **facts)  # fmt: skip


def archive_of(path: str) -> str | None:
    """Return the archive that a picture's path begins with; None for other inputs."""
    parts = path.split("/")
    return next(("/".join(parts[: i + 1]) for i, part in enumerate(parts[:-1]) if part.endswith(ARCHIVE_SUFFIXES)),
                None)  # fmt: skip


def readable_tasks(
    source_root: Location, out: Location, archives: Iterable[Source]
) -> tuple[list[tuple[Source, ArchiveTask]], list[Source]]:
    """Return the archives with their tasks, and as refused inputs those that cannot be read at all."""
    tasks, refused = [], []
    for archive in archives:
        if archive.refused:
            refused.append(refuse(archive, archive.refused))
            continue
        try:
            tasks.append((archive, archive_task(source_root, out, archive)))
        except Unreadable as error:
            require_there(source_root)
            refused.append(refuse(archive, f"{error.reason}: {error}"))
    return tasks, refused
