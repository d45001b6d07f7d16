"""A track as a parquet file: a row a frame, smoothed labels under the manifest's names, raw ones beside them, flags."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from dataprep import __version__
from dataprep.frames.face_frames import CAM_FROM_GL
from dataprep.tables.columns import BOOL, FLOAT, STRING, UINT16, UINT32, Column, floats, table_from_rows
from dataprep.tables.labels import BFM_EXP, BFM_ID, CAMERA_PITCH_YAW, JOINTS_ZYX, SMPL_BETAS, label
from dataprep.tables.store import atomic_file, write_table
from dataprep.tracking.smoothed_labels import BRIDGED, HELD, Smoothing
from dataprep.tracking.tracker import Tracked
from dataprep.tracking.video_reader import Video

_PX = {"unit": "px", "frame": "source"}
_GL = {"frame": "photograph, x right, y up, z to the camera"}
_RAW = "; as measured in this frame alone, null where nothing was"


def _smoothed(name: str) -> Column:
    return dataclasses.replace(label(name), desc=f"{label(name).desc}, smoothed")


def _measured(name: str, what: str) -> Column:
    """The label as it was before smoothing, beside it."""
    return dataclasses.replace(label(name), name=f"{name}_raw", desc=what + _RAW)


def _of_person(name: str, desc: str) -> Column:
    return dataclasses.replace(label(name), desc=desc)


SMOOTHED = {BFM_EXP: "expression", JOINTS_ZYX: "joints", CAMERA_PITCH_YAW: "camera"}  # and what each is, in a word
COLUMNS = (
    Column("frame", UINT32, "number in the video, from 0"),
    Column("time_s", pa.float64(), "presentation time", unit="s"),
    Column("shot", UINT16, "scene, from 0; smoothing never crosses a cut"),
    *(_smoothed(name) for name in SMOOTHED),
    *(_measured(name, what) for name, what in SMOOTHED.items()),
    _of_person(BFM_ID, "identity coefficients, one set for each person"),
    _of_person(SMPL_BETAS, "body shape, one set for each person: mean over frames"),
    floats("head_from_3dmm", (3, 3), "rotation of the face model, smoothed", **_GL),
    floats("head_from_3dmm_raw", (3, 3), "rotation of the face model" + _RAW, **_GL),
    floats("landmarks68_px", (68, 2), "iBUG landmarks", **_PX),
    Column("landmarks68_method", STRING, "mesh, or pts where the video is annotated"),
    floats("keypoints33", (33, 3), "MediaPipe pose points: x, y, visibility", **_PX),
    floats("face_bbox_px", (4,), "x0 y0 x1 y1 of the face", **_PX),
    floats("crop_centre_px", (2,), "centre of the portrait square, smoothed; null: no body in the video", **_PX),
    Column("crop_side_px", FLOAT, "side of the portrait square, smoothed", unit="px", frame="source"),
    Column("crop_roll_rad", FLOAT, "clockwise lean of the chest, smoothed", unit="rad", frame="source"),
    Column("mesh_agreement", FLOAT, "part of the readings of the face that agreed", unit="fraction"),
    Column("face_score", FLOAT, "score of the face detector, in [0, 1]"),
    Column("face_fit_rmse", FLOAT, "landmark error as a part of the portrait's side", unit="fraction"),
    Column("body_fit_rmse", FLOAT, "key point error as a part of the portrait's side", unit="fraction"),
    Column("flag_lost", BOOL, "no face was found in this frame"),
    Column("lost_reason", STRING, "no_person, no_face, face_covered, face_out_of_frame; null when found"),
    Column("flag_no_body", BOOL, "a face, but no body that could be fitted"),
    Column("flag_occluded", BOOL, "the face is covered, wholly or in good part: no measurement"),
    Column("flag_turned_away", BOOL, "the head is turned further than landmarks can be read: no measurement"),
    Column("flag_tilted", BOOL, "the head leans by over 45 degrees against the chest"),
    Column("flag_cut", BOOL, "the first frame after a cut, or of another person"),
    Column("flag_interpolated", BOOL, "face or body come from the frames on both sides"),
    Column("flag_held", BOOL, "face or body are those of the nearest frame that was measured"),
    Column("body_model", STRING, "body model of the joints"),
    Column("body_model_sha256", STRING, "its file"),
    Column("face_model", STRING, "face model that the coefficients belong to"),
    Column("face_model_sha256", STRING, "its file"),
)


def track_table(tracked: Tracked, models: Mapping[str, str]) -> pa.Table:
    """One row a frame; `models` as `Fitter.models` names them."""
    lines = tracked.lines
    for what, values in {"expression": lines.expression, JOINTS_ZYX: lines.joints_zyx, "camera": lines.camera}.items():
        finite32(values, what)
    betas = _betas(tracked, tracked.person)
    rows = [_row(tracked, i) | {SMPL_BETAS: betas[i]} | dict(models) for i in range(len(tracked.looks))]
    return table_from_rows(COLUMNS, rows)


def write_track(path: Path, table: pa.Table, video: Video, tracked: Tracked, smoothing: Smoothing, how: dict) -> None:
    """Write the file. Its metadata say how it was made; `source` is where the video lies, seen from the file."""
    metadata = {
        "kind": "track",
        "code_version": __version__,
        "source": Path(os.path.relpath(video.given.resolve(), path.resolve().parent)).as_posix(),
        "source_sha256": video.sha256(),
        "width": str(video.width),
        "height": str(video.height),
        "fps": repr(tracked.fps),
        "frames_declared": str(video.frames),
        "frames_read": str(tracked.frames_read),
        "filter": "Whittaker-Henderson, order 2: gain 1 / (1 + (f / cutoff)^4), Huber weights",
        "smoothing": json.dumps(dataclasses.asdict(smoothing), sort_keys=True),
        "settings": json.dumps(how, sort_keys=True),
    }
    write_table(path, table.replace_schema_metadata(metadata))


def write_keyframes(folder: Path, tracked: Tracked) -> None:
    """The published layout: expression.npy [N, 64], pose.npy [N, 6, 3], camera.npy [N, 2], float32."""
    lines = tracked.lines
    for name, values in (("expression", lines.expression), ("pose", lines.joints_zyx), ("camera", lines.camera)):
        with atomic_file(folder / f"{name}.npy") as file:
            np.save(file, finite32(values, name))


def _row(tracked: Tracked, i: int) -> dict[str, Any]:
    look, lines, seen = tracked.looks[i], tracked.lines, tracked.looks[i].sighting
    face, body = tracked.faces[i], tracked.bodies[i]
    sources = {lines.face_source[i], lines.body_source[i]} if lines.any_body else {lines.face_source[i]}
    return {
        "frame": look.frame,
        "time_s": look.time_s,
        "shot": int(tracked.shot[i]),
        BFM_EXP: lines.expression[i],
        JOINTS_ZYX: lines.joints_zyx[i],
        CAMERA_PITCH_YAW: lines.camera[i],
        f"{BFM_EXP}_raw": _known(lines.raw_expression[i]),
        f"{JOINTS_ZYX}_raw": _known(lines.raw_joints_zyx[i]),
        f"{CAMERA_PITCH_YAW}_raw": _known(lines.raw_camera[i]),
        BFM_ID: tracked.identity[i],
        "head_from_3dmm": CAM_FROM_GL @ lines.face_in_cam[i],
        "head_from_3dmm_raw": _known(CAM_FROM_GL @ lines.raw_face_in_cam[i]),
        "landmarks68_px": seen and seen.landmarks68_px,
        "landmarks68_method": seen and seen.landmarks68_method,
        "keypoints33": seen and seen.keypoints33,
        "face_bbox_px": seen and seen.face_bbox_px,
        "crop_centre_px": _known(lines.square[i, :2]),
        "crop_side_px": _number(lines.square[i, 2]),
        "crop_roll_rad": _number(lines.square[i, 3]),
        "mesh_agreement": seen and seen.mesh_agreement,
        "face_score": seen and seen.face_score,
        "face_fit_rmse": face and face.rmse_relative,
        "body_fit_rmse": body and body.rmse_relative,
        "flag_lost": seen is None,
        "lost_reason": look.lost or None,
        "flag_no_body": seen is not None and body is None,
        "flag_occluded": bool(tracked.occluded[i]),
        "flag_turned_away": bool(tracked.turned_away[i]),
        "flag_tilted": bool(tracked.tilted[i]),
        "flag_cut": i > 0 and bool(tracked.shot[i] > tracked.shot[i - 1]),
        "flag_interpolated": BRIDGED in sources,
        "flag_held": HELD in sources,
    }


def _betas(tracked: Tracked, person: np.ndarray) -> list[np.ndarray | None]:
    out: list[np.ndarray | None] = [None] * len(person)
    for number in np.unique(person):
        rows = np.flatnonzero(person == number)
        known = [body.betas for i in rows if (body := tracked.bodies[i]) is not None]
        for i in rows if known else ():
            out[i] = np.mean(known, axis=0)
    return out


def finite32(values: np.ndarray, what: str) -> Float[np.ndarray, "..."]:
    """The values as float32, as which they are kept; ValueError naming the first frame that is not finite then."""
    with np.errstate(over="ignore", invalid="ignore"):
        kept = np.asarray(values, np.float32)
    if not np.isfinite(kept).all():
        frame = int(np.argmin(np.isfinite(kept.reshape(len(kept), -1)).all(1)))
        raise ValueError(f"{what} of frame {frame} is not finite as float32")
    return kept


def _known(values: np.ndarray) -> np.ndarray | None:
    with np.errstate(over="ignore"):
        return values if np.isfinite(values.astype(np.float32)).all() else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
