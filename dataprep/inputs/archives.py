"""Archives of photographs as SOURCE: tars as webdataset and img2dataset write them, parquet files that hold pictures.

OUT/inputs/archives/<archive>.parquet   what the archive holds: name, place, hash and terms of every picture
OUT/inputs/archives/<archive>.tar       the pictures of a parquet file, which cannot be read one by one where they are

The name is the hash of the archive's path, size and time of writing. Pictures of a tar are read where they lie, by
offset. What stands in a JSON file of the same key (`000012.json` beside `000012.jpg`) or in the row's other columns is
carried along: URL, licence and consent.
"""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.errors import Damaged
from dataprep.files.filenames import escape, unescape
from dataprep.files.foreign_files import MAX_BYTES
from dataprep.files.locations import Location, ObjectPath
from dataprep.files.untrusted import leads_below, parse_json, require_word
from dataprep.inputs.lists import COLUMNS
from dataprep.tables.columns import HASH256, STRING, UINT64, Column, rows_from_table, table_from_rows
from dataprep.tables.input_rows import ARCHIVES_FOLDER, IN_OUT, IN_SOURCE, Source
from dataprep.tables.layouts import PARQUET, TAR, is_image, suffix_of
from dataprep.tables.sealed import read_table
from dataprep.tables.sources import FileState, refuse, sample_id_of
from dataprep.tables.store import add_tar_member, atomic_file, write_table

PICTURE_COLUMNS = ("jpg", "jpeg", "png", "webp", "image")  # bytes, or a struct that has them (Hugging Face's `image`)
LAYOUTS = {TAR: "webdataset", PARQUET: "parquet"}
_TOLD = ("url", "license", "consent")
_LARGEST_JSON = 1 << 20
_BATCH_ROWS = 64
_COLUMNS = (
    Column("path", STRING, "name of the picture: that of the archive, then its own"),
    Column("place", STRING, "the file that holds it, as in `source_place`"),
    Column("offset", UINT64, "where it begins in that file", unit="B"),
    Column("size", UINT64, "its size", unit="B"),
    Column("sha256", HASH256, "sha256 of its bytes"),
    Column("refused", STRING, "why it cannot be read, reason: message"),
    *(Column(name, STRING, f"{name} as the archive says") for name in _TOLD),
)


@dataclass(frozen=True)
class ArchiveTask:
    """One archive of which the content is to be written down."""

    source_root: Location
    out: Location
    path: str
    name: str  # of what is written, without suffix

    @classmethod
    def of(cls, source_root: Location, out: Location, state: FileState) -> ArchiveTask:
        """Return the task for an archive as it is now."""
        name = hashlib.sha256("\0".join(map(str, state)).encode()).hexdigest()[:32]
        return cls(source_root, out, state[0], name)

    def __post_init__(self) -> None:
        """Raise StoreError unless the name is a name."""
        require_word(self.name, "the name of an archive's table")

    @property
    def key(self) -> tuple[str, int | None]:
        """What tells this task from others."""
        return self.name, None

    @property
    def table(self) -> Location:
        """Return where the content is written down."""
        return self.out / ARCHIVES_FOLDER / f"{self.name}.parquet"

    @property
    def copy(self) -> str:
        """Return where the pictures of a parquet file are put, below the data set."""
        return f"{ARCHIVES_FOLDER}/{self.name}.tar"

    @property
    def is_done(self) -> bool:
        """Whether the content is written down."""
        return self.table.exists()


def read_archive(task: ArchiveTask) -> int:
    """Write down what an archive holds; returns how many pictures."""
    with _local(task) as file:
        rows = list(_of_tar(task, file) if suffix_of(task.path) == TAR else _of_parquet(task, file))
    write_table(task.table, table_from_rows(_COLUMNS, rows))
    return len(rows)


