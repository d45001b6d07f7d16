"""A quick look at a data set before each run: is every file there, of its size, and not written to by anybody else?

Sizes come from ledgers and records, times of writing from `runs/seen.json`, the previous run's look. A file with
another time is read and hashed: nothing to do is said only of files that are as they were. Damage that leaves no such
trace is found where the file is read, and by `shhq-hs verify --deep`. An object store has no strange hands: sizes do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dataprep.errors import Damaged
from dataprep.files.file_hashes import file_sha256
from dataprep.files.filenames import printable
from dataprep.files.locations import Location, each, listing
from dataprep.files.untrusted import leads_below, parse_json
from dataprep.tables.manifest_files import MANIFEST
from dataprep.tables.parts import PartRecord, part_number
from dataprep.tables.sealed import identity
from dataprep.tables.shard_folders import SHARDS
from dataprep.tables.store import StageRef, Store, write_json
from pipelines.engine.ledger import ledger_path, read_ledger

Listing = Mapping[str, tuple[int, int]]  # name -> bytes, time of writing
_OUTPUT_FOLDERS = ("", MANIFEST, SHARDS, "report")
_SHOWN = 20
_FEW = 8


class Defect(NamedTuple):
    """A file that is missing or damaged: its path, and what is wrong with it."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path} {self.what}"


def say(defects: Sequence[Defect]) -> None:
    """One line a file, to stderr."""
    for defect in defects[:_SHOWN]:
        print(printable(f"{defect}; it is made anew"), file=sys.stderr)
    if len(defects) > _SHOWN:
        print(f"and {len(defects) - _SHOWN} more files that are missing or damaged", file=sys.stderr)


@dataclass
class Seen:
    """Times of writing by folder below the root and name, as a run left them; a file that is not here is trusted."""

    times: dict[str, dict[str, int]] = field(default_factory=dict)

    def changed(self, folder: str, name: str, written: int) -> bool:
        return self.times.get(folder, {}).get(name, written) != written


def read_seen(root: Location) -> Seen:
    if not isinstance(root, Path):
        return Seen()
    try:
        times = parse_json((root / "runs" / "seen.json").read_text())
        return Seen({folder: {name: int(time) for name, time in names.items()} for folder, names in times.items()})
    except (OSError, ValueError, AttributeError, TypeError):
        return Seen()


def remember(root: Location, seen: Seen, stages: Mapping[str, Listing], finished: bool) -> None:
    """Record how a run leaves its files: those of stages by folder, and what aggregates wrote.

    A run that was not `finished` has not made its aggregates again: damage to them is still there, and to be found.
    """
    if not isinstance(root, Path):
        return
    outputs = {name: listing(root / name if name else root) for name in _OUTPUT_FOLDERS} if finished else {}
    times = seen.times | {name: _times(files) for name, files in {**stages, **outputs}.items()}
    if times != seen.times:
        write_json(root / "runs" / "seen.json", times)


def _times(files: Listing) -> dict[str, int]:
    return {name: written for name, (_, written) in files.items()}


@dataclass(frozen=True)
class FolderLook:
    """A stage's parts: those that are whole, and what is wrong with others.

    `ledger`: what was recorded before; `files`: all that lie there; `described`: its stage.json is of the right size,
    and has the right bytes where somebody wrote to it.
    """

    whole: Mapping[int, PartRecord]
    defects: Mapping[int, Defect]
    ledger: Mapping[int, PartRecord]
    files: Listing
    ledger_defect: Defect | None = None
    described: bool = False


def look_at(store: Store, ref: StageRef, description: bytes, seen: Seen) -> FolderLook:
    """One listing and one ledger; only parts that the ledger does not know, or that were written to since, are read."""
    files = listing(store.folder(ref))
    ledger, ledger_defect = _ledger(store, ref)
    parts = sorted({part for name in files if (part := part_number(name)) is not None} | ledger.keys())
    found = each(store.root, lambda part: _look_at_part(store, ref, part, files, ledger.get(part), seen), parts)
    pairs = dict(zip(parts, found, strict=True))
    whole = {part: one for part, one in pairs.items() if isinstance(one, PartRecord)}
    defects = {part: one for part, one in pairs.items() if isinstance(one, Defect)}
    size, written = files.get("stage.json", (-1, 0))
    described = size == len(description)
    if described and seen.changed(f"stages/{ref.folder}", "stage.json", written):
        described = (store.folder(ref) / "stage.json").read_bytes() == description
    return FolderLook(whole, defects, ledger, files, ledger_defect, described)


