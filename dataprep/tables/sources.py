"""The index of a data set: which files are its inputs, their identity, and the part each belongs to.

Every image file below the source folder is an input and keeps its row for ever; masks (`layouts.py`) and
OpenPose text belong to their image. Ids come from relative path and bytes, so they survive a moved folder; exact
duplicates keep ids of their own.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from dataprep.errors import ConfigError, Unreadable, WrongHash
from dataprep.files.filenames import escape, unescape
from dataprep.files.foreign_files import LARGEST_BYTES, MAX_BYTES, read_bytes, require_there, sha256_of, state_of, why
from dataprep.files.locations import Location, ObjectPath
from dataprep.files.untrusted import lies_within
from dataprep.tables.archive_layout import archives_among
from dataprep.tables.input_rows import Source
from dataprep.tables.layouts import (
    ARCHIVE_SUFFIXES,
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    is_image,
    is_shhq,
    is_video,
    layout_of,
    suffix_of,
)

DATASET_FILES = {"dataset.json", "index.parquet"}  # a folder that holds both is an output of ours, not photographs
SMALL_SET, SMALL_PART, PART = 256, 4, 64
HUGE_SET, HUGE_PART = 1 << 18, 256  # at a million, files and tasks of 64 rows cost more than what a lost part does
BARRED = "it is a link that leads out of SOURCE, and those are not followed unasked"
PART_SIZES = (SMALL_PART, PART, HUGE_PART)
_IN_PIECES = {*VIDEO_SUFFIXES, *ARCHIVE_SUFFIXES}
_CHUNK = 32  # files a thread takes at a time: handing over one by one costs more than reading from the cache


@dataclass
class Links:
    """What becomes of links that lead out of the source folder; `out` are those that a scan met."""

    follow: bool = False
    out: list[str] = field(default_factory=list)


FileState = tuple[str, int, int]  # relative path, bytes, modification time in ns (of an object: Status.version)


@dataclass(frozen=True)
class Survey:
    """What lies below a source folder: the inputs, masks that belong to none, and files of other suffixes."""

    inputs: list[Source]  # photographs, and whatever cannot be read
    unused_masks: list[str]
    ignored: dict[str, int]  # suffix in lower case, "" without one -> files
    clips: tuple[Source, ...] = ()  # videos
    archives: tuple[Source, ...] = ()  # tars of pictures, and tables that may hold some
    tables: Mapping[str, str] = field(default_factory=dict)  # folder -> the table beside it, as img2dataset writes
    urls: tuple[Source, ...] = ()  # what a list says is to be downloaded
    more: int = 0  # inputs that a first look leaves out

    @property
    def total(self) -> int:
        """How many inputs there are, as far as a listing tells."""
        return len(self.inputs) + len(self.clips) + len(self.archives) + len(self.urls) + self.more


def scan(root: Location, states: dict[str, FileState] | None = None, links: Links | None = None) -> list[Source]:
    """The inputs of `survey`."""
    return survey(root, states, links).inputs


def survey(root: Location, states: dict[str, FileState] | None = None, links: Links | None = None) -> Survey:
    """All inputs below `root`, sorted by relative path, not yet read. What a listing tells is added to `states`.

    Hidden files and folders, links to folders, and data sets that this program built are passed over. What has an
    image's name and is no file (a dangling link, a pipe), a link that leads out of `root` unless `links` says otherwise
    and a folder that cannot be listed are inputs too, refused ones. Raises ConfigError when `root` is no folder or
    holds no image file.
    """
    links = links or Links()
    if isinstance(root, Path) and not root.is_dir():
        raise ConfigError(f"SOURCE {str(root)!r} is not a folder; give the folder that holds the photographs")
    walk = _walk_objects(root, states) if isinstance(root, ObjectPath) else _walk(root, links)
    found = dict(sorted(dict(walk).items()))
    barred = set() if links.follow else set(links.out)
    readable = [path for path, entry in found.items() if not entry.refused or path.endswith("/")]
    layout = layout_of([*readable, *sorted(barred.difference(readable))])
    others = {path: entry for path, entry in found.items() if not layout.is_auxiliary(path)}
    for path, entry in found.items():
        if entry.refused and path.endswith("/") and layout.is_auxiliary(path):
            raise ConfigError(f"{path} in SOURCE holds the images' masks or maps, and {entry.refused}; fix or move it")
    if texts := sorted(filter(_holds_openpose, barred)):
        raise ConfigError(f"{texts[0]} holds key points of the images, but {BARRED}; move it, or --follow-links")
    keypoints = _openpose_lines(root, {path: entry.size for path, entry in found.items() if not entry.refused})
    inputs = [
        Source(
            path,
            entry.size,
            mask_path=(mask := layout.mask_of(path)),
            openpose=_openpose_of(path, keypoints),
            dataset="shhq" if is_shhq(path) else "folder",
            refused=entry.refused or (f"link_outside: its mask: {BARRED}" if mask in barred else None),
        )
        for path, entry in others.items()
        if is_image(path) or path.endswith("/")
    ]
    clips = tuple(Source(path, entry.size, refused=entry.refused) for path, entry in others.items() if is_video(path))
    archives, tables = archives_among({path: (entry.size, entry.refused) for path, entry in others.items()})
    if not inputs and not clips and not archives:
        raise no_input(root)
    read = {source.path for source in (*inputs, *clips, *archives)}
    ignored = Counter(suffix_of(path) for path in others.keys() - read if not _holds_openpose(path))
    unused = layout.unused(source.mask_path for source in inputs)
    return Survey(inputs, unused, dict(sorted(ignored.items())), clips, archives, tables)


def no_input(root: Location) -> ConfigError:
    """Return the error for a folder that holds nothing that could be an input."""
    known = " ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))
    return ConfigError(f"SOURCE {str(root)!r} holds no image file, no video and no archive of pictures; looked below "
                       f"it for {known} {' '.join(ARCHIVE_SUFFIXES)}")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Entry:
    size: int
    refused: str | None = None


def _walk(root: Path, links: Links) -> Iterator[tuple[str, _Entry]]:
    """Relative path (as text; folders that cannot be listed end in "/") of every file, by folder."""
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            with os.scandir(os.path.join(root, prefix)) as listing:
                entries = list(listing)
                if prefix and {entry.name for entry in entries} >= DATASET_FILES:
                    continue
                for entry in entries:
                    name = prefix + entry.name
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(f"{name}/")
                    elif state := _state(entry):
                        if entry.is_symlink() and not state.refused and not lies_within(Path(entry.path), root):
                            links.out.append(escape(name))
                            state = state if links.follow else _Entry(0, f"link_outside: {BARRED}")
                        yield escape(name), state
        except OSError as error:
            if not prefix:
                raise ConfigError(f"SOURCE {str(root)!r} cannot be listed: {why(error)}") from error
            yield escape(prefix), _Entry(0, f"unreadable: the folder cannot be listed: {why(error)}")


def _walk_objects(root: ObjectPath, states: dict[str, FileState] | None) -> Iterator[tuple[str, _Entry]]:
    """The same of an object store, in one listing. A name with a part that begins with a dot is hidden."""
    listing = {name: status for name, status in root.walk() if not re.search(r"(^|/)(\.|/|$)", name)}
    folders = {name.rpartition("/")[0] for name in listing if name.endswith("/dataset.json")}
    ours = tuple(f"{folder}/" for folder in folders if all(f"{folder}/{file}" in listing for file in DATASET_FILES))
    for name, status in listing.items():
        if not name.startswith(ours):
            path = escape(name)
            if states is not None:
                states[path] = (path, status.st_size, status.version)
            yield path, _Entry(status.st_size, _too_large(path, status.st_size))


def _state(entry: os.DirEntry[str]) -> _Entry | None:
    """None for a link to a folder."""
    try:
        status = entry.stat()
    except OSError as error:
        return _Entry(0, f"unreadable: the file cannot be read: {why(error)}")
    if stat.S_ISDIR(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode):
        return _Entry(0, "unreadable: not a regular file")
    return _Entry(status.st_size, _too_large(entry.name, status.st_size))


def _too_large(name: str, size: int) -> str | None:
    """Of a photograph, which is held in memory whole; videos and archives are read in pieces."""
    return (
        "too_large: the file is larger than 1 GiB" if size > MAX_BYTES and suffix_of(name) not in _IN_PIECES else None
    )


def _holds_openpose(path: str) -> bool:
    return path.endswith(".txt") and "openpose" in path.lower()


def _openpose_lines(root: Location, files: dict[str, int]) -> dict[tuple[str, str], str]:
    """SHHQ's key-point text, one line a file: `<file> x0 y0 ... x24 y24`; keyed by the text's folder and the name."""
    lines: dict[tuple[str, str], str] = {}
    for path in sorted(files):
        if not _holds_openpose(path):
            continue
        try:
            text = read_bytes(root, unescape(path)).decode(errors="replace")
        except Unreadable as error:
            raise ConfigError(f"{path} holds key points of the images, but {error}; fix or move it") from error
        for line in text.splitlines():
            name, *numbers = line.split()
            if len(numbers) == 50:
                lines[path.rpartition("/")[0], name] = " ".join(numbers)
    return lines


def _openpose_of(path: str, lines: dict[tuple[str, str], str]) -> str | None:
    """The line of the nearest text file in the image's folder or above it; never one of a neighbouring folder."""
    folder, _, name = path.rpartition("/")
    while (folder, name) not in lines and folder:
        folder = folder.rpartition("/")[0]
    return lines.get((folder, name))