def rows_of_archive(archive: Source, task: ArchiveTask) -> list[Source]:
    """Return the pictures of an archive as inputs; raises Damaged where its table is not as it was written."""
    try:
        rows = rows_from_table(read_table(task.table))
        return [_source(row, LAYOUTS[suffix_of(archive.path)]) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(task.table, f"is damaged: it is no table of pictures ({error})") from error


def is_archive(file: Location) -> bool:
    """Whether a file is a tar, or a parquet file with pictures in it."""
    if suffix_of(file.name) != PARQUET:
        return suffix_of(file.name) == TAR
    try:
        schema = pq.read_schema(pa.BufferReader(file.read_bytes()) if isinstance(file, ObjectPath) else file)
    except (pa.ArrowException, OSError, ValueError):
        return False  # who reads it as a list says what is wrong with it
    return holds_pictures(schema) is not None


def holds_pictures(file: pa.Schema) -> str | None:
    """Return the name of the column of a parquet file that holds pictures; None where there is none."""
    return next((name for name in PICTURE_COLUMNS if name in file.names and _bytes_type(file.field(name).type)), None)


def _bytes_type(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _bytes_type(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _source(row: Mapping[str, Any], layout: str) -> Source:
    source = Source(row["path"], row["size"], dataset=layout, **{name: row[name] for name in _TOLD})
    if row["refused"]:
        return refuse(source, row["refused"])
    # With the offset in its id, an archive that was packed anew has other inputs: nothing is read at former places.
    sample_id = sample_id_of(row["path"], row["sha256"] + int(row["offset"]).to_bytes(8, "little"))
    place = {"place": row["place"], "offset": row["offset"]}
    return Source(**(vars(source) | {"sha256": row["sha256"], "sample_id": sample_id} | place))


def _of_tar(task: ArchiveTask, file: Path) -> Iterator[dict[str, Any]]:
    """The pictures of a tar, and the tar itself where it is damaged."""
    pictures: list[dict[str, Any]] = []
    told: dict[str, dict[str, str | None]] = {}
    damage, seen = "", set[str]()
    try:
        # Plain tars alone: nothing can be read by its offset in a compressed one.
        with file.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:") as tar:
            for member in tar:
                if suffix_of(member.name) == ".json" and member.isreg() and member.size <= _LARGEST_JSON:
                    told[_key(member.name)] = _told(_json(tar, member))
                elif is_image(member.name) and not member.isdir():
                    pictures.append(_picture(task, tar, member, seen) | {"key": _key(member.name)})
            damage = _unread(raw, tar.offset)
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        damage = str(error)
    for one in pictures:
        yield one | told.get(one.pop("key"), {})
    if damage:
        yield _refused(task.path, f"damaged_archive: what follows cannot be read: {damage}")


def _picture(task: ArchiveTask, tar: tarfile.TarFile, member: tarfile.TarInfo, seen: set[str]) -> dict[str, Any]:
    path = f"{task.path}/{escape(member.name)}"
    if path in seen:
        path = f"{path}#{member.offset_data}"
        return _refused(path, "unreadable: the archive has an earlier picture of this name")
    seen.add(path)
    if not member.isreg() or member.issparse():
        return _refused(path, "unreadable: not a regular file")
    if not leads_below(member.name):
        return _refused(path, "unreadable: its name leads out of the archive")
    if member.size > MAX_BYTES:
        return _refused(path, "too_large: the file is larger than 1 GiB")
    content = tar.extractfile(member)
    assert content is not None
    digest = hashlib.file_digest(content, "sha256").digest()  # type: ignore[arg-type]
    place = IN_SOURCE + task.path
    return {"path": path, "place": place, "offset": member.offset_data, "size": member.size, "sha256": digest}


def _unread(raw: Any, offset: int) -> str:
    """Why an archive ends where tarfile stopped, which takes a bad header for the end; "" where it is the end."""
    raw.seek(offset)
    rest = raw.read(tarfile.BLOCKSIZE)
    return "" if not rest.strip(b"\0") else f"no header at byte {offset}"


def _key(name: str) -> str:
    """What members of one sample share, as webdataset has it: the name up to the first dot after the folders."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def _json(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    content = tar.extractfile(member)
    try:
        return parse_json(content.read()) if content else None
    except ValueError:
        return None


def _told(content: Any) -> dict[str, str | None]:
    """What an archive says of a picture, under the names that lists may use; whatever is no text is left out."""
    if not isinstance(content, Mapping):
        return {}
    named = {str(name).strip().lower(): value for name, value in content.items()}
    found = {ours: next((named[one] for one in COLUMNS[ours] if one in named), None) for ours in _TOLD}
    return {ours: value for ours, value in found.items() if isinstance(value, str) and value.strip()}


def _of_parquet(task: ArchiveTask, file: Path) -> Iterator[dict[str, Any]]:
    """The pictures of a parquet file, which are copied into a tar; rows without a picture are no inputs."""
    try:
        with pq.ParquetFile(file) as parquet:
            column = holds_pictures(parquet.schema_arrow)
            if column is None:
                return
            with (
                atomic_file(task.out / task.copy) as target,
                tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar,
            ):
                rows = list(_copied(task, parquet, column, tar))
    except (pa.ArrowException, ValueError) as error:  # nothing was put in place
        rows = [_refused(task.path, f"damaged_archive: it cannot be read as parquet: {error}")]
    yield from rows


def _copied(task: ArchiveTask, parquet: pq.ParquetFile, column: str, tar: tarfile.TarFile) -> Iterator[dict[str, Any]]:
    names = [one for theirs in (("key",), *(COLUMNS[ours] for ours in _TOLD)) for one in theirs]
    wanted = [column, *(name for name in parquet.schema_arrow.names if name.strip().lower() in names)]
    number = 0
    for batch in parquet.iter_batches(_BATCH_ROWS, columns=wanted):
        for row in batch.to_pylist():
            value = row.pop(column)
            data, own = (value.get("bytes"), value.get("path")) if isinstance(value, Mapping) else (value, None)
            number += 1
            if not data:
                continue
            name = f"{number - 1:09d}"
            label = escape(str(own or row.get("key") or name).replace("/", "_"))
            offset = add_tar_member(tar, name, data)
            yield _told(row) | {
                "path": f"{task.path}/{number - 1:09d}-{label}" if label != name else f"{task.path}/{name}",
                "place": IN_OUT + task.copy,
                "offset": offset,
                "size": len(data),
                "sha256": hashlib.sha256(data).digest(),
            }


def _refused(path: str, why_not: str) -> dict[str, Any]:
    return {"path": path, "size": 0, "refused": " ".join(why_not.split())[:300]}


@contextmanager
def _local(task: ArchiveTask) -> Iterator[Path]:
    """The archive as a file of this machine."""
    where = task.source_root / unescape(task.path)
    if not isinstance(where, ObjectPath):
        yield where
        return
    with tempfile.TemporaryDirectory(prefix="shhq-hs-archive-") as folder:
        file = Path(folder, "archive")
        where.download(file)
        yield file
