"""Key points for official SMPL files, which carry none: 23 regressor rows under the names the body fits use.

* Limb points are SMPL's own joints, where MediaPipe's limb points lie too. A row is the smallest weighting of the
  vertices around the joint that gives the joint's rest position, moves with its shape directions and, by having no
  first moment about it, stays on it when the joints bend.
* Eyes, ears, nose, heels and big toes are single vertices of SMPL's topology, the ones the smplx package names.
* Mouth corners, which that table lacks, are carried over from the stand-in by the similarity that takes its five face
  points to SMPL's, and snapped to the nearest vertex.

The definitions match the stand-in's, so offsets measured on the stand-in (fits.detector) apply here too.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import runpy
from functools import cache
from pathlib import Path

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int

from dataprep.errors import AssetError
from dataprep.extras import require_extra
from dataprep.frames.smpl_joints import JOINTS, PARENTS
from dataprep.models.body.mediapipe_points import POINTS
from dataprep.models.body.smpl import BodyModel, load_body

SMPL_VERTICES = 6890
# Vertex names of smplx.vertex_ids; "left" is the subject's.
_VERTEX_OF = {
    "nose": "nose", "left_eye": "leye", "right_eye": "reye", "left_ear": "lear", "right_ear": "rear",
    "left_heel": "LHeel", "right_heel": "RHeel", "left_foot_index": "LBigToe", "right_foot_index": "RBigToe",
}  # fmt: skip
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_MOUTH = ("mouth_left", "mouth_right")
_RADII_M = (0.12, 0.16, 0.22)
_MIN_CANDIDATES = 120
_RIDGE = 1e-5


def with_keypoints(model: BodyModel) -> BodyModel:
    """`model` with regressors for the fits' key points; one that carries its own is returned as it is."""
    if model.keypoint_names:
        return model
    vertices = len(model.v_template)
    if vertices != SMPL_VERTICES:
        raise AssetError(
            f"body model {model.name}: {vertices} vertices and no key-point regressors; expected SMPL's "
            f"{SMPL_VERTICES} vertices, or arrays keypoint_names and keypoint_regressor_row/_col/_val in the file"
        )
    ids = {name: _vertex_ids()[known] for name, known in _VERTEX_OF.items()}
    _check_order(model, ids)
    ids |= _mouth(model, ids)
    rows = scipy.sparse.lil_matrix((len(POINTS), vertices))
    for row, name in enumerate(POINTS):
        if name in ids:
            rows[row, ids[name]] = 1.0
        else:
            patch, weight = _joint_row(model, JOINTS.index(name))
            rows[row, patch] = weight
    names = tuple(f"mediapipe/{name}" for name in POINTS)
    return dataclasses.replace(model, keypoint_names=names, keypoint_regressor=rows.tocsr())


def _vertex_ids() -> dict[str, int]:
    """smplx's table, from its file: importing the package would import torch, which whoever only plans never needs."""
    require_extra("smplx", "a body model of SMPL's 6,890 vertices")
    spec = importlib.util.find_spec("smplx")
    assert spec is not None
    assert spec.origin is not None
    return runpy.run_path(str(Path(spec.origin).with_name("vertex_ids.py")))["vertex_ids"]["smplh"]


def _check_order(model: BodyModel, ids: dict[str, int]) -> None:
    """Named vertices must lie about a head and two feet, else the file has another vertex order."""
    at = {name: model.v_template[vertex] for name, vertex in ids.items()}
    ears, eyes = (at["left_ear"] + at["right_ear"]) / 2, (at["left_eye"] + at["right_eye"]) / 2
    ordered = (
        at["left_ear"][0] > at["left_eye"][0] > at["right_eye"][0] > at["right_ear"][0]
        and at["nose"][2] > eyes[2] > ears[2]
        and eyes[1] > at["nose"][1] > max(at["left_heel"][1], at["right_heel"][1]) + 1.0
        and np.linalg.norm(at["nose"] - ears) < 0.25
        and at["left_heel"][0] > at["right_heel"][0]
        and all(at[f"{side}_foot_index"][2] > at[f"{side}_heel"][2] + 0.1 for side in ("left", "right"))
    )
    if not ordered:
        raise AssetError(
            f"body model {model.name}: {SMPL_VERTICES} vertices, but not in SMPL's order or frame (nose, eyes, ears "
            "and feet are not where its vertices lie: y up, +x the subject's left, metres); fetch SMPL_NEUTRAL from "
            "smpl.is.tue.mpg.de"
        )


def _mouth(model: BodyModel, ids: dict[str, int]) -> dict[str, int]:
    """Vertices of the mouth corners, by similarity from the stand-in's face."""
    standin, corners = _standin_face()
    face = model.v_template[[ids[name] for name in _FACE]].astype(np.float64)
    a, b = standin - standin.mean(0), face - face.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    sign = np.diag([1, 1, np.linalg.det(u @ vt)])
    scale = float((s * np.diag(sign)).sum() / (a**2).sum())
    places = scale * (corners - standin.mean(0)) @ (u @ sign @ vt) + face.mean(0)
    distance = np.linalg.norm(model.v_template[None] - places[:, None], axis=-1)
    return {name: int(vertex) for name, vertex in zip(_MOUTH, distance.argmin(1), strict=True)}


@cache
def _standin_face() -> tuple[Float[np.ndarray, "5 3"], Float[np.ndarray, "2 3"]]:
    """Face points and mouth corners of the mean stand-in, metres."""
    body = load_body()
    rows = body.keypoint_rows(tuple(f"mediapipe/{name}" for name in (*_FACE, *_MOUTH)))
    points = np.asarray(rows @ body.v_template.astype(np.float64))
    return points[: len(_FACE)], points[len(_FACE) :]


def _joint_row(model: BodyModel, joint: int) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Vertices around a joint and weights (sum 1) that reproduce it in every shape and nearly every pose.

    The minimum-norm solution of: sum w = 1; for each bone the first moment about the joint is zero; bones that do not
    touch the joint carry nothing; shape directions agree with the joint's.
    """
    regressor = model.joint_regressor[joint]
    centre = np.asarray(regressor @ model.v_template.astype(np.float64)).ravel()
    dirs = np.asarray(regressor @ model.shapedirs.reshape(len(model.v_template), -1).astype(np.float64)).ravel()
    distance = np.linalg.norm(model.v_template - centre, axis=1)
    for radius in _RADII_M:
        patch = np.flatnonzero(distance < radius)
        if len(patch) >= _MIN_CANDIDATES:
            break
    else:
        raise AssetError(f"body model {model.name}: no surface around joint {JOINTS[joint]}; are its units metres?")
    offset = model.v_template[patch].astype(np.float64) - centre
    skin = model.weights[patch].astype(np.float64)
    bones = np.flatnonzero(skin.max(0) > 0.01)
    moments = (skin[:, bones, None] * offset[:, None]).reshape(len(patch), -1)
    elsewhere = skin[:, [bone for bone in bones if bone not in (joint, PARENTS[joint])]]
    shape = model.shapedirs[patch].reshape(len(patch), -1).astype(np.float64) - dirs
    one = np.ones((len(patch), 1))
    design = np.concatenate((offset, moments, elsewhere, shape, one), 1).T
    target = np.zeros(len(design))
    target[-1] = 1.0
    normal = design @ design.T + _RIDGE * np.eye(len(design))
    weight = design.T @ np.linalg.solve(normal, target)
    return patch, weight / weight.sum()
