"""Frames of videos as inputs: taking those of a piece in any process, and the rows of all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dataprep.errors import ConfigError
from dataprep.files.filenames import unescape
from dataprep.files.locations import Location, ObjectPath
from dataprep.inputs.clip_reading import WHOLE, Piece, frames_of, pieces_of, why_not
from dataprep.inputs.clip_sampling import across, sampled
from dataprep.inputs.gathering import Clips
from dataprep.inputs.kept_frames import ClipFolder
from dataprep.tables.input_rows import IN_OUT, Source
from dataprep.tables.sources import refuse, sample_id_of


@dataclass(frozen=True)
class ClipTask:
    """One video to be cut, or with a `number` one piece of it to be taken frames from."""

    source_root: Location
    folder: ClipFolder
    path: str
    clips: Clips
    number: int | None = None
    piece: Piece = WHOLE

    @property
    def key(self) -> tuple[str, int | None]:
        """What a worker that dies of it is remembered by."""
        return self.folder.name, self.number


def cut(task: ClipTask) -> int:
    """Find out where a video can be cut, and write it down; returns the number of pieces."""
    with _local(task) as file:
        try:
            pieces, refused = pieces_of(file), ""
        except ConfigError as error:
            pieces, refused = [], f"no_video: {why_not(error)}"
    task.folder.write_plan(pieces, refused)
    return len(pieces)


def take_frames(task: ClipTask) -> int:
    """Commit the frames of a piece that are worth keeping; returns how many there are."""
    assert task.number is not None
    with _local(task) as file:
        return task.folder.write_piece(task.number, sampled(frames_of(file, task.piece), task.clips))


def rows_of(clip: Source, folder: ClipFolder, clips: Clips) -> list[Source]:
    """Return the frames of a video as inputs; a video without any is an input itself, a refused one.

    Raises Damaged where a piece is not as it was written.
    """
    pieces, refused = folder.read_plan() or ([], "")
    if refused:
        return [refuse(clip, refused)]
    stored = [folder.read_piece(number) for number in range(len(pieces))]
    stays = across([[one.candidate for one in piece] for piece in stored], clips)
    rows = []
    for piece, keep in zip(stored, stays, strict=True):
        for one in (frame for frame, kept in zip(piece, keep, strict=True) if kept):
            path = frame_path(clip.path, one.candidate.time_s)
            sample_id = sample_id_of(path, clip.sha256 or b"")  # by the video's bytes: decoders differ in the last bit
            rows.append(Source(path, one.size, one.sha256, sample_id, clip=clip.path, time_s=one.candidate.time_s,
                               license=clip.license, consent=clip.consent, url=clip.url,
                               place=IN_OUT + one.tar, offset=one.offset))  # fmt: skip
    return rows or [refuse(clip, "no_frames: no frame of the video is sharp enough (clips.min_sharpness)")]


def frame_path(clip: str, time_s: float) -> str:
    """Return the name of a frame: the video's, and the time as a media fragment, to the millisecond."""
    return f"{clip}#t={time_s:09.3f}"


@contextmanager
def _local(task: ClipTask) -> Iterator[Path]:
    """The video as a file of this machine."""
    where = task.source_root / unescape(task.path)
    if not isinstance(where, ObjectPath):
        yield where
        return
    with tempfile.TemporaryDirectory(prefix="shhq-hs-clip-") as folder:
        file = Path(folder, f"clip{where.suffix}")
        where.download(file)
        yield file


def same_frames(tasks: Sequence[ClipTask]) -> list[ClipTask]:
    """Return the tasks whose folders differ: copies of a video share one."""
    return list({(task.folder.name, task.number): task for task in tasks}.values())
