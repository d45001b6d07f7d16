"""The index of a data set: which files are its inputs, their identity, and the part each belongs to.

Every image file below the source folder is an input and keeps its row for ever; masks of SHHQ's layout
(`no_segment/` images with `segments/` masks of the same stem) and OpenPose text belong to their image. Ids come from
relative path and bytes, so they survive a moved folder; exact duplicates keep ids of their own. (spec 3, sections 1-2)
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from dataprep.errors import ConfigError
from dataprep.schema import HASH256, STRING, UINT8, UINT32, UINT64, Column

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".jp2"}
MASK_FOLDERS = ("segments", "segment", "masks", "mask")
IMAGE_FOLDER = "no_segment"
PARSING_FOLDERS = ("parsing", "parsings", "SHHQ-1.0_parsing")
SMALL_SET, SMALL_PART, PART = 256, 4, 64

COLUMNS = (
    Column("source_path", STRING, "path of the input file below the source folder, '/' separated"),
    Column("source_sha256", HASH256, "sha256 of the input file"),
    Column("source_bytes", UINT64, "size of the input file", unit="B"),
    Column("duplicate_of", STRING, "sample_id of the first input with the same bytes, null for the first"),
    Column("mask_path", STRING, "supplied person mask, below the source folder; null when none"),
    Column("mask_sha256", HASH256, "sha256 of the supplied mask"),
    Column("openpose", STRING, "supplied OpenPose BODY_25 key points, 50 numbers as text; null when none"),
    Column("source_dataset", STRING, "layout the input was recognised as: shhq or folder"),
    Column("license", STRING, "terms tag of the input: the parameter ingest.license"),
    Column("person_index", UINT8, "0: the main person of the photograph"),
    Column("part", UINT32, "part of the data set this row is processed and committed in"),
)


@dataclass(frozen=True)
class Source:
    """One input file. `sha256` and `mask_sha256` are raw digests."""

    path: str
    size: int
    sha256: bytes = b""
    sample_id: str = ""
    duplicate_of: str | None = None
    mask_path: str | None = None
    mask_sha256: bytes | None = None
    openpose: str | None = None
    dataset: str = "folder"
    part: int = 0


def scan(root: Path) -> list[Source]:
    """All inputs below `root`, sorted by relative path, not yet read.

    Hidden files and folders are passed over; links to folders are not followed. Raises ConfigError when `root` is no
    folder or holds no image file.
    """
    if not root.is_dir():
        raise ConfigError(f"SOURCE {str(root)!r} is not a folder; give the folder that holds the photographs")
    files = dict(_walk(root))
    auxiliary = _auxiliary_prefixes(files)
    keypoints = _openpose_lines(root, files)
    sources = [
        Source(
            path,
            size,
            mask_path=_mask_of(path, files),
            openpose=keypoints.get(PurePosixPath(path).name),
            dataset="shhq" if IMAGE_FOLDER in PurePosixPath(path).parts[:-1] else "folder",
        )
        for path, size in sorted(files.items())
        if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES and not path.startswith(auxiliary)
    ]
    if not sources:
        known = " ".join(sorted(IMAGE_SUFFIXES))
        raise ConfigError(f"SOURCE {str(root)!r} holds no image file; looked below it for {known}")
    return sources


def _walk(root: Path) -> Iterator[tuple[str, int]]:
    pending = [root]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                elif entry.is_file():
                    yield Path(entry.path).relative_to(root).as_posix(), entry.stat().st_size


def _auxiliary_prefixes(files: dict[str, int]) -> tuple[str, ...]:
    """Folders of masks and parsing maps beside an image folder: what lies there is no input."""
    bases = {path.split(IMAGE_FOLDER + "/", 1)[0] for path in files if f"/{IMAGE_FOLDER}/" in f"/{path}"}
    return tuple(f"{base}{folder}/" for base in sorted(bases) for folder in (*MASK_FOLDERS, *PARSING_FOLDERS))


def _mask_of(path: str, files: dict[str, int]) -> str | None:
    parts = PurePosixPath(path).parts
    if IMAGE_FOLDER not in parts[:-1]:
        return None
    depth = parts.index(IMAGE_FOLDER)
    stem = PurePosixPath(path).stem
    for folder in MASK_FOLDERS:
        for suffix in (".png", ".jpg"):
            candidate = "/".join((*parts[:depth], folder, *parts[depth + 1 : -1], stem + suffix))
            if candidate in files:
                return candidate
    return None


def _openpose_lines(root: Path, files: dict[str, int]) -> dict[str, str]:
    """SHHQ's key-point text: one line a file, `<file> x0 y0 ... x24 y24`."""
    lines: dict[str, str] = {}
    for path in sorted(files):
        if not (path.endswith(".txt") and "openpose" in path.lower()):
            continue
        for line in (root / path).read_text(errors="replace").splitlines():
            name, *numbers = line.split()
            if len(numbers) == 50:
                lines[name] = " ".join(numbers)
    return lines


FileState = tuple[str, int, int]  # relative path, bytes, modification time in ns


def identify(
    root: Path,
    sources: list[Source],
    cache: dict[FileState, bytes] | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Source]:
    """Hash every input (8 threads) and set ids. Bytes are read, never kept.

    `cache` maps the state of a file to its digest; files found there are not read again, new ones are added.
    """
    cache = {} if cache is None else cache

    def digest_of(path: str) -> bytes:
        stat = (root / path).stat()
        state = (path, stat.st_size, stat.st_mtime_ns)
        if state not in cache:
            with (root / path).open("rb") as file:
                cache[state] = hashlib.file_digest(file, "sha256").digest()
        return cache[state]

    def read(source: Source) -> Source:
        digest = digest_of(source.path)
        sample_id = hashlib.sha256(source.path.encode("utf-8", "surrogateescape") + b"\0" + digest).hexdigest()[:32]
        mask = digest_of(source.mask_path) if source.mask_path else None
        return replace(source, sha256=digest, sample_id=sample_id, mask_sha256=mask)

    found: list[Source] = []
    with ThreadPoolExecutor(8) as pool:
        for source in pool.map(read, sources):
            found.append(source)
            if progress:
                progress(len(found))
    return found


def arrange(found: list[Source], known: list[Source], part_size: int) -> list[Source]:
    """Order the inputs into parts: known ones stay where they are, new ones are appended; then mark duplicates.

    An input that disappeared leaves, and its part gets shorter. Source order within the result is (part, position).
    """
    by_id = {source.sample_id: source for source in found}
    kept = [replace(by_id[old.sample_id], part=old.part) for old in known if old.sample_id in by_id]
    kept_ids = {source.sample_id for source in kept}
    next_part = max((source.part for source in known), default=0)
    room = part_size - sum(source.part == next_part for source in known)
    arranged = list(kept)
    for source in found:
        if source.sample_id in kept_ids:
            continue
        if room == 0:
            next_part, room = next_part + 1, part_size
        arranged.append(replace(source, part=next_part))
        room -= 1
    first: dict[bytes, str] = {}
    return [replace(s, duplicate_of=_other(first.setdefault(s.sha256, s.sample_id), s.sample_id)) for s in arranged]


def _other(first_id: str, own_id: str) -> str | None:
    return first_id if first_id != own_id else None


def part_size_for(n_inputs: int) -> int:
    """Rows in a part, from the number of inputs alone (spec 3, section 2)."""
    return SMALL_PART if n_inputs < SMALL_SET else PART