def identify(
    root: Location,
    sources: list[Source],
    cache: dict[FileState, bytes] | None = None,
    progress: Callable[[int], None] | None = None,
    states: Mapping[str, FileState] | None = None,
) -> list[Source]:
    """Hash every input (8 threads) and set ids. Bytes are read, never kept; what cannot be read becomes refused.

    `cache` maps the state of a file to its digest; files found there are not read again, new ones are added. `states`
    are those that `scan` learned.
    """
    cache = {} if cache is None else cache
    states = states or {}

    def digest_of(path: str) -> bytes:
        name = unescape(path)
        state = states.get(path) or _file_state(root, path)
        if state not in cache:
            cache[state] = sha256_of(root, name, LARGEST_BYTES if is_video(name) else MAX_BYTES)
        return cache[state]

    def read(source: Source) -> Source:
        if source.sample_id:  # known from elsewhere
            return source
        if source.refused:
            return refuse(source, source.refused)
        try:
            digest = digest_of(source.path)
        except Unreadable as error:
            require_there(root)
            return refuse(source, f"{error.reason}: {error}")
        if why_not := wrong_hash(digest, source.said):
            return refuse(source, why_not)
        try:
            mask = digest_of(source.mask_path) if source.mask_path else None
        except Unreadable as error:
            require_there(root)
            return refuse(source, f"{error.reason}: its mask: {error}")
        return replace(source, sha256=digest, sample_id=sample_id_of(source.path, digest), mask_sha256=mask,
                       said=None)  # fmt: skip

    found: list[Source] = []
    with ThreadPoolExecutor(8) as pool:
        chunks = [sources[i : i + _CHUNK] for i in range(0, len(sources), _CHUNK)]
        for chunk in pool.map(lambda chunk: [read(source) for source in chunk], chunks):
            found += chunk
            if progress:
                progress(len(found))
    return found


