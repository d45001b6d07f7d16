"""`shhq-hs accuracy`: the pipeline's labels against ground truth (docs/truth.md has the schema of truth files).

Rotations are compared as the crop sees them: a camera of finite distance looks at a head above its axis along a slanted
ray, and a crop around that head shows it from there. Truth is turned by that ray first (fits.camera.view_from_cam).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from dataprep.errors import ConfigError
from dataprep.files.untrusted import as_cell, require_shard_name
from dataprep.fits.generator_labels import (
    camera_direction,
    canonical_rotation,
    global_rotation,
    pitch_yaw,
    rotations_from_rotvecs,
    turn_in_picture,
    view_from_cam,
)
from dataprep.frames import geometry
from dataprep.frames.face_frames import CAM_FROM_GL, head_from_3dmm
from dataprep.frames.smpl_joints import CHEST, HEAD, NECK
from dataprep.pictures.codecs import decode_mask
from dataprep.tables.columns import rows_from_table
from dataprep.tables.labels import BFM_ANGLE, BFM_EXP, CROP_FROM_SOURCE, FACE_PITCH_YAW, LANDMARKS68, SMPL_BODY_POSE
from dataprep.tables.manifest_files import read_manifest
from dataprep.tables.sealed import read_table
from dataprep.tables.shard_folders import SHARDS, shard_name, twins
from dataprep.tables.store import write_json
from pipelines.accuracy.bodies import body_fits
from pipelines.accuracy.expression import correlations
from pipelines.accuracy.tracked_clip import clip_accuracy
from pipelines.accuracy.truth_files import Truth, read_truth, truth_path
from pipelines.text_table import table

_EYE_CORNERS = (36, 45)
_METRICS = {
    "landmarks68_pct": "68 landmarks, % of the outer eye-corner distance",
    "head_3dmm_deg": "head rotation of the 3DMM, degrees",
    "head_smpl_deg": "head rotation of SMPL after the tie, degrees",
    "head_smpl_first_deg": "head rotation of SMPL before the tie, degrees",
    "face_camera_deg": "direction of the face camera in the generator's head, degrees",
    "chest_smpl_deg": "chest rotation of SMPL, degrees",
    "joints_pct": "projected head and neck joints, % of the crop side",
    "crop_centre_pct": "crop centre, % of its side",
    "crop_scale_pct": "crop side, %",
    "crop_roll_deg": "crop roll, degrees",
    "alpha_mae": "alpha of portraits without a supplied mask, mean absolute error",
}


def report(
    out: Path,
    truth_folder: Path,
    json_path: Path | None,
    csv_path: Path | None,
    people: int,
    clip: Path | None = None,
) -> int:
    """Print median and 90% of every metric; returns 1 when no accepted sample has truth.

    `json_path` gets the numbers, `csv_path` every error of every sample. `people` made-up ones serve the comparison of
    body fits; none leaves it out. `clip`: folder of a video with truth, to be tracked.
    """
    errors: list[dict[str, Any]] = []
    expressions: list[tuple[np.ndarray, np.ndarray]] = []
    for row, truth in _pairs(out, truth_folder):
        errors.append({"source_path": row["source_path"], **sample_errors(row, truth, out)})
        expressions.append((row[BFM_EXP], truth.array(BFM_EXP)))
    if not errors:
        print(f"no accepted sample of {out} has a truth file in {truth_folder}")
        return 1
    frame = pd.DataFrame(errors).set_index("source_path")
    numbers: dict[str, Any] = {name: _spread(frame[name].dropna()) for name in _METRICS if name in frame}
    with_truth = _inputs_with_truth(out, truth_folder)
    numbers["accepted"] = {"n": len(frame), "of": with_truth}
    numbers["expression_corr"] = correlations(*(np.stack(side) for side in zip(*expressions, strict=True)))
    _print(numbers, frame)
    if people:
        numbers["body_fits"] = body_fits(out, truth_folder, people)
    if clip:
        numbers["clip"] = clip_accuracy(clip)
    if json_path:
        write_json(json_path, numbers)
    if csv_path:
        frame.rename(index=as_cell).to_csv(csv_path)
    return 0


def _spread(values: pd.Series) -> dict[str, float]:
    return {"median": float(values.median()), "p90": float(values.quantile(0.9)), "n": len(values)}


def sample_errors(row: Mapping[str, Any], truth: Truth, out: Path) -> dict[str, float]:
    """Every metric of one accepted sample."""
    crop = truth.content["crop"]
    source_from_portrait = geometry.invert(row[CROP_FROM_SOURCE].astype(np.float64))
    landmarks = geometry.transform(source_from_portrait, row[LANDMARKS68].astype(np.float64))
    true_landmarks = truth.array("landmarks68_px")
    eye_px = float(np.linalg.norm(np.subtract(*true_landmarks[list(_EYE_CORNERS)])))
    joints = np.linalg.norm(row["smpl_joints_px"] - truth.array("joints_px"), axis=1)
    errors = {
        "landmarks68_pct": 100 * float(np.linalg.norm(landmarks - true_landmarks, axis=1).mean()) / eye_px,
        "joints_pct": 100 * float(joints[[NECK, HEAD]].mean()) / crop["side_px"],
        "crop_centre_pct": 100 * float(np.linalg.norm(row["crop_centre_px"] - crop["centre_px"])) / crop["side_px"],
        "crop_scale_pct": 100 * abs(row["crop_side_px"] / crop["side_px"] - 1),
        "crop_roll_deg": float(np.degrees(abs(row["crop_roll_rad"] - crop["roll_rad"]))),
        **_rotation_errors(row, truth),
    }
    if truth.alpha is not None and not row["mask_supplied"]:
        errors["alpha_mae"] = _alpha_error(row, truth.alpha, out)
    return errors


def _rotation_errors(row: Mapping[str, Any], truth: Truth) -> dict[str, float]:
    joints, rotations = truth.array("joints_cam_m"), truth.array("rotations_cam")
    head_view, chest_view = view_from_cam(joints[HEAD]), view_from_cam(joints[CHEST])
    upright = turn_in_picture(float(row["crop_roll_rad"]))
    face = upright @ CAM_FROM_GL @ head_from_3dmm(row[BFM_ANGLE].astype(np.float64))
    true_face = head_view @ CAM_FROM_GL @ truth.array("head_from_3dmm")
    tied, first = (
        rotations_from_rotvecs(row["smpl_global_orient"], row[pose])
        for pose in (SMPL_BODY_POSE, "smpl_body_pose_first")
    )
    return {
        "head_3dmm_deg": _angle_deg(face, true_face),
        "head_smpl_deg": _angle_deg(global_rotation(tied, HEAD), head_view @ rotations[HEAD]),
        "head_smpl_first_deg": _angle_deg(global_rotation(first, HEAD), head_view @ rotations[HEAD]),
        "face_camera_deg": _face_camera_deg(row, head_view @ rotations[HEAD]),
        "chest_smpl_deg": _angle_deg(global_rotation(tied, CHEST), chest_view @ rotations[CHEST]),
    }


def _face_camera_deg(row: Mapping[str, Any], view_from_head: np.ndarray) -> float:
    """Angle between where the label and where SMPL's true head joint has the camera, in the generator's head axes."""
    true = pitch_yaw(view_from_head @ canonical_rotation(HEAD).T)
    said, shown = (camera_direction(angles) for angles in (row[FACE_PITCH_YAW].astype(np.float64), true))
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(said, shown)), said @ shown)))


def _angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.linalg.norm(Rotation.from_matrix(a.T @ b).as_rotvec())))


def _alpha_error(row: Mapping[str, Any], true_alpha: np.ndarray, out: Path) -> float:
    """Mean absolute difference in [0, 1] over the part of the portrait that the photograph covers."""
    matrix = row[CROP_FROM_SOURCE].astype(np.float64)
    name = shard_name(row["split"], row["shard"])
    require_shard_name(name, out / SHARDS)
    with (out / SHARDS / f"{name}.tar").open("rb") as file:
        file.seek(row["alpha_offset"])
        alpha = decode_mask(file.read(row["alpha_size"]))
    size_px = alpha.shape[0]
    truth = geometry.resample(true_alpha, matrix, size_px, fill=0)
    covered = geometry.resample(np.full_like(true_alpha, 255), matrix, size_px, fill=0) > 127
    return float(np.abs(alpha.astype(np.float64) - truth)[covered].mean() / 255)


def _pairs(out: Path, truth_folder: Path) -> Iterator[tuple[dict[str, Any], Truth]]:
    """Accepted samples (the shards' twins hold all labels) with the truth file of the same relative path."""
    found = twins(out / SHARDS)
    if not found:
        raise ConfigError(f"{out} has no shards; build them with: shhq-hs run SOURCE --out {out}")
    if not truth_folder.is_dir():
        raise ConfigError(f"--truth {truth_folder}: no such folder")
    for twin in found:
        for row in rows_from_table(read_table(twin)):
            path = truth_path(truth_folder, row["source_path"])
            if path.exists():
                yield row, read_truth(path)


def _inputs_with_truth(out: Path, truth_folder: Path) -> int:
    """How many inputs, accepted or not, have a truth file: a strict gate must not look like good labels."""
    paths = read_manifest(out, ["source_path"])["source_path"].to_pylist()
    return sum(truth_path(truth_folder, path).exists() for path in paths)


def _print(numbers: Mapping[str, Mapping[str, float]], frame: pd.DataFrame) -> None:
    rows = [
        (_METRICS[name], f"{n['median']:.3g}", f"{n['p90']:.3g}", n["n"], frame[name].idxmax())
        for name, n in numbers.items()
        if name in _METRICS
    ]
    print(table(("metric", "median", "90%", "n", "worst"), rows))
    expression, accepted = numbers["expression_corr"], numbers["accepted"]
    print(
        "  expression coefficients, correlation about each one's mean: "
        f"{expression['centred_strongest10']:.2f} of the ten strongest, {expression['centred']:.2f} of all 64\n"
        f"  not about the means: {expression['pearson_strongest10']:.2f} and {expression['pearson']:.2f}; a constant, "
        f"the mean truth of the others: {expression['constant_strongest10']:.2f} and {expression['constant']:.2f}\n"
        f"  over the {accepted['n']} accepted of {accepted['of']} images that have truth"
    )
