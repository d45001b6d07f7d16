"""Videos in pieces that can each be decoded without the others.

A piece begins at a key frame and ends before another one, by presentation time. Decoding goes on beyond its end until a
frame is shown later than that: frames that lean on the next key frame as well are decoded with both. So the pieces of a
video hold each of its frames once, and which process decodes which piece changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from dataprep.errors import ConfigError
from dataprep.tracking.video_reader import decode, open_stream, open_video

PIECE_S = 10.0  # at least; a key frame every 10 s is usual, every 2 s on the web
_UNIT = Fraction(1, 1_000_000)


@dataclass(frozen=True)
class Piece:
    """Presentation times of a piece in the stream's own unit: from `first` on, before `end`. None: no bound."""

    first: int | None = None
    end: int | None = None


WHOLE = Piece()


@dataclass(frozen=True)
class Timed:
    """A frame and its time, in seconds since the video's first."""

    time_s: float
    frame: av.VideoFrame


def pieces_of(path: Path) -> list[Piece]:
    """Return where a video is cut; one piece where its container cannot be entered in the middle.

    Raises ConfigError, which says what is wrong with it.
    """
    open_video(path)  # decodes a frame
    with open_stream(path) as stream:
        if stream.container.format.name == "avi":  # its packets have no time of display
            return [WHOLE]
        container: Any = stream.container
        packets = container.demux(stream)
        try:
            keys = [packet.pts for packet in packets if packet.is_keyframe]
        except av.FFmpegError:  # cut off in the middle of a packet: what stands before it counts
            return [WHOLE]
        step = PIECE_S / float(stream.time_base or _UNIT)
    known = [time for time in keys if time is not None]
    if len(known) != len(keys) or known != sorted(known):
        return [WHOLE]
    cuts: list[int] = []
    for time in known[1:]:
        if time - (cuts[-1] if cuts else known[0]) >= step:
            cuts.append(time)
    bounds: list[int | None] = [None, *cuts, None]
    return [Piece(first, end) for first, end in itertools.pairwise(bounds)]


def frames_of(path: Path, piece: Piece) -> Iterator[Timed]:
    """Yield the frames of a piece that can be decoded, in order of display."""
    if piece == WHOLE:
        yield from _from_the_start(path)
        return
    with open_stream(path) as stream:
        stream.codec_context.thread_count = 1  # a worker is one thread
        unit, start = stream.time_base or _UNIT, stream.start_time or 0
        for frame in decode(_entered(stream, piece.first)):
            if frame is None or frame.pts is None or (piece.first is not None and frame.pts < piece.first):
                continue
            if piece.end is not None and frame.pts >= piece.end:
                return
            yield Timed(max(0.0, float((frame.pts - start) * unit)), frame)


def _from_the_start(path: Path) -> Iterator[Timed]:
    """By the clock of the container, or its number where that has none."""
    for time_s, frame in open_video(path).timed():
        if frame is not None:
            yield Timed(time_s, frame)


def _entered(stream: av.VideoStream, first: int | None) -> Iterator[av.Packet]:
    """Packets from the key frame at `first`, or from the start where the container misses it."""
    container: Any = stream.container
    if first is None:
        yield from container.demux(stream)
        return
    container.seek(first, stream=stream)
    packets = container.demux(stream)
    head = next(packets)
    if head.pts is None or head.pts > first or not head.is_keyframe:
        container.seek(stream.start_time or 0, stream=stream)
        yield from container.demux(stream)
        return
    yield head
    yield from packets


def why_not(error: ConfigError) -> str:
    """What `open_video` said, without the name of the file."""
    return str(error).partition(": ")[2]
