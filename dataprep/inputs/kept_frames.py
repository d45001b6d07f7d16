"""Frames of videos as they lie in a data set: lossless, one tar and one table a piece, committed as parts are.

OUT/inputs/clips/<clip>-<fingerprint>/clip.json            where the video is cut, or why it has no frames
OUT/inputs/clips/<clip>-<fingerprint>/piece-00000.tar      PNG files; there before the table that makes them count
OUT/inputs/clips/<clip>-<fingerprint>/piece-00000.parquet  time, sharpness and place of each

The folder's name is the hash of the video's bytes and of how frames are taken, so that copies of a video share it.

Why frames are stored and not decoded whenever a stage asks: four stages read the photograph, a frame in the middle of a
video costs the frames since the last key frame each time, an object store would be asked for whole videos, and decoders
differ from machine to machine in the last bit, while a stored file has one hash.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dataprep.errors import Damaged
from dataprep.files.locations import Location, listing
from dataprep.files.untrusted import parse_json, require_word
from dataprep.inputs.clip_reading import Piece
from dataprep.inputs.clip_sampling import LOOK_PX, Candidate, Kept
from dataprep.pictures.codecs import encode_png
from dataprep.tables.columns import HASH256, STRING, UINT32, UINT64, Column, rows_from_table, table_from_rows
from dataprep.tables.input_rows import CLIPS_FOLDER
from dataprep.tables.sealed import read_table
from dataprep.tables.store import add_tar_member, atomic_file, write_json, write_table

_COLUMNS = (
    Column("time_s", pa.float64(), "presentation time since the first frame", unit="s"),
    Column("interval", UINT64, "number of the interval, of `clips.frames_per_s` a second, that it was taken from"),
    Column("focus", pa.float64(), "variance of the Laplacian"),
    Column("sharpness", pa.float64(), "1 - perceptual blur of the whole frame"),
    Column("look", pa.binary(), "64 x 64 grey levels"),
    Column("offset", UINT64, "byte offset of the PNG in the piece's tar", unit="B"),
    Column("size", UINT32, "bytes of the PNG", unit="B"),
    Column("sha256", HASH256, "sha256 of the PNG"),
    Column("name", STRING, "name of the PNG in the tar"),
)


@dataclass(frozen=True, eq=False)
class StoredFrame:
    """A kept frame and where it lies: `offset` and `size` in the tar `tar`, a path below the data set."""

    candidate: Candidate
    tar: str
    offset: int
    size: int
    sha256: bytes


@dataclass(frozen=True)
class ClipFolder:
    """The frames of one video in a data set."""

    out: Location
    name: str  # <128 bits of the video's sha256>-<fingerprint of the parameters>

    @classmethod
    def of(cls, out: Location, sha256: bytes, fingerprint: str) -> ClipFolder:
        """Return the folder for a video's bytes and the parameters."""
        return cls(out, f"{sha256.hex()[:32]}-{fingerprint}")

    def __post_init__(self) -> None:
        """Raise StoreError unless the name is a name."""
        require_word(self.name, "the name of a video's folder")

    @property
    def path(self) -> Location:
        """Return where it lies."""
        return self.out / CLIPS_FOLDER / self.name

    def write_plan(self, pieces: Iterable[Piece], refused: str = "") -> None:
        """Say where the video is cut, or why it has no frames."""
        write_json(self.path / "clip.json", {"pieces": [[p.first, p.end] for p in pieces], "refused": refused})

    def read_plan(self) -> tuple[list[Piece], str] | None:
        """Return the pieces, and why there are none; None where nobody has looked yet, or what was left is damaged."""
        try:
            content = parse_json((self.path / "clip.json").read_text())
            return [Piece(first, end) for first, end in content["pieces"]], str(content["refused"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def unfinished(self, pieces: int) -> list[int]:
        """Return the numbers of the pieces of which not both files are there: one listing."""
        files = listing(self.path)
        return [n for n in range(pieces) if not {f"{_stem(n)}.tar", f"{_stem(n)}.parquet"} <= files.keys()]

    def write_piece(self, number: int, frames: Iterable[Kept]) -> int:
        """Commit a piece, one frame in memory at a time; returns how many there are."""
        rows: list[dict[str, Any]] = []
        tar_path = self.path / f"{_stem(number)}.tar"
        with atomic_file(tar_path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for one in frames:
                data, name = encode_png(np.ascontiguousarray(one.rgb)), f"{one.candidate.time_s:09.3f}.png"
                offset = add_tar_member(tar, name, data)
                rows.append(vars(one.candidate) | {"look": one.candidate.look.tobytes(), "offset": offset,
                            "size": len(data), "sha256": hashlib.sha256(data).digest(), "name": name})  # fmt: skip
        write_table(self.path / f"{_stem(number)}.parquet", table_from_rows(_COLUMNS, rows))
        return len(rows)

    def read_piece(self, number: int) -> list[StoredFrame]:
        """Return the frames of a piece; raises Damaged."""
        path = self.path / f"{_stem(number)}.parquet"
        try:
            return [self._frame(row, number) for row in rows_from_table(read_table(path))]
        except (KeyError, TypeError, ValueError) as error:
            raise Damaged(path, f"is damaged: it is no table of frames ({error})") from error

    def remove_piece(self, number: int) -> None:
        """Uncommit a piece: first what makes it count."""
        for suffix in ("parquet", "tar"):
            (self.path / f"{_stem(number)}.{suffix}").unlink(missing_ok=True)

    def _frame(self, row: Mapping[str, Any], number: int) -> StoredFrame:
        look = np.frombuffer(row["look"], np.uint8).reshape(LOOK_PX, LOOK_PX)
        candidate = Candidate(row["time_s"], row["interval"], row["focus"], row["sharpness"], look)
        tar = f"{CLIPS_FOLDER}/{self.name}/{_stem(number)}.tar"
        return StoredFrame(candidate, tar, row["offset"], row["size"], row["sha256"])


def _stem(number: int) -> str:
    return f"piece-{number:05d}"
