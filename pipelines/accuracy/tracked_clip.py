"""Tracking against truth: `shhq-hs accuracy --clip DIR` tracks DIR/talking.mp4 and compares it with its truth file.

Heads are compared twice: the face model's rotation, and the head as the generator shows it, from the labels alone
(camera, neck and head; the roll of the chest is in neither). Jitter is the mean second difference over frames.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from dataprep.errors import ConfigError
from dataprep.fits.generator_labels import rotations_from_joints_zyx, view_from_pitch_yaw
from dataprep.frames.smpl_joints import HEAD, NECK, POSED_JOINTS
from dataprep.stages.body import Body
from dataprep.stages.camera import Camera
from dataprep.stages.face import Face
from dataprep.tables.columns import rows_from_table
from dataprep.tables.labels import BFM_EXP, CAMERA_PITCH_YAW, JOINTS_ZYX
from dataprep.tracking.frame_fits import Fitter
from dataprep.tracking.smoothed_labels import Smoothing
from dataprep.tracking.track_table import track_table
from dataprep.tracking.tracker import NobodyFound, track
from dataprep.tracking.video_reader import open_video
from pipelines.accuracy.expression import about_mean, pearson
from pipelines.engine.progress import Progress
from pipelines.text_table import table

CLIP, TRUTH = "talking.mp4", "talking.parquet"
_ROTATIONS = {
    "head_3dmm": "head, face model",
    "head_shown": "head, as the labels show it",
    "camera": "camera about the chest",
}
Matrices = Float[np.ndarray, "n 3 3"]


def clip_accuracy(folder: Path) -> dict[str, Any]:
    """Track the clip of a folder, print the comparison and return its numbers."""
    truth = _truth(folder)
    with tempfile.TemporaryDirectory() as scratch:
        tracked, speed = _tracked(folder / CLIP, Path(scratch) / "track.parquet")
    numbers = compare_tracks(tracked, truth) | {"speed": speed}
    _print(numbers)
    return numbers


def compare_tracks(tracked: pa.Table, truth: pa.Table) -> dict[str, Any]:
    """Errors of raw and smoothed labels in the frames that were measured, matched by `frame`."""
    true = {row["frame"]: row for row in rows_from_table(truth)}
    rows = [row for row in rows_from_table(tracked) if row["joints_zyx_raw"] is not None and row["frame"] in true]
    matched = [true[row["frame"]] for row in rows]
    steps = np.diff([row["frame"] for row in rows]) == 1
    found: dict[str, Any] = {"frames": len(rows), "of": len(true)}
    for kind, suffix in (("raw", "_raw"), ("smoothed", "")):
        ours, theirs = _rotations(rows, suffix), _rotations(matched, "")
        found[kind] = {name: _rotation_errors(ours[name], theirs[name], steps) for name in _ROTATIONS}
        a = np.stack([row[BFM_EXP + suffix] for row in rows]).astype(np.float64)
        b = np.stack([row[BFM_EXP] for row in matched]).astype(np.float64)
        found[kind]["expression"] = {
            "pearson": pearson(a, b),
            "pearson_strongest10": pearson(a[:, :10], b[:, :10]),
            "pearson_over_time": pearson(about_mean(a), about_mean(b)),
            "jitter_of_truth": _second_difference(a, steps) / _second_difference(b, steps),
        }
    return found


def _truth(folder: Path) -> pa.Table:
    for name in (CLIP, TRUTH):
        if not (folder / name).is_file():
            raise ConfigError(f"--clip {folder}: no {name} there; expected the folder samples/clip, or one like it")
    return pq.read_table(folder / TRUTH, partitioning=None)


def _tracked(video: Path, output: Path) -> tuple[pa.Table, dict[str, float]]:
    """Track as `shhq-hs track` does without options."""
    wall, processor = time.monotonic(), time.process_time()
    fitter = Fitter.open(Body(method="map"), Face(), Camera())
    try:
        tracked = track(open_video(video), fitter, Smoothing(), output, _progress)
    except NobodyFound as nobody:
        raise ConfigError(f"--clip: {video}: {nobody}") from nobody
    found = track_table(tracked, fitter.models)
    wall, processor = time.monotonic() - wall, time.process_time() - processor
    return found, {"wall_fps": len(found) / wall, "processor_ms": 1000 * processor / len(found)}


def _progress(total: Mapping[str, int]) -> Progress:
    return Progress(total, workers=1, unit="frames")


def _rotations(rows: list[dict[str, Any]], suffix: str) -> dict[str, Matrices]:
    camera = [view_from_pitch_yaw(row[CAMERA_PITCH_YAW + suffix].astype(np.float64)) for row in rows]
    joints = [rotations_from_joints_zyx(row[JOINTS_ZYX + suffix].astype(np.float64)) for row in rows]
    neck, head = POSED_JOINTS.index(NECK), POSED_JOINTS.index(HEAD)
    return {
        "head_3dmm": np.stack([row["head_from_3dmm" + suffix] for row in rows]).astype(np.float64),
        "head_shown": np.stack([c @ j[neck] @ j[head] for c, j in zip(camera, joints, strict=True)]),
        "camera": np.stack(camera),
    }


def _rotation_errors(ours: Matrices, truth: Matrices, steps: np.ndarray) -> dict[str, float]:
    error = np.degrees(np.linalg.norm(_between(truth, ours), axis=1))
    jitter, own = (_jitter_deg(rotations, steps) for rotations in (ours, truth))
    return {
        "median_deg": float(np.median(error)),
        "p90_deg": float(np.quantile(error, 0.9)),
        "jitter_deg": jitter,
        "jitter_of_truth": jitter / own,
    }


def _between(a: Matrices, b: Matrices) -> Float[np.ndarray, "n 3"]:
    return Rotation.from_matrix(a.swapaxes(1, 2) @ b).as_rotvec()


def _jitter_deg(rotations: Matrices, steps: np.ndarray) -> float:
    """Mean change, from one frame to the next, of the rotation between neighbouring frames."""
    return _mean_change(np.degrees(_between(rotations[:-1], rotations[1:])), steps)


def _second_difference(values: Float[np.ndarray, "n k"], steps: np.ndarray) -> float:
    return _mean_change(np.diff(values, axis=0), steps)


def _mean_change(steps_taken: Float[np.ndarray, "m k"], steps: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(steps_taken, axis=0), axis=1)[steps[:-1] & steps[1:]].mean())


def _print(numbers: dict[str, Any]) -> None:
    print(f"clip: {numbers['frames']} of {numbers['of']} frames measured, {numbers['speed']['wall_fps']:.1f} frames a "
          f"second, {numbers['speed']['processor_ms']:.0f} ms of processor time each", file=sys.stdout)  # fmt: skip
    rows = []
    for kind in ("raw", "smoothed"):
        for name, what in _ROTATIONS.items():
            found = numbers[kind][name]
            degrees = (f"{found[key]:.2f}" for key in ("median_deg", "p90_deg", "jitter_deg"))
            rows.append((f"{what}, {kind}", *degrees, f"{found['jitter_of_truth']:.2f}"))
    print(table(("clip: rotations", "median deg", "90% deg", "jitter deg", "of the truth's"), rows))
    for kind in ("raw", "smoothed"):
        found = numbers[kind]["expression"]
        print(
            f"  expression, {kind}: correlation {found['pearson_strongest10']:.2f} of the ten strongest, "
            f"{found['pearson']:.2f} of all 64, {found['pearson_over_time']:.2f} of what moves; "
            f"jitter {found['jitter_of_truth']:.2f} of the truth's"
        )
