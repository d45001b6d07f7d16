"""What the detectors found, committed in chunks beside the output, so that the same command goes on after a stop.

track.parquet.parts/key.json             the video and the settings that the chunks belong to
track.parquet.parts/chunk-00000.parquet  64 frames each
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from dataprep.errors import StoreError
from dataprep.files.untrusted import parse_json
from dataprep.tables.columns import FLOAT, STRING, UINT32, Column, floats, rows_from_table, table_from_rows
from dataprep.tables.sealed import read_table
from dataprep.tables.store import write_json, write_table
from dataprep.tracking.follow import Sighting
from dataprep.tracking.scene_cuts import PATCH_PX, THUMB_PX

CHUNK_FRAMES = 64
_PX = {"unit": "px", "frame": "source"}
_COLUMNS = (
    Column("frame", UINT32, "number in the video, from 0"),
    Column("time_s", pa.float64(), "presentation time", unit="s"),
    Column("lost", STRING, "why nobody was found; empty when somebody was"),
    floats("keypoints33", (33, 3), "as in the manifest", **_PX),
    floats("keypoints33_world_m", (33, 3), "as in the manifest", unit="m", frame="cam"),
    floats("landmarks68_px", (68, 2), "iBUG landmarks", **_PX),
    Column("landmarks68_method", STRING, "mesh or pts"),
    Column("mesh_agreement", FLOAT, "part of the readings that agreed"),
    floats("face_bbox_px", (4,), "x0 y0 x1 y1", **_PX),
    Column("face_score", FLOAT, "of the face detector"),
    Column("head_turn_rad", FLOAT, "yaw beside the face model's", unit="rad"),
    floats("blendshapes", (52,), "in the order of `BLENDSHAPES`; null when not read"),
    Column("thumb", pa.binary(), "24 x 24 picture"),
    Column("face_patch", pa.binary(), "16 x 16 face; null when nobody was found"),
    Column("mouth_contrast", FLOAT, "of the lips, in Lab units; null when nobody was found"),
)


@dataclass(frozen=True, eq=False)
class Look:
    """One frame as the detectors leave it. `sighting` None: nobody, because of `lost`."""

    frame: int
    time_s: float
    lost: str
    sighting: Sighting | None
    thumb: UInt8[np.ndarray, "24 24 3"]
    face_patch: UInt8[np.ndarray, "16 16 3"] | None
    mouth_contrast: float | None  # as `view_mouth` gives it


@dataclass(frozen=True)
class DetectionChunks:
    """The folder of one run; chunks of another video or other settings are dropped."""

    folder: Path

    @classmethod
    def open(cls, output: Path, key: dict[str, Any]) -> DetectionChunks:
        folder = cls.of(output).folder
        kept: object = None
        with suppress(OSError, ValueError):
            kept = parse_json((folder / "key.json").read_text())
        if kept != json.loads(json.dumps(key)):
            shutil.rmtree(folder, ignore_errors=True)
            write_json(folder / "key.json", key)
        return cls(folder)

    @classmethod
    def of(cls, output: Path) -> DetectionChunks:
        """The folder as it is."""
        return cls(output.with_name(output.name + ".parts"))

    def read(self) -> list[Look]:
        """Frames of the chunks that are whole, up to the first that is missing."""
        looks: list[Look] = []
        for number in range(1_000_000):
            path = self._path(number)
            if not path.is_file():
                break
            try:
                rows = rows_from_table(read_table(path))
            except StoreError:
                break
            looks += [look_of(row) for row in rows]
            if len(rows) < CHUNK_FRAMES:
                break
        return looks[: len(looks) // CHUNK_FRAMES * CHUNK_FRAMES]

    def commit(self, number: int, looks: list[Look]) -> None:
        write_table(self._path(number), table_from_rows(_COLUMNS, [row_of(look) for look in looks]))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"chunk-{number:05d}.parquet"


def row_of(look: Look) -> dict[str, Any]:
    row = {} if look.sighting is None else dict(vars(look.sighting))
    patch = None if look.face_patch is None else look.face_patch.tobytes()
    picture = look.thumb.tobytes()
    return row | {
        "frame": look.frame, "time_s": look.time_s, "lost": look.lost, "thumb": picture, "face_patch": patch,
        "mouth_contrast": look.mouth_contrast,
    }  # fmt: skip


def look_of(row: dict[str, Any]) -> Look:
    """A row back to what it was, numbers as float32 leaves them."""
    sighting = None
    if row.get("landmarks68_px") is not None:
        names = ("landmarks68_px", "landmarks68_method", "mesh_agreement", "face_bbox_px", "face_score")
        more = ("head_turn_rad", "keypoints33", "keypoints33_world_m", "blendshapes")
        sighting = Sighting(*(_single(row[name]) for name in (*names, *more)))
    patch = row["face_patch"]
    return Look(
        row["frame"],
        row["time_s"],
        row["lost"],
        sighting,
        np.frombuffer(row["thumb"], np.uint8).reshape(THUMB_PX, THUMB_PX, 3),
        None if patch is None else np.frombuffer(patch, np.uint8).reshape(PATCH_PX, PATCH_PX, 3),
        _single(row["mouth_contrast"]),
    )


def _single(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.astype(np.float32).astype(np.float64)
    return float(np.float32(value)) if isinstance(value, float) else value
