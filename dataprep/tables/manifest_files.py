"""Where the manifest lies, and how to read it: `manifest.parquet` is a file, or a folder of files where rows are many.

    manifest.parquet/part-00000.parquet    rows in the order of their ids, one file after the other
    manifest.parquet/_pieces.json          the files with rows, bytes and sha256; written last

pandas and pyarrow read either by the one name. Everything of ours reads it through `ManifestReader` or `read_manifest`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.errors import Damaged
from dataprep.files.locations import Location, ObjectPath, each, matching
from dataprep.files.untrusted import parse_json
from dataprep.tables.sealed import identity, open_table, read_table
from dataprep.tables.store import write_json

MANIFEST, PIECES = "manifest.parquet", "_pieces.json"
_BLOCK_ROWS = 2048
_PIECE = re.compile(r"part-\d{5}\.parquet")


class ManifestFile(NamedTuple):
    """One file of a divided manifest."""

    name: str
    rows: int
    bytes: int
    sha256: str


def piece_name(number: int) -> str:
    return f"part-{number:05d}.parquet"


def manifest_of(place: Location) -> Location:
    """The manifest of a data set's folder, or `place` itself, which then is a manifest."""
    return place / MANIFEST if place.is_dir() and not is_divided(place) else place


def has_manifest(root: Location) -> bool:
    return (root / MANIFEST).is_file() or is_divided(root / MANIFEST)


def is_divided(manifest: Location) -> bool:
    """Whether a manifest is a folder of files."""
    return (manifest / PIECES).is_file()


def pieces_of(manifest: Location) -> list[ManifestFile]:
    """The files of a divided manifest, in order; [] where it is one file. Raises Damaged."""
    if not is_divided(manifest):
        return []
    path = manifest / PIECES
    try:
        found = [ManifestFile(str(name), int(rows), int(size), str(sha256))
                 for name, rows, size, sha256 in parse_json(path.read_text())]  # fmt: skip
        if strange := [one.name for one in found if not _PIECE.fullmatch(one.name)]:
            raise ValueError(f"no file of a manifest is called {strange[0]!r}")
    except (OSError, ValueError, TypeError) as error:
        raise Damaged(path, f"is damaged: it cannot be read ({error})") from error
    return found


def files_of(manifest: Location) -> list[Location]:
    """The parquet files of a manifest, in the order of their rows; raises Damaged."""
    return [manifest / one.name for one in pieces_of(manifest)] or [manifest]


def write_pieces(manifest: Location, pieces: Sequence[ManifestFile]) -> None:
    """Say that a divided manifest is whole, and remove files of an earlier, larger one."""
    write_json(manifest / PIECES, [list(one) for one in pieces])
    names = {one.name for one in pieces}
    for path in matching(manifest, "part-*.parquet"):
        if _PIECE.fullmatch(path.name) and path.name not in names:
            path.unlink(missing_ok=True)


def remove_manifest(manifest: Location, unless_divided: bool) -> None:
    """Make way for a manifest of the other form; one of the same form is written over, file by file."""
    if isinstance(manifest, ObjectPath):
        if unless_divided and manifest.is_file():
            manifest.unlink(missing_ok=True)
        return _remove_folder(manifest) if not unless_divided and manifest.is_dir() else None
    if manifest.is_dir() and not unless_divided:
        _remove_folder(manifest)
        manifest.rmdir()
    elif unless_divided and manifest.is_file():
        manifest.unlink()
    return None


def _remove_folder(manifest: Location) -> None:
    (manifest / PIECES).unlink(missing_ok=True)
    for path in matching(manifest, "part-*.parquet"):
        path.unlink(missing_ok=True)


def read_manifest(place: Location, columns: Sequence[str] | None = None) -> pa.Table:
    """The manifest of a data set or at a path, whole or some columns; every byte has been verified. Raises Damaged."""
    files = files_of(manifest_of(place))
    return pa.concat_tables(each(place, lambda path: read_table(path, columns), files))


def peek_manifest(root: Location, columns: Sequence[str]) -> pa.Table:
    """Some columns of a data set's manifest; no more is verified than is read. Raises Damaged."""
    return ManifestReader(root / MANIFEST, whole=False).read(columns)


def manifest_metadata(root: Location) -> dict[str, str]:
    """What the manifest of a data set says of itself; {} before there is one. Raises Damaged."""
    if not has_manifest(root):
        return {}
    with open_table(files_of(root / MANIFEST)[0]) as table:
        return {key.decode(): value.decode() for key, value in (table.schema_arrow.metadata or {}).items()}


def written_last(manifest: Location) -> Location:
    """The file of a manifest that a run writes last."""
    return manifest / PIECES if is_divided(manifest) else manifest


class ManifestReader:
    """A manifest to read column by column; all its bytes have been verified once, pages are again as they are read.

    Files of an object store are fetched, for the life of this object.
    """

    def __init__(self, manifest: Location, whole: bool = True) -> None:
        """Raises Damaged. Unless `whole`, no more is verified than is read."""
        files = files_of(manifest)
        self._folder = TemporaryDirectory(prefix="shhq-hs-") if isinstance(manifest, ObjectPath) else None
        self.files = [self._fetched(file) for file in files]
        for file in self.files if whole else ():
            identity(file)
        with open_table(self.files[0]) as table:
            self.schema = table.schema_arrow

    def _fetched(self, file: Location) -> Path:
        if not isinstance(file, ObjectPath):
            return file
        assert self._folder is not None
        copy = Path(self._folder.name) / file.name
        file.download(copy)
        return copy

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        return pa.concat_tables([self._read(file, columns) for file in self.files])

    def _read(self, file: Path, columns: Sequence[str] | None) -> pa.Table:
        with open_table(file) as table:
            return table.read(columns, use_threads=False)

    def row_groups(self, first: int, last: int) -> Iterator[pa.Table]:
        """Whole row groups, those that hold rows of the manifest from `first` to `last`."""
        place = 0
        for file in self.files:
            with open_table(file) as table:
                for number in range(table.num_row_groups):
                    rows = table.metadata.row_group(number).num_rows
                    if place <= last and place + rows > first:
                        yield table.read_row_group(number, use_threads=False)
                    place += rows

    def row(self, place: int, columns: Sequence[str]) -> pa.Table:
        """The row at `place`, empty where there is none; only its row group is read."""
        for file in self.files:
            with open_table(file) as table:
                for group in range(table.num_row_groups):
                    rows = table.metadata.row_group(group).num_rows
                    if place < rows:
                        return _row_of(table, group, place, columns)
                    place -= rows
        return self.schema.empty_table()

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """At most `rows` rows at a time, in order."""
        # No threads and no read-ahead: both would hold whole row groups of every column at once.
        for file in self.files:
            with open_table(file) as table:
                yield from table.iter_batches(rows, columns=list(columns), use_threads=False)


def _row_of(table: pq.ParquetFile, group: int, place: int, columns: Sequence[str]) -> pa.Table:
    """One row of a row group, of which no more is in memory than a few thousand rows."""
    for batch in table.iter_batches(_BLOCK_ROWS, row_groups=[group], columns=list(columns), use_threads=False):
        if place < len(batch):
            return pa.Table.from_batches([batch.slice(place, 1)])
        place -= len(batch)
    return table.schema_arrow.empty_table()
