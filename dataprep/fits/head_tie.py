"""Refit neck and head so that the SMPL head agrees with the 3DMM's, softly.

Key points say little about the head's rotation; 68 landmarks say it to a few degrees. Both models' heads are the
same head up to one constant rotation (`head_offset`), so R_head = diag(1, -1, -1) R_3dmm R_offset is a measurement of
the chain's product; neck and head share the correction as the lifter's own residual covariance says they should. The
chest, hence the crop and the portrait camera, keeps the first fit. Not in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from dataprep.fits.generator_labels import global_rotation, turn_in_picture
from dataprep.frames.face_frames import CAM_FROM_GL
from dataprep.frames.smpl_joints import HEAD, NECK
from dataprep.models.body.smpl import BodyModel, load_body
from dataprep.models.body.smpl_keypoints import with_keypoints
from dataprep.models.face.bfm import FaceModel, load_face


@dataclass(frozen=True, eq=False)
class HeadTie:
    """Rotations after the tie, and the angle between both heads before and after."""

    rotations: Float[np.ndarray, "24 3 3"]
    disagreement_before_rad: float
    disagreement_after_rad: float


FACE_POINTS = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "mouth_left", "mouth_right")
_INNER = slice(17, 68)  # iBUG landmarks without the jaw, where models differ most


def rest_face_points(body: BodyModel) -> Float[np.ndarray, "7 3"]:
    """FACE_POINTS of the mean body in T pose, metres."""
    rows = with_keypoints(body).keypoint_rows(tuple(f"mediapipe/{name}" for name in FACE_POINTS))
    return np.asarray(rows @ body.v_template.astype(np.float64))


def head_offset(face: FaceModel, body_sha256: str, body_points_m: Float[np.ndarray, "7 3"]) -> Float[np.ndarray, "3 3"]:
    """R_offset: 3DMM axes from the axes of SMPL's head joint.

    Known when the face was cut from this body. Else by way of the shipped pair, each step by points that are defined
    alike on both sides: this body's face points onto the shipped body's, the shipped face's landmarks onto this face's.
    """
    if face.face_from_body is not None and face.meta.get("body_sha256") == body_sha256:
        return _nearest_rotation(np.asarray(face.face_from_body[:, :3], np.float64))
    points_m, landmarks_dm, shipped = _shipped_pair()
    theirs_dm = face.mean[face.landmarks[_INNER]].astype(np.float64)
    return laying(theirs_dm, landmarks_dm) @ shipped @ laying(points_m, np.asarray(body_points_m, np.float64))


def head_offset_between(face: FaceModel, body: BodyModel) -> Float[np.ndarray, "3 3"]:
    """`head_offset` of two opened models."""
    return head_offset(face, body.sha256, rest_face_points(body))


@cache
def _shipped_pair() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Face points of the shipped body, inner landmarks of the shipped face, and the rotation between them."""
    face = load_face()
    assert face.face_from_body is not None
    return (
        rest_face_points(load_body()),
        face.mean[face.landmarks[_INNER]].astype(np.float64),
        _nearest_rotation(np.asarray(face.face_from_body[:, :3], np.float64)),
    )


def laying(target: Float[np.ndarray, "n 3"], points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "3 3"]:
    """The rotation of the similarity that lays `points` onto `target`."""
    return _nearest_rotation((target - target.mean(0)).T @ (points - points.mean(0)))


def _nearest_rotation(matrix: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    u, _, vt = np.linalg.svd(matrix)
    return u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt


def head_in_source(
    head_from_face: Float[np.ndarray, "3 3"], offset: Float[np.ndarray, "3 3"], crop_roll_rad: float
) -> Float[np.ndarray, "3 3"]:
    """SMPL head rotation in the photograph's cam axes, from the 3DMM's rotation (GL axes) in the upright portrait."""
    return turn_in_picture(crop_roll_rad) @ CAM_FROM_GL @ head_from_face @ offset


def tie_head(
    rotations: Float[np.ndarray, "24 3 3"],
    head_target: Float[np.ndarray, "3 3"],
    covariance: Float[np.ndarray, "6 6"],
    sigma_rad: float,
    iterations: int = 5,
) -> HeadTie:
    """Gauss-Newton on six angles: |log(R_head^-1 R_target)|^2 / sigma^2 + d' C^-1 d.

    d = (neck, head) rotation increments, C = `covariance`: what is left of them after the regressor.
    """
    prior = np.linalg.inv(covariance)
    neck, head = rotations[NECK], rotations[HEAD]
    chest = global_rotation(rotations, NECK) @ neck.T
    increment = np.zeros(6)
    for _ in range(iterations):
        neck_turn, head_turn = (Rotation.from_rotvec(v).as_matrix() for v in (increment[:3], increment[3:]))
        current_head = head @ head_turn
        fitted = chest @ neck @ neck_turn @ current_head
        error = Rotation.from_matrix(fitted.T @ head_target).as_rotvec()
        jacobian = np.concatenate((current_head.T @ _right_jacobian(increment[:3]), _right_jacobian(increment[3:])), 1)
        normal = jacobian.T @ jacobian / sigma_rad**2 + prior
        increment = increment + np.linalg.solve(normal, jacobian.T @ error / sigma_rad**2 - prior @ increment)
    tied = rotations.copy()
    tied[NECK] = neck @ Rotation.from_rotvec(increment[:3]).as_matrix()
    tied[HEAD] = head @ Rotation.from_rotvec(increment[3:]).as_matrix()
    return HeadTie(tied, *(_angle(global_rotation(r, HEAD), head_target) for r in (rotations, tied)))


def neck_head_covariance(residual_chol: Float[np.ndarray, "85 85"]) -> Float[np.ndarray, "6 6"]:
    """Covariance of the (neck, head) rotation residuals, radians squared."""
    rows = np.concatenate([residual_chol[3 * joint : 3 * joint + 3] for joint in (NECK, HEAD)]).astype(np.float64)
    return rows @ rows.T


def _right_jacobian(rotvec: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """d log(exp(v)^-1 exp(v + dv)) / dv."""
    angle = float(np.linalg.norm(rotvec))
    x, y, z = rotvec
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    if angle < 1e-6:
        return np.eye(3) - cross / 2
    return np.eye(3) - (1 - np.cos(angle)) / angle**2 * cross + (angle - np.sin(angle)) / angle**3 * cross @ cross


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(Rotation.from_matrix(a.T @ b).as_rotvec()))
