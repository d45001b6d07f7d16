"""Videos in: any file that FFmpeg decodes (through PyAV), and folders of 300-VW (vid.avi beside annot/000001.pts ...).

Frames come upright, as the container's display matrix says, in order, with their presentation time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float, UInt8

from dataprep.errors import ConfigError
from dataprep.files.file_hashes import remembered_sha256
from dataprep.tables.layouts import VIDEO_SUFFIXES

_FPS_IF_UNKNOWN = 25.0
_FPS_RANGE = (1.0, 240.0)  # outside of it the container's number is a time base, not a rate


@dataclass(frozen=True)
class Frame:
    """One picture; `rgb` is None where the file is damaged and it could not be decoded.

    `landmarks68_px`: annotated iBUG points, source px, where the video comes with them.
    """

    number: int
    time_s: float
    rgb: UInt8[np.ndarray, "h w 3"] | None
    landmarks68_px: Float[np.ndarray, "68 2"] | None = None


@dataclass(frozen=True)
class Video:
    """A file that can be read, and what its container says. `frames` may be off by a few, or 0 when unknown.

    `width` and `height` are those of upright frames, px.
    """

    path: Path
    width: int
    height: int
    fps: float
    frames: int
    even: bool = False  # frames follow each other at `fps`, whatever times they carry
    annotations: Path | None = None

    @property
    def given(self) -> Path:
        """What a user names: the file, or the folder of 300-VW."""
        return self.path if self.annotations is None else self.annotations.parent

    def sha256(self) -> str:
        """Of the file and the annotations beside it."""
        digest = remembered_sha256(self.path)
        if self.annotations is None:
            return digest
        names = sorted(self.annotations.glob("*.pts"))
        return hashlib.sha256(
            "".join([digest, *(f"{n.name}{remembered_sha256(n)}" for n in names)]).encode()
        ).hexdigest()

    def read(self, first: int = 0) -> Iterator[Frame]:
        """Frames from number `first` on; those before are decoded and dropped, since seeking is not exact."""
        for number, (time_s, frame) in enumerate(self.timed()):
            if number >= first:
                yield Frame(number, time_s, None if frame is None else upright(frame), self._annotation(number))

    def timed(self) -> Iterator[tuple[float, av.VideoFrame | None]]:
        """Yield the presentation time of every frame, and the frame as it was decoded; None for one that cannot be."""
        last_s = -1.0 / self.fps
        for number, frame in enumerate(_decoded(self.path)):
            last_s = number / self.fps if self.even else _time_s(frame, number, last_s, self.fps)
            yield last_s, frame

    def _annotation(self, number: int) -> Float[np.ndarray, "68 2"] | None:
        if self.annotations is None:
            return None
        path = self.annotations / f"{number + 1:06d}.pts"
        return read_pts(path) if path.is_file() else None


def open_video(path: Path) -> Video:
    """Look into a video file or a folder of 300-VW; raises ConfigError that says what is wrong with it."""
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise ConfigError(f"VIDEO {path}: no such file; give a video, or a folder of 300-VW with vid.avi and annot/")
    return _probe(path, None)


def read_pts(path: Path) -> Float[np.ndarray, "68 2"]:
    """68 points of an iBUG .pts file in continuous px: the files count pixels from 1, so that (1, 1) is at 0.5."""
    try:
        text = path.read_text()
        body = text[text.index("{") + 1 : text.index("}")].split()
        points = np.array(body, np.float64).reshape(-1, 2)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a .pts file ({error}); expected 68 lines 'x y' between braces") from error
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise ConfigError(f"{path}: holds {len(points)} points, expected 68 finite ones")
    return points - 0.5


def _open_folder(folder: Path) -> Video:
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in VIDEO_SUFFIXES)
    annotations = folder / "annot"
    if len(files) != 1 or not annotations.is_dir():
        inner = sorted(f.name for f in folder.iterdir() if (f / "annot").is_dir())
        hint = f"; it holds {len(inner)} such folders, give one of them: {folder / inner[0]}" if inner else ""
        raise ConfigError(f"VIDEO {folder}: {len(files)} videos there, expected one beside a folder annot/{hint}")
    if not any(annotations.glob("*.pts")):
        raise ConfigError(f"VIDEO {folder}: annot/ holds no .pts file, expected 000001.pts and on")
    return _probe(files[0], annotations)


def _probe(path: Path, annotations: Path | None) -> Video:
    with open_stream(path) as stream:
        fps, frames = float(stream.average_rate or 0), stream.frames
        even = stream.container.format.name == "avi"  # has one rate, and no order of display: what FFmpeg guesses jumps
    first = next((frame for frame in _decoded(path) if frame is not None), None)
    if first is None:
        raise ConfigError(f"VIDEO {path}: no frame could be decoded; is the file whole? ffprobe says more")
    height, width = upright(first).shape[:2]
    fps = fps if _FPS_RANGE[0] <= fps <= _FPS_RANGE[1] else _FPS_IF_UNKNOWN
    return Video(path, width, height, fps, frames, even, annotations)


@contextmanager
def open_stream(path: Path) -> Iterator[av.VideoStream]:
    """Open the pictures of a file; raises ConfigError that says what is wrong with it."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ConfigError(f"VIDEO {path}: holds no pictures, only {len(container.streams)} other streams")
            yield container.streams.video[0]
    except (av.FFmpegError, OSError) as error:
        size = path.stat().st_size if path.is_file() else 0
        raise ConfigError(
            f"VIDEO {path}: not a video that FFmpeg can read ({size} bytes: {error.strerror or error}); is the file "
            f"whole? Other kinds: ffmpeg -i {path.name} -c:v libx264 {path.stem}-h264.mp4"
        ) from error


def _decoded(path: Path) -> Iterator[av.VideoFrame | None]:
    """Every frame in presentation order; None for a packet that is damaged. A file cut off ends early."""
    with open_stream(path) as stream:
        yield from decode(stream.container.demux(stream))  # type: ignore[attr-defined]


def decode(packets: Iterator[av.Packet]) -> Iterator[av.VideoFrame | None]:
    """Yield the frames of packets in presentation order; None for a packet that is damaged."""
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:  # the file ends in the middle of a packet
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.FFmpegError:
            yield None


def upright(frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    """Return RGB, turned by the quarter turns of the display matrix (phones store what the sensor saw)."""
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)))


def _time_s(frame: av.VideoFrame | None, number: int, last_s: float, fps: float) -> float:
    """Presentation time; where the container has none or goes back, one step after the last."""
    time_s = None if frame is None else frame.time
    if time_s is None or (number and time_s <= last_s + 1e-4) or time_s < 0:
        return last_s + 1 / fps
    return float(time_s)
