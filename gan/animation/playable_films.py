"""Films that browsers play: H.264 (yuv420p) in mp4, each frame at its own time, with the sound of another file.

Sound that an mp4 may hold is copied bit by bit, other sound becomes AAC. The file appears whole or not at all, the same
every time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
import numpy as np

from dataprep.errors import Unwritable
from gan.animation.frame_files import Pixels, partial_path

_CODECS = ("libx264", "mpeg4")  # the second is in every build of FFmpeg
_Piece = TypeVar("_Piece")
_COPIED = {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"}
# With mbtree the same pictures of 130 px came out as 4 different files in 60 tries; without it, or bframes, as one.
_X264 = {"crf": "18", "threads": "1", "x264-params": "mbtree=0"}
_TICKS = Fraction(1, 90_000)
_OPTIONS = {"movflags": "+faststart", "fflags": "+bitexact"}


class Film:
    """Grows frame by frame; `sound_from`: a file whose first sound track accompanies the frames.

    Sides that are odd are widened by a white line, as the codec needs.
    """

    def __init__(self, path: Path, fps: float, height: int, width: int, sound_from: Path | None = None) -> None:
        self.path, self._partial = path, partial_path(path)
        self._fps, self._frames = fps, 0
        self._pad = ((0, height % 2), (0, width % 2), (0, 0))
        self._source: av.container.InputContainer | None = None
        self._last_s = -1.0
        try:
            self._file = av.open(str(self._partial), "w", format="mp4", options=_OPTIONS)
        except OSError as error:
            raise Unwritable(f"{path}: cannot be written ({error.strerror or error})") from error
        name = next(name for name in _CODECS if name in av.codecs_available)
        options = _X264 if name == "libx264" else {"qscale": "3"}
        stream = self._file.add_stream(name, rate=Fraction(fps).limit_denominator(1001), options=options)
        assert isinstance(stream, av.VideoStream)
        self._video = stream
        self._video.height, self._video.width, self._video.pix_fmt = height + height % 2, width + width % 2, "yuv420p"
        self._video.codec_context.time_base = _TICKS
        self._sound = self._open_sound(sound_from)
        self._next = next(self._sound, None)

    def add(self, frame: Pixels, time_s: float | None = None) -> None:
        """Add a frame that is shown at `time_s`, by default when its turn comes; times rise."""
        time_s = self._frames / self._fps if time_s is None else time_s
        self._frames += 1
        picture = av.VideoFrame.from_ndarray(np.pad(frame, self._pad, constant_values=255), format="rgb24")
        picture.pts, picture.time_base = round(time_s / _TICKS), _TICKS
        self._until(time_s)
        self._mux(self._video.encode(picture))
        self._last_s = time_s

    def close(self) -> None:
        """Finish: the sound ends with the last frame. Raises Unwritable when the disk is full."""
        self._mux(self._video.encode(None))
        self._until(self._last_s)
        try:
            self._release()
            self._partial.replace(self.path)
        except OSError as error:
            raise Unwritable(f"{self.path}: cannot be written ({error.strerror or error})") from error

    def abandon(self) -> None:
        """Drop what was written so far; nothing to do after `close`."""
        with suppress(OSError, ValueError):
            self._release()
        with suppress(OSError):
            self._partial.unlink(missing_ok=True)

    def _release(self) -> None:
        self._file.close()
        if self._source is not None:
            self._source.close()

    def _until(self, time_s: float) -> None:
        """Sound up to a time, so that picture and sound lie beside each other in the file."""
        while self._next is not None and self._next[0] <= time_s:
            self._mux([self._next[1]])
            self._next = next(self._sound, None)

    def _mux(self, packets: list[av.Packet]) -> None:
        try:
            self._file.mux(packets)
        except OSError as error:
            raise Unwritable(f"{self.path}: cannot be written ({error.strerror or error})") from error

    def _open_sound(self, path: Path | None) -> Iterator[tuple[float, av.Packet]]:
        """Packets of the sound with their times, for a stream made here: it must be there before the first frame."""
        if path is None:
            return iter(())
        self._source = av.open(str(path))
        if not self._source.streams.audio:
            return iter(())
        stream = self._source.streams.audio[0]
        if stream.codec_context.codec.canonical_name in _COPIED:
            return self._copied(stream, self._file.add_stream_from_template(stream))
        rate = stream.codec_context.sample_rate
        return self._encoded(stream, self._file.add_stream("aac", rate=rate, layout="stereo"))

    def _copied(self, stream: av.AudioStream, out: av.AudioStream) -> Iterator[tuple[float, av.Packet]]:
        assert self._source is not None
        last = -math.inf
        for packet in _whole(self._source.demux(stream)):
            if packet.dts is None or packet.pts is None or packet.dts <= last:
                continue
            last = packet.dts
            time_s = _time_s(packet)
            packet.stream = out
            yield time_s, packet

    def _encoded(self, stream: av.AudioStream, out: av.AudioStream) -> Iterator[tuple[float, av.Packet]]:
        assert self._source is not None
        resampler = av.AudioResampler("fltp", "stereo", stream.codec_context.sample_rate)
        for frame in _whole(self._source.decode(stream)):
            for piece in resampler.resample(frame):
                for packet in out.encode(piece):
                    yield _time_s(packet), packet
        for packet in out.encode(None):
            yield _time_s(packet), packet


def _whole(pieces: Iterator[_Piece]) -> Iterator[_Piece]:
    """Of a sound track, what comes before the first damage: a film without sound is better than none."""
    with suppress(av.FFmpegError):
        yield from pieces


def _time_s(packet: av.Packet) -> float:
    return float((packet.pts or 0) * packet.time_base)
