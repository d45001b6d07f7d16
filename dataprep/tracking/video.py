"""Videos in: any file OpenCV decodes, and the folders of 300-VW (vid.avi beside annot/000001.pts ...).

Frames come upright, in order, with their presentation time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dataprep.errors import ConfigError
from dataprep.licensed import file_sha256

_SUFFIXES = (".avi", ".mp4", ".mov", ".mkv", ".webm", ".m4v")
_FPS_IF_UNKNOWN = 25.0
_FPS_RANGE = (1.0, 240.0)  # outside of it the container's number is a time base, not a rate


@dataclass(frozen=True)
class Frame:
    """One picture. `landmarks68_px`: annotated iBUG points, source px, where the video comes with them."""

    number: int
    time_s: float
    rgb: UInt8[np.ndarray, "h w 3"]
    landmarks68_px: Float[np.ndarray, "68 2"] | None = None


@dataclass(frozen=True)
class Video:
    """A file that can be read, and what its container says. `frames` may be off by a few, or 0 when unknown."""

    path: Path
    width: int
    height: int
    fps: float
    frames: int
    annotations: Path | None = None

    @property
    def given(self) -> Path:
        """What a user names: the file, or the folder of 300-VW."""
        return self.path if self.annotations is None else self.annotations.parent

    def sha256(self) -> str:
        """Of the file and the annotations beside it."""
        digest = file_sha256(self.path)
        if self.annotations is None:
            return digest
        names = sorted(self.annotations.glob("*.pts"))
        return hashlib.sha256("".join([digest, *(f"{n.name}{file_sha256(n)}" for n in names)]).encode()).hexdigest()

    def read(self, first: int = 0) -> Iterator[Frame]:
        """Frames from number `first` on; those before are decoded and dropped, since seeking is not exact."""
        with _opened(self.path) as capture:
            last_s = -1.0 / self.fps
            for number in _count():
                if not capture.grab():
                    return
                last_s = _time_s(capture, number, last_s, self.fps)
                if number < first:
                    continue
                decoded, bgr = capture.retrieve()
                if decoded and bgr is not None and bgr.size:
                    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
                    yield Frame(number, last_s, rgb, self._annotation(number))

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
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in _SUFFIXES)
    annotations = folder / "annot"
    if len(files) != 1 or not annotations.is_dir():
        inner = sorted(f.name for f in folder.iterdir() if (f / "annot").is_dir())
        hint = f"; it holds {len(inner)} such folders, give one of them: {folder / inner[0]}" if inner else ""
        raise ConfigError(f"VIDEO {folder}: {len(files)} videos there, expected one beside a folder annot/{hint}")
    if not any(annotations.glob("*.pts")):
        raise ConfigError(f"VIDEO {folder}: annot/ holds no .pts file, expected 000001.pts and on")
    return _probe(files[0], annotations)


def _probe(path: Path, annotations: Path | None) -> Video:
    with _opened(path) as capture:
        fps, frames = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        found, bgr = capture.read()
    if not found or bgr is None:
        raise ConfigError(f"VIDEO {path}: no frame could be decoded; is the file whole? ffprobe says more")
    height, width = bgr.shape[:2]
    fps = fps if _FPS_RANGE[0] <= fps <= _FPS_RANGE[1] else _FPS_IF_UNKNOWN
    return Video(path, width, height, float(fps), max(frames, 0), annotations)


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            size = path.stat().st_size if path.is_file() else 0
            raise ConfigError(
                f"VIDEO {path}: not a video that OpenCV can read ({size} bytes); convert it first, for example: "
                f"ffmpeg -i {path.name} -c:v libx264 {path.stem}.mp4"
            )
        yield capture
    finally:
        capture.release()


def _time_s(capture: cv2.VideoCapture, number: int, last_s: float, fps: float) -> float:
    """Presentation time of the grabbed frame; where the container has none or goes back, one step after the last."""
    time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
    if number == 0 and time_s >= 0:
        return time_s
    return time_s if time_s > last_s + 1e-4 else last_s + 1 / fps


def _count() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1
