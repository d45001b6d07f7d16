"""Key-point regressors of the body stand-in: COCO-17, feet, MediaPipe's 33 pose landmarks and the 68 iBUG points.

COCO and foot points come from anny's own regressors. MediaPipe's shoulders, elbows, wrists, hips, knees and ankles lie
at joint centres and are made to stay there when the joints bend; its hand points are the proximal knuckles; the points
of the head and the toes are single vertices or small patches that were picked on pictures of the mesh.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from dataprep.frames.smpl_joints import JOINTS
from tools.standins import linear_regressors
from tools.standins.anny_files import data_dir, rig, vertex_groups
from tools.standins.hm08_landmarks import landmark_vertices
from tools.standins.posed_adults import Bodies

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Row = tuple[Index, Array]

COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
FEET = ("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel")
MEDIAPIPE = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb",
    "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel",
    "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip

LEFT_TRAGUS = 12077  # base vertex: the flap before the left ear's canal
_KNUCKLE_BONES = {"pinky": "finger5-1.L", "index": "finger2-1.L", "thumb": "finger1-2.L"}
_JOINT_POINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_SMALLEST_WEIGHT = 1e-4


def keypoint_rows(bodies: Bodies, mean_m: Array, weights: Array, base_vertex: Index, mirror: Index) -> dict[str, Row]:
    """Return {name: (vertex indices of the stand-in, weights that sum to 1)}, 124 rows in four namespaces."""
    to_local = {int(base): local for local, base in enumerate(base_vertex)}
    rows = _anny_rows(base_vertex)
    ibug = {f"ibug/{i:02d}": _one(to_local[vertex]) for i, vertex in enumerate(landmark_vertices())}
    left = _left_mediapipe_rows(bodies, mean_m, weights, to_local, ibug, rows)
    for name in MEDIAPIPE:
        point = name.replace("right", "left")
        index, value = left[point]
        rows[f"mediapipe/{name}"] = (mirror[index], value) if "right" in name else (index, value)
    return rows | ibug


def _anny_rows(base_vertex: Index) -> dict[str, Row]:
    """Return the "coco/" and "foot/" rows, restricted to the stand-in's vertices and renormalised."""
    table = torch.load(data_dir() / "keypoints" / "coco.pth", weights_only=True, map_location="cpu")
    rows: dict[str, Row] = {}
    for space, names in (("coco", COCO), ("foot", FEET)):
        for name in names:
            dense = table[name].numpy().astype(np.float64)[base_vertex]
            index = np.flatnonzero(np.abs(dense) > _SMALLEST_WEIGHT)
            rows[f"{space}/{name}"] = (index, dense[index] / dense[index].sum())
    return rows


def _one(vertex: int) -> Row:
    return np.array([vertex]), np.ones(1)


def _mean_of(vertices: Index) -> Row:
    return np.asarray(vertices), np.full(len(vertices), 1 / len(vertices))


def _left_mediapipe_rows(
    bodies: Bodies, mean_m: Array, weights: Array, to_local: dict[int, int], ibug: dict[str, Row], anny: dict[str, Row]
) -> dict[str, Row]:
    """Return MediaPipe's points of the midline and the subject's left side."""
    rows: dict[str, Row] = {
        "nose": ibug["ibug/30"],
        "left_eye_inner": ibug["ibug/42"],
        "left_eye_outer": ibug["ibug/45"],
        "mouth_left": ibug["ibug/54"],
        "left_ear": _one(to_local[LEFT_TRAGUS]),
        "left_heel": anny["foot/left_heel"],
    }
    eye = np.array([to_local[int(v)] for v in vertex_groups()["helper-l-eye"]])
    rows["left_eye"] = _mean_of(eye[mean_m[eye, 2] > mean_m[eye, 2].max() - 1.5e-3])
    toes = np.flatnonzero(weights[:, JOINTS.index("left_foot")] > 0.5)
    rows["left_foot_index"] = _mean_of(toes[np.argsort(-mean_m[toes, 2], kind="stable")[:12]])
    for part in _JOINT_POINTS:
        joint = JOINTS.index(f"left_{part}")
        rows[f"left_{part}"] = _patch_regressor(bodies, bodies.joints_m[:, joint], mean_m, weights, 0.12)
    for point, bone in _KNUCKLE_BONES.items():
        knuckle = bodies.bones_m[:, rig().names.index(bone)]
        rows[f"left_{point}"] = _patch_regressor(bodies, knuckle, mean_m, weights, 0.03)
    return rows


def _patch_regressor(bodies: Bodies, points_m: Array, mean_m: Array, weights: Array, radius_m: float) -> Row:
    """Return a regressor for a point inside the body that stays put when the joints around it rotate about it."""
    distance = np.linalg.norm(mean_m - points_m.mean(axis=0), axis=1)
    index = np.flatnonzero(distance < radius_m)
    if len(index) > linear_regressors.MAX_CANDIDATES:
        index = index[np.linspace(0, len(index) - 1, linear_regressors.MAX_CANDIDATES).astype(int)]
    offsets = bodies.vertices_m[:, index] - points_m[:, None]
    return index, linear_regressors.fit_affine(offsets, weights[index])