def _ledger(store: Store, ref: StageRef) -> tuple[dict[int, PartRecord], Defect | None]:
    try:
        return read_ledger(store, ref), None
    except Damaged as error:
        return {}, Defect(str(ledger_path(store, ref)), error.what)


def _look_at_part(
    store: Store, ref: StageRef, part: int, files: Listing, record: PartRecord | None, seen: Seen
) -> PartRecord | Defect:
    if record and _is_untouched(ref, part, files, record, seen):
        return record
    path = store.part_path(ref, part)
    if path.name not in files:
        return Defect(str(path), "is missing")
    try:
        known = record or store.examine(ref, part)
        for file, size in ((path, known.parquet_bytes), (path.with_suffix(".tar"), known.tar_bytes)):
            if size is not None:
                _require_size(file, size, files)
        if not _is_untouched(ref, part, files, known, seen):
            require_whole(path, known)
    except Damaged as error:
        return Defect(error.path, error.what)
    return known


def _is_untouched(ref: StageRef, part: int, files: Listing, record: PartRecord, seen: Seen) -> bool:
    """Whether a part's files are there, of their sizes, and of the times at which they were last seen."""
    times = seen.times.get(f"stages/{ref.folder}", {})
    for ending, size in (("parquet", record.parquet_bytes), ("tar", record.tar_bytes)):
        if size is not None:
            name = f"part-{part:06d}.{ending}"
            found = files.get(name)
            if found is None or found[0] != size or times.get(name, found[1]) != found[1]:
                return False
    return True


def _require_size(path: Location, size: int, files: Listing) -> None:
    if path.name not in files:
        raise Damaged(path, "is missing")
    if files[path.name][0] != size:
        raise Damaged(path, f"has {files[path.name][0]} bytes, {size} were written")


def require_whole(path: Location, record: PartRecord) -> None:
    """Read a part and its tar through; raises Damaged unless they are what the record says."""
    if identity(path) != record.identity:
        raise Damaged(path, "is damaged: it has other bytes than were written")
    if record.tar_sha256:
        require_sha256(path.with_suffix(".tar"), record.tar_sha256)


def require_sha256(path: Location, sha256: str) -> None:
    """Raise Damaged unless a file has the bytes with that hash."""
    try:
        found = file_sha256(path)
    except FileNotFoundError as error:
        raise Damaged(path, "is missing") from error
    if found != sha256:
        raise Damaged(path, "is damaged: it has other bytes than were written")


def output_defects(root: Location, files: Mapping[str, tuple[Any, str]], seen: Seen) -> Iterator[Defect]:
    """What is wrong with files below `root`, given their bytes (None: not recorded) and sha256."""
    listings = _listings(root, list(files))
    for name, (size, sha256) in files.items():
        if not leads_below(name):
            yield Defect(str(root), f"has a record that names {name!r}, which is no file of it")
            continue
        folder, _, file = name.rpartition("/")
        path = root / name
        try:
            _require_size(path, listings[folder].get(file, (0, 0))[0] if size is None else size, listings[folder])
            if size is None or seen.changed(folder, file, listings[folder][file][1]):
                require_sha256(path, sha256)
        except Damaged as error:
            yield Defect(error.path, error.what)


def _listings(root: Location, names: Sequence[str]) -> dict[str, Listing]:
    """Sizes and times of files by folder; few objects are asked for one by one, which costs less than a list."""
    folders = {name.rpartition("/")[0] for name in names}
    if isinstance(root, Path) or len(names) > _FEW:
        return {folder: listing(root / folder if folder else root) for folder in folders}
    found: dict[str, dict[str, tuple[int, int]]] = {folder: {} for folder in folders}
    for name in names:
        folder, _, file = name.rpartition("/")
        with suppress(FileNotFoundError):
            status = (root / name).stat()
            found[folder][file] = (status.st_size, status.st_mtime_ns)
    return dict(found)


def read_json(path: Location) -> tuple[dict[str, Any], Defect | None]:
    """An object of ours; {} and what is wrong when it cannot be read, {} alone when it is not there."""
    try:
        content = parse_json(path.read_text())
    except FileNotFoundError:
        return {}, None
    except (OSError, ValueError) as error:
        return {}, Defect(str(path), f"is damaged: it cannot be read ({error})")
    return (content, None) if isinstance(content, dict) else ({}, Defect(str(path), "is damaged: it holds no object"))
