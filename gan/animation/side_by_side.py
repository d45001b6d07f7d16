"""The video a person follows beside that person: source | what was tracked | generated portrait | its depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
from jaxtyping import UInt8

from dataprep.errors import ConfigError
from dataprep.frames.face_frames import CAM_FROM_GL
from dataprep.pictures import overlays
from dataprep.tables.columns import rows_from_table
from dataprep.tables.sealed import read_table
from dataprep.tracking.video_reader import Frame, Video, open_video
from gan.animation.playable_films import Film

Pixels = UInt8[np.ndarray, "_ _ 3"]

NAME = "side-by-side.mp4"
HEIGHT_PX = (256, 512)  # of the panels; between them the portrait's own side
_WIDEST = 4 / 3  # of a source panel, in heights: wider videos are cut at the sides, about the person
_GAP_PX = 4
_COLUMNS = (
    "frame", "time_s", "landmarks68_px", "keypoints33", "head_from_3dmm", "crop_centre_px", "crop_side_px",
    "crop_roll_rad",
)  # fmt: skip
_FLAGS = ("lost", "occluded", "turned_away", "tilted", "cut", "interpolated", "held")  # earlier tracks have fewer


@dataclass(frozen=True, eq=False)
class FilmSource:
    """A tracked video and the rows of its track, in the order of frames."""

    video: Video
    rows: Sequence[dict[str, Any]]
    fps: float

    def frames(self) -> Iterator[tuple[Frame, dict[str, Any]]]:
        """The tracked frames, decoded again."""
        rows = iter(self.rows)
        row = next(rows, None)
        for frame in self.video.read():
            if row is None:
                return
            if frame.number == row["frame"]:
                yield frame, row
                row = next(rows, None)


def open_source(track: Path, named: Path | None) -> FilmSource | str:
    """The video behind a track: the one named, else where the track says. A sentence when there is none.

    Raises ConfigError for a file named that cannot be read, or is another video.
    """
    metadata = pq.read_schema(track).metadata or {}
    if metadata.get(b"kind") != b"track":
        if named is not None:
            raise ConfigError(f"--source {named}: {track} is no track of a video; make one with: shhq-hs track {named}")
        return ""
    path = named or (track.parent / metadata[b"source"].decode())
    if named is None and not path.exists():
        return f"the tracked video is not at {path}: no side-by-side film; pass it as --source VIDEO"
    video = open_video(path)
    if video.sha256() != metadata[b"source_sha256"].decode():
        raise ConfigError(f"{path} is not the video that {track} was made from (another sha256): track it anew")
    columns = [*_COLUMNS, *(f"flag_{flag}" for flag in _FLAGS)]
    rows = rows_from_table(read_table(track, columns).sort_by("frame"))
    return FilmSource(video, rows, float(metadata[b"fps"]))


class SideBySide:
    """The film of one person: `add` takes the generated frames in order."""

    def __init__(self, path: Path, source: FilmSource, portrait_px: int) -> None:
        self._height = int(np.clip(portrait_px, *HEIGHT_PX))
        self._width = _source_width(source.video, self._height)
        self._frames = source.frames()
        self._shown = np.zeros((source.video.height, source.video.width, 3), np.uint8)  # stays where a frame is damaged
        total = 2 * self._width + 2 * self._height + 3 * _GAP_PX
        self._film = Film(path, source.fps, self._height, total, source.video.path)

    def add(self, portrait: Pixels, depth: Pixels) -> None:
        found = next(self._frames, None)
        if found is None:
            return
        frame, row = found
        self._shown = self._shown if frame.rgb is None else frame.rgb
        scale = self._height / len(self._shown)
        small = [
            cv2.resize(one, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            for one in (self._shown, overlay(self._shown, row))
        ]
        panels = [self._cut(one, row, scale) for one in small]
        panels += [_square(picture, self._height) for picture in (portrait, depth)]
        gap = np.full((self._height, _GAP_PX, 3), 255, np.uint8)
        strips = [panels[0], *(part for one in panels[1:] for part in (gap, one))]
        self._film.add(np.concatenate(strips, axis=1), row["time_s"])

    def close(self) -> None:
        self._film.close()

    def abandon(self) -> None:
        self._film.abandon()

    def _cut(self, picture: Pixels, row: dict[str, Any], scale: float) -> Pixels:
        """A strip of the panel's width: of a wide video the part about the person."""
        spare = picture.shape[1] - self._width
        if spare <= 0:
            return np.pad(picture[: self._height], ((0, 0), (0, -spare), (0, 0)))
        centre = row["crop_centre_px"]
        middle = picture.shape[1] / 2 if centre is None else float(centre[0]) * scale
        left = int(np.clip(round(middle - self._width / 2), 0, spare))
        return picture[: self._height, left : left + self._width]


def overlay(picture: Pixels, row: dict[str, Any]) -> Pixels:
    """A picture with what was tracked: landmarks, shoulders, portrait square, the head's axes, flags in words."""
    out = picture
    landmarks = row["landmarks68_px"]
    if row["crop_centre_px"] is not None:
        corners = overlays.square_corners(row["crop_centre_px"].astype(np.float64), row["crop_side_px"],
                                          row["crop_roll_rad"])  # fmt: skip
        out = overlays.draw_square(out, corners)
    if row["keypoints33"] is not None:
        out = overlays.draw_keypoints(out, row["keypoints33"].astype(np.float64))
    if landmarks is not None:
        points = landmarks.astype(np.float64)
        out = overlays.draw_landmarks(out, points)
        cam_from_face = CAM_FROM_GL @ row["head_from_3dmm"].astype(np.float64)
        out = overlays.draw_axes(out, points[27:31].mean(0), cam_from_face, 0.7 * float(np.ptp(points[:, 0])))
    words = [flag.replace("_", " ") for flag in _FLAGS if row.get(f"flag_{flag}")]
    return _written(out, ", ".join(words)) if words else out


def _written(picture: Pixels, text: str) -> Pixels:
    out = np.ascontiguousarray(picture.copy())
    size = max(0.4, out.shape[0] / 620)
    place = (8, out.shape[0] - 10)
    cv2.putText(out, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, (20, 20, 24), 3, cv2.LINE_AA)
    cv2.putText(out, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 235, 120), 1, cv2.LINE_AA)
    return out


def _source_width(video: Video, height_px: int) -> int:
    return min(round(height_px * video.width / video.height), round(height_px * _WIDEST))


def _square(picture: Pixels, side_px: int) -> Pixels:
    way = cv2.INTER_AREA if side_px < picture.shape[0] else cv2.INTER_CUBIC
    return cv2.resize(picture, (side_px, side_px), interpolation=way)