def _file_state(root: Location, path: str) -> FileState:
    status = state_of(root, unescape(path))
    return path, status.st_size, status.st_mtime_ns


def sample_id_of(path: str, content: bytes) -> str:
    """Return the id for path and content; the path counts by its bytes, as on disk."""
    return hashlib.sha256(os.fsencode(unescape(path)) + b"\0" + content).hexdigest()[:32]


def refuse(source: Source, why_not: str) -> Source:
    """Mark an input as one that cannot be read, "reason: message".

    Once it can be read it is another input, so that nothing of the refused row is taken for it.
    """
    return replace(source, sample_id=sample_id_of(source.path, why_not.encode()), refused=why_not, said=None)


def wrong_hash(found: bytes, said: str | None) -> str:
    """Return "reason: message" when a digest is not the one that a list says, in hex; "" when it is."""
    if not said or found.hex() == said:
        return ""
    return f"{WrongHash.reason}: its sha256 is {found.hex()}, but the list says {said}; correct the list or the file"


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
    for i, source in enumerate(arranged):
        if source.sha256 is not None:
            original = first.setdefault(source.sha256, source.path)
            if original != source.path:
                arranged[i] = replace(source, duplicate_of=original)
    return arranged


def part_size_for(n_inputs: int) -> int:
    """Rows in a part, from the number of inputs alone."""
    return SMALL_PART if n_inputs < SMALL_SET else PART if n_inputs < HUGE_SET else HUGE_PART


def part_size_of(known: list[Source]) -> int:
    """The part size of inputs that lie in parts, 0 for none."""
    fullest = max(Counter(source.part for source in known).values(), default=0)
    return next((size for size in PART_SIZES if fullest <= size), HUGE_PART) if known else 0
