"""One input of a data set: what the index keeps of it, its columns, and its bytes wherever they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dataprep.errors import Damaged, Unreadable
from dataprep.files.filenames import unescape
from dataprep.files.foreign_files import read_bytes, read_part
from dataprep.files.locations import Location
from dataprep.tables.columns import HASH256, STRING, UINT8, UINT32, UINT64, Column

INPUTS_FOLDER = "inputs"  # below a data set: inputs that are no files of their own elsewhere
CLIPS_FOLDER, FETCHED_FOLDER = f"{INPUTS_FOLDER}/clips", f"{INPUTS_FOLDER}/fetched"
ARCHIVES_FOLDER = f"{INPUTS_FOLDER}/archives"
IN_OUT, IN_SOURCE = "out:", "source:"

COLUMNS = (
    # The module's former name: meanings are bytes of every table.
    Column("source_path", STRING, "path of the input file below the source folder, '/' separated (dataprep.filenames)"),
    Column("source_sha256", HASH256, "sha256 of the input file"),
    Column("source_bytes", UINT64, "size of the input file", unit="B"),
    Column("duplicate_of", STRING, "source_path of the first input with the same bytes, null for the first"),
    Column("mask_path", STRING, "supplied person mask, below the source folder; null when none"),
    Column("mask_sha256", HASH256, "sha256 of the supplied mask"),
    Column("openpose", STRING, "supplied OpenPose BODY_25 key points, 50 numbers as text; null when none"),
    Column("source_dataset", STRING, "layout the input was recognised as: shhq or folder"),
    Column("license", STRING, "terms tag of the input: the parameter ingest.license"),
    Column("person_index", UINT8, "0: the main person of the photograph"),
    Column("part", UINT32, "part of the data set this row is processed and committed in"),
    Column("clip", STRING, "path of the video that the input is a frame of, below the source folder; null for others"),
    Column("clip_time_s", pa.float64(), "presentation time of the frame since the video's first", unit="s"),
    Column("source_url", STRING, "where the input was downloaded from, as the list says; null when unknown"),
    Column("consent", STRING, "what the list says of the consent of those shown; null when it says nothing"),
    Column("caption", STRING, "what a list or an archive says of the picture; null when it says nothing"),
    Column("url_sha256", HASH256, "sha256 of what source_url gave, as the archive says; not of the picture"),
    Column(
        "source_place",
        STRING,
        "where the bytes lie, unless at source_path: `out:` or `source:`, then a path below the data set or the source "
        "folder",
    ),
    Column("source_offset", UINT64, "where the bytes begin in the file at source_place; null: at its start", unit="B"),
)


@dataclass(frozen=True)
class Source:
    """One input file. `sha256` and `mask_sha256` are raw digests; paths are text as `filenames.escape` writes it.

    `refused` is "reason: message" when the file cannot be read; it has a row all the same, and no `sha256`. A frame of
    a video has a `clip` and a time. `license`, `consent` and `caption` are what a list or an archive says of it. Bytes
    that are no file below the source folder lie at `offset` of the file that `place` names (`read_input`).
    """

    path: str
    size: int
    sha256: bytes | None = None
    sample_id: str = ""
    duplicate_of: str | None = None
    mask_path: str | None = None
    mask_sha256: bytes | None = None
    openpose: str | None = None
    dataset: str = "folder"
    part: int = 0
    refused: str | None = None
    clip: str | None = None
    time_s: float | None = None
    url: str | None = None
    license: str | None = None
    consent: str | None = None
    place: str | None = None
    offset: int | None = None
    caption: str | None = None
    url_sha256: bytes | None = None
    beside: str | None = None  # of an archive: the table that tells of its pictures
    said: str | None = None  # the sha256 that a list says, hex, until it has been compared

    @property
    def extras(self) -> tuple[str | float | None, ...]:
        """What a photograph of a folder has none of; the tables of a folder do not speak of it."""
        values = (getattr(self, name) for name in EXTRAS)
        return tuple(value.hex() if isinstance(value, bytes) else value for value in values)


EXTRAS = ("clip", "time_s", "url", "license", "consent", "place", "offset", "caption", "url_sha256")


def index_row(source: Source) -> dict[str, Any]:
    """Return an input as the first stage is given it: the columns of the index, and why it cannot be read."""
    return {
        "source_path": source.path,
        "source_sha256": source.sha256,
        "source_bytes": source.size,
        "duplicate_of": source.duplicate_of,
        "mask_path": source.mask_path,
        "mask_sha256": source.mask_sha256,
        "openpose": source.openpose,
        "source_dataset": source.dataset,
        "license": source.license,
        "part": source.part,
        "clip": source.clip,
        "clip_time_s": source.time_s,
        "source_url": source.url,
        "consent": source.consent,
        "caption": source.caption,
        "url_sha256": source.url_sha256,
        "source_place": source.place,
        "source_offset": source.offset,
        "refused": source.refused,
    }


def read_input(source_root: Location, out: Location | None, row: Mapping[str, Any]) -> bytes:
    """Return the bytes of an input from a row that has the columns of the index.

    Raises Unreadable, which says why, and Damaged where the data set itself should hold them.
    """
    place = row.get("source_place")
    if not place:
        return read_bytes(source_root, unescape(row["source_path"]))
    offset, size = row.get("source_offset"), row["source_bytes"]
    if place.startswith(IN_SOURCE):
        return read_part(source_root, unescape(place.removeprefix(IN_SOURCE)), offset, size)
    name = place.removeprefix(IN_OUT)
    if out is None or not name.startswith(f"{INPUTS_FOLDER}/"):
        raise Unreadable(f"the file cannot be read: no data set of ours holds {place!r}")
    try:
        return read_part(out, name, offset, size)
    except Unreadable as error:
        raise Damaged(out / name, f"is missing or damaged: {error}") from error
