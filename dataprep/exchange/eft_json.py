"""Body fits in the layout of EFT's published files, for programs that read those.

    {"ver": 0.1, "meta": {...}, "data": [{"parm_pose": 24 x 3 x 3, "parm_shape": 10, "parm_cam": [s, tx, ty],
      "bbox_scale", "bbox_center", "gt_keypoint_2d": 49 x 3, "joint_validity_openpose18": 18, "smpltype", "annotId",
      "imageName"}]}

Camera: p = s X_xy + (tx, ty) in [-1, 1] of the square of side 200 bbox_scale px about bbox_center, y down. `smpltype`
is "smpl" for SMPL files only; fits of another body carry that body's name, since their coefficients are not SMPL's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from dataprep.errors import StoreError
from dataprep.files.untrusted import require_sample_ids
from dataprep.models.body.body_files import STANDIN
from dataprep.models.body.mediapipe_points import MEDIAPIPE_INDEX
from dataprep.tables.columns import rows_from_table
from dataprep.tables.labels import SMPL_BETAS
from dataprep.tables.manifest_files import MANIFEST, has_manifest, read_manifest
from dataprep.tables.store import atomic_file

MAX_LOSS_49 = 5e-4  # beyond this, and
MAX_BETA = 3.0  # beyond this, EFT's own exporter leaves a fit out
_MARGIN = 1.2  # of the crop about the points, as SPIN and EFT have it
_SEEN = 0.5
_COLUMNS = (
    "sample_id", "source_path", "status", "keypoints33", "source_width", "source_height", SMPL_BETAS,
    "smpl_global_orient", "smpl_body_pose_first", "body_camera", "body_fit_loss49", "body_model", "body_model_sha256",
)  # fmt: skip
# Places among EFT's 49 joints of the points that MediaPipe sees; the first 25 (BODY_25) stay empty, as in its files.
_JOINT_49 = {
    "right_ankle": 25, "right_knee": 26, "right_hip": 27, "left_hip": 28, "left_knee": 29, "left_ankle": 30,
    "right_wrist": 31, "right_elbow": 32, "right_shoulder": 33, "left_shoulder": 34, "left_elbow": 35,
    "left_wrist": 36, "nose": 44, "left_eye": 45, "right_eye": 46, "left_ear": 47, "right_ear": 48,
}  # fmt: skip
# OpenPose's COCO-18; the neck is there when both shoulders are.
_OPENPOSE_18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip


def export_eft(out: Path, path: Path, keep_all: bool = False) -> tuple[int, int]:
    """Write the fits of data set `out` to `path`; returns how many were written and how many left out.

    Left out, as in the published files, are fits with a 49-joint loss above 5e-4 or a beta beyond 3, unless `keep_all`.
    Only images that the pipeline accepted are considered. Raises StoreError when there is no manifest.
    """
    manifest = out / MANIFEST
    if not has_manifest(out):
        raise StoreError(f"{out}: no manifest.parquet; build the data set first: shhq-hs run SOURCE --out {out}")
    rows = [row for row in rows_from_table(read_manifest(out, _COLUMNS)) if row["status"] == "ok"]
    require_sample_ids((row["sample_id"] for row in rows), manifest)
    kept = [row for row in rows if keep_all or _is_good(row)]
    models = sorted({(row["body_model"], row["body_model_sha256"]) for row in rows})
    content = {
        "ver": 0.1,
        "meta": {"program": "shhq-hs", "body_models": [{"name": name, "sha256": sha} for name, sha in models]},
        "data": [_entry(row) for row in kept],
    }
    with atomic_file(path) as file:
        file.write(json.dumps(content).encode())
    return len(kept), len(rows) - len(kept)


def _is_good(row: Mapping[str, Any]) -> bool:
    return bool(row["body_fit_loss49"] <= MAX_LOSS_49 and np.abs(row[SMPL_BETAS]).max() <= MAX_BETA)


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    seen = _seen_points(row)
    centre, scale = bbox_of(np.stack([point[:2] for point in seen.values()]))
    half = 100 * scale
    px_per_m, *offset = row["body_camera"].astype(np.float64)
    vectors = np.concatenate((row["smpl_global_orient"][None], row["smpl_body_pose_first"])).astype(np.float64)
    joints = np.zeros((49, 3))
    for name, place in _JOINT_49.items():
        if name in seen:
            joints[place] = seen[name]
    found = {*seen, *(["neck"] if {"left_shoulder", "right_shoulder"} <= seen.keys() else [])}
    return {
        "parm_pose": Rotation.from_rotvec(vectors).as_matrix().tolist(),
        "parm_shape": row[SMPL_BETAS].astype(np.float64).tolist(),
        "parm_cam": [px_per_m / half, *((np.array(offset) - centre) / half).tolist()],
        "bbox_scale": scale,
        "bbox_center": centre.tolist(),
        "gt_keypoint_2d": joints.tolist(),
        "joint_validity_openpose18": [name in found for name in _OPENPOSE_18],
        "smpltype": row["body_model"] if row["body_model"] == STANDIN else "smpl",
        "annotId": row["sample_id"],
        "imageName": PurePosixPath(row["source_path"]).name,
    }


def _seen_points(row: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """x, y, visibility of the points that the fit could use: visible and inside the photograph."""
    size = np.array([row["source_width"], row["source_height"]])
    points = {name: row["keypoints33"][index].astype(np.float64) for name, index in MEDIAPIPE_INDEX.items()}
    return {
        name: point
        for name, point in points.items()
        if point[2] >= _SEEN and (point[:2] >= 0).all() and (point[:2] <= size).all()
    }


def bbox_of(points_px: Float[np.ndarray, "n 2"]) -> tuple[Float[np.ndarray, "2"], float]:
    """EFT's square around points: centre in px, and scale = 1.2 times the larger extent / 200."""
    low, high = points_px.min(0), points_px.max(0)
    return (low + high) / 2, float(_MARGIN * (high - low).max() / 200)
