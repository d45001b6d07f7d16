"""Cross-checks: labels of one row that must tell the same story, compared with each other.

Most labels were derived from others, so a fault (a shifted crop, a flipped sign, columns of two rows exchanged) leaves
two of them in contradiction. Every check gives one number a row, an error with a unit, and a tolerance: far above what
rounding leaves, far below what a person would see. The last two compare independent measurements: their tolerance is
what such measurements may differ by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from dataprep.fits.generator_labels import canonical_rotation
from dataprep.frames import geometry
from dataprep.frames.geometry import PORTRAIT_PX
from dataprep.frames.smpl_joints import CHEST, HEAD, NECK, PARENTS
from dataprep.report.census import Block, Census
from dataprep.tables.labels import (
    BFM_ANGLE,
    CAM2WORLD,
    CAMERA_PITCH_YAW,
    CROP_FROM_SOURCE,
    FACE_PITCH_YAW,
    LANDMARKS68,
    SMPL_BODY_POSE,
    SMPL_GLOBAL_ORIENT_PORTRAIT,
)

MIN_YAW_DEG = 12.0  # below it the side a face is turned to cannot be told from 68 points
_NOSE, _OUTER = 30, (0, 16)
Errors = Float[np.ndarray, " n"]
Rotations = Float[np.ndarray, "n 3 3"]


@dataclass(frozen=True)
class Check:
    """One comparison; `error` maps a census to one number a row, NaN where the row lacks a label."""

    key: str
    title: str
    says: str  # what it means when a row fails
    unit: str
    tolerance: float
    columns: tuple[str, ...]
    error: Callable[[Census], Errors]


@dataclass(frozen=True)
class Finding:
    """What a check found over the accepted rows; `examples` are the worst, up to a limit."""

    key: str
    title: str
    says: str
    unit: str
    tolerance: float
    columns: tuple[str, ...]
    checked: int
    failed: int
    median: float
    worst: float
    examples: tuple[str, ...]


def run_checks(census: Census, examples: int) -> tuple[Finding, ...]:
    """All checks whose columns the manifest has, over the accepted rows; failing ones first, in their order."""
    findings = [_finding(census, check, examples) for check in CHECKS if census.has(*check.columns)]
    return tuple(sorted((one for one in findings if one.checked), key=lambda one: one.failed == 0))


def errors_of(census: Census, check: Check) -> Errors:
    """The error of every accepted row, NaN elsewhere and where a row, or the manifest, lacks a label."""
    if not census.has(*check.columns):
        return np.full(len(census), np.nan)
    return np.where(census.ok, check.error(census), np.nan)


def _finding(census: Census, check: Check, examples: int) -> Finding:
    errors = errors_of(census, check)
    known = np.flatnonzero(~np.isnan(errors))
    failed = known[errors[known] > check.tolerance]
    worst = failed[np.argsort(-errors[failed], kind="stable")]
    median, most = (float(np.median(errors[known])), float(errors[known].max())) if len(known) else (0.0, 0.0)
    return Finding(
        check.key, check.title, check.says, check.unit, check.tolerance, check.columns,
        len(known), len(failed), round(median, 6), round(most, 6), tuple(census.ids[i] for i in worst[:examples]),
    )  # fmt: skip


def _crop_follows_neck(census: Census) -> Errors:
    """Distance between the portrait's centre and where the neck joint of the first body fit puts it, px of 512.

    Along the chest's up axis, which is the portrait's vertical; its foreshortening is the crop's own.
    """

    def error(block: Block) -> Errors:
        neck = _placed(block, _points(block, "smpl_joints_px")[:, NECK : NECK + 1])[:, 0]
        chest = _turned(block, "smpl_global_orient", "smpl_body_pose_first", CHEST)
        up = np.hypot(chest[:, 0, 1], chest[:, 1, 1])
        below = PORTRAIT_PX * geometry.LOOKAT_ABOVE_NECK_M / geometry.PORTRAIT_SIDE_M * up
        return np.hypot(neck[:, 0] - PORTRAIT_PX / 2, neck[:, 1] - PORTRAIT_PX / 2 - below)

    columns = (CROP_FROM_SOURCE, "smpl_joints_px", "smpl_global_orient", "smpl_body_pose_first")
    return census.by_blocks(columns, error)


def _crop_matrix_follows_square(census: Census) -> Errors:
    """How far the matrix takes the square's centre from the portrait's, px of 512."""

    def error(block: Block) -> Errors:
        return np.linalg.norm(_placed(block, _points(block, "crop_centre_px"))[:, 0] - PORTRAIT_PX / 2, axis=1)

    return census.by_blocks((CROP_FROM_SOURCE, "crop_centre_px"), error)


def _landmarks_follow_crop(census: Census) -> Errors:
    """Largest distance of the portrait's landmarks from the photograph's, px of 512."""

    def error(block: Block) -> Errors:
        moved = _placed(block, _points(block, "landmarks68_px")) - _points(block, LANDMARKS68)
        return np.linalg.norm(moved, axis=2).max(axis=1)

    return census.by_blocks((CROP_FROM_SOURCE, "landmarks68_px", LANDMARKS68), error)


def _angles_follow_face(census: Census) -> Errors:
    """Largest difference of yaw, pitch and roll from the 3DMM's rotation, degrees."""

    def error(block: Block) -> Errors:
        head = _head(block)
        said = np.stack([block.floats(name) for name in ("yaw", "pitch", "roll")], axis=1)
        found = np.stack(
            [np.arctan2(head[:, 0, 2], head[:, 2, 2]), np.arcsin(np.clip(head[:, 1, 2], -1, 1)),
             np.arctan2(head[:, 0, 1], head[:, 1, 1])], axis=1,
        )  # fmt: skip
        return np.abs(np.degrees((said - found + np.pi) % (2 * np.pi) - np.pi)).max(axis=1)

    return census.by_blocks(("yaw", "pitch", "roll", BFM_ANGLE), error)


def _face_camera_follows_face(census: Census) -> Errors:
    """Difference of the face camera from where the 3DMM's rotation puts the generator's head, degrees."""

    def error(block: Block) -> Errors:  # the camera looks down -z of GL: its direction in the head's axes
        offsets = _rows(block, "head_offset", 9).reshape(-1, 3, 3)
        head = _head(block) @ offsets @ canonical_rotation(HEAD).T
        return _camera_error(_rows(block, FACE_PITCH_YAW, 2), head[:, 2, :])

    return census.by_blocks((FACE_PITCH_YAW, BFM_ANGLE, "head_offset"), error)


def _portrait_camera_follows_chest(census: Census) -> Errors:
    """Difference of the portrait camera from SMPL's chest, degrees."""

    def error(block: Block) -> Errors:
        chest = _turned(block, SMPL_GLOBAL_ORIENT_PORTRAIT, SMPL_BODY_POSE, CHEST)
        return _camera_error(_rows(block, CAMERA_PITCH_YAW, 2), -chest[:, 2, :])

    return census.by_blocks((CAMERA_PITCH_YAW, SMPL_GLOBAL_ORIENT_PORTRAIT, SMPL_BODY_POSE), error)


def _matrix_follows_camera(census: Census) -> Errors:
    """Difference of EG3D's camera matrix from the portrait camera's angles, degrees."""

    def error(block: Block) -> Errors:
        position = _rows(block, CAM2WORLD, 16).reshape(-1, 4, 4)[:, :3, 3]
        return _camera_error(_rows(block, CAMERA_PITCH_YAW, 2), position)

    return census.by_blocks((CAM2WORLD, CAMERA_PITCH_YAW), error)


def _heads_agree(census: Census) -> Errors:
    """Angle between the heads of body and face model, from the released rotations, less the usual one, degrees.

    The two models' head axes differ by a constant rotation; it is estimated as the rows' own median.
    """

    def head_from_head(block: Block) -> Rotations:
        body = _turned(block, SMPL_GLOBAL_ORIENT_PORTRAIT, SMPL_BODY_POSE, HEAD)
        return np.einsum("nji,njk->nik", body, np.diag([1.0, -1.0, -1.0]) @ _head(block))

    between = census.by_blocks((SMPL_GLOBAL_ORIENT_PORTRAIT, SMPL_BODY_POSE, BFM_ANGLE), head_from_head)
    known = census.ok & np.isfinite(between).all(axis=(1, 2))
    if not known.any():
        return np.full(len(census), np.nan)
    usual = _robust_mean(between[known])
    cosine = (np.einsum("ij,nij->n", usual, between) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _side_of_face(census: Census) -> Errors:
    """Head yaw against the yaw that the nose's place between the jaw's ends speaks for, degrees.

    Faces that look less than MIN_YAW_DEG aside count as agreeing. The scale from asymmetry to yaw is the data set's
    own: the median over all faces that are turned, in magnitude, so that no sign of theirs enters.
    """

    def nose_aside(block: Block) -> Errors:
        points = _points(block, LANDMARKS68, 68)
        across = points[:, _OUTER[1]] - points[:, _OUTER[0]]
        middle = (points[:, _OUTER[0]] + points[:, _OUTER[1]]) / 2
        squared = np.maximum(np.einsum("ni,ni->n", across, across), 1e-6)
        return np.einsum("ni,ni->n", points[:, _NOSE] - middle, across) / squared

    aside, yaw_deg = census.by_blocks((LANDMARKS68,), nose_aside), np.degrees(census.floats("yaw"))
    known = np.isfinite(aside) & np.isfinite(yaw_deg)
    turned = census.ok & known & (np.abs(yaw_deg) > MIN_YAW_DEG) & (np.abs(aside) > 0.02)
    scale = float(np.median(np.abs(yaw_deg[turned] / aside[turned]))) if turned.any() else 0.0
    opposed = (np.abs(yaw_deg) > MIN_YAW_DEG) & (yaw_deg * aside < 0)
    return np.where(known, np.where(opposed, np.abs(yaw_deg - scale * aside), 0.0), np.nan)


CHECKS = (
    Check("crop_follows_neck", "The crop stands over the neck", "the portrait is not cut where the body fit says: "
          "the crop is shifted", "px of 512", 2.0, (CROP_FROM_SOURCE, "smpl_joints_px", "smpl_global_orient",
          "smpl_body_pose_first"), _crop_follows_neck),
    Check("crop_matrix", "The crop's matrix is its square", "matrix and square of the crop are not of one crop",
          "px of 512", 1.0, (CROP_FROM_SOURCE, "crop_centre_px"), _crop_matrix_follows_square),
    Check("landmarks_follow_crop", "Landmarks moved with the crop", "landmarks of the portrait are not those of the "
          "photograph", "px of 512", 1.0, (CROP_FROM_SOURCE, LANDMARKS68, "landmarks68_px"),
          _landmarks_follow_crop),
    Check("angles_follow_face", "Yaw, pitch and roll are the 3DMM's", "an angle, or its sign, is not that of the face "
          "model", "°", 0.5, ("yaw", "pitch", "roll", BFM_ANGLE), _angles_follow_face),
    Check("side_of_face", "The face is turned to the side its landmarks show", "the head yaw has the other sign than "
          "the 68 landmarks", "°", 20.0, ("yaw", LANDMARKS68), _side_of_face),
    Check("face_camera", "The face camera is the 3DMM's", "the camera of the face is not where the head's rotation "
          "puts it", "°", 0.5, (FACE_PITCH_YAW, BFM_ANGLE, "head_offset"), _face_camera_follows_face),
    Check("portrait_camera", "The portrait camera is the chest's", "the camera of the portrait is not where SMPL's "
          "chest puts it", "°", 0.5, (CAMERA_PITCH_YAW, SMPL_GLOBAL_ORIENT_PORTRAIT, SMPL_BODY_POSE),
          _portrait_camera_follows_chest),
    Check("camera_matrix", "EG3D's matrix is the portrait camera", "cam2world and camera_pitch_yaw are two cameras",
          "°", 0.5, (CAM2WORLD, CAMERA_PITCH_YAW), _matrix_follows_camera),
    Check("heads_agree", "Body and face model see one head", "the two models' heads look different ways after the tie",
          "°", 20.0, (SMPL_GLOBAL_ORIENT_PORTRAIT, SMPL_BODY_POSE, BFM_ANGLE), _heads_agree),
)  # fmt: skip


def _rows(block: Block, name: str, width: int) -> Float[np.ndarray, "n k"]:
    """A list column as float64; NaN, of the same width, where no row of the block has a value."""
    values = block.matrix(name).astype(np.float64)
    return values if values.shape[1] == width else np.full((len(block), width), np.nan)


def _points(block: Block, name: str, count: int | None = None) -> Float[np.ndarray, "n p 2"]:
    """A list of points; one point of NaN (or `count`) a row where no row of the block has a value."""
    values = block.matrix(name).astype(np.float64)
    known = values.shape[1] and (count is None or values.shape[1] == 2 * count)
    return values.reshape(len(block), -1, 2) if known else np.full((len(block), count or NECK + 1, 2), np.nan)


def _placed(block: Block, points: Float[np.ndarray, "n p 2"]) -> Float[np.ndarray, "n p 2"]:
    """Points of the photograph in the portrait."""
    matrices = _rows(block, CROP_FROM_SOURCE, 6).reshape(-1, 2, 3)
    return np.einsum("nij,npj->npi", matrices[:, :, :2], points) + matrices[:, None, :, 2]


def _head(block: Block) -> Rotations:
    """R_z R_y R_x of the 3DMM's angles, GL axes; NaN where unknown."""
    x, y, z = _rows(block, BFM_ANGLE, 3).T
    return _turn(2, z) @ _turn(1, y) @ _turn(0, x)


def _turn(axis: int, angles: np.ndarray) -> Rotations:
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out = np.zeros((len(angles), 3, 3))
    out[:, axis, axis] = 1
    out[:, i, i] = out[:, j, j] = np.cos(angles)
    out[:, j, i], out[:, i, j] = np.sin(angles), -np.sin(angles)
    return out


def _turned(block: Block, orient: str, pose: str, joint: int) -> Rotations:
    """Camera axes from the joint's: the product of the rotations on the way from the root; NaN where unknown."""
    vectors = np.concatenate([_rows(block, orient, 3), _rows(block, pose, 69)], axis=1).reshape(len(block), 24, 3)
    known = np.isfinite(vectors).all(axis=(1, 2))
    out = np.full((len(block), 3, 3), np.nan)
    if known.any():
        chain = [Rotation.from_rotvec(vectors[known, link]).as_matrix() for link in _path(joint)]
        out[known] = reduce(np.matmul, chain)
    return out


def _path(joint: int) -> list[int]:
    path = [joint]
    while PARENTS[path[-1]] >= 0:
        path.append(PARENTS[path[-1]])
    return path[::-1]


def _camera_error(pitch_yaw_rad: Float[np.ndarray, "n 2"], towards: Float[np.ndarray, "n 3"]) -> Errors:
    """Degrees between a camera's angles and a direction towards it, subject axes."""
    pitch, yaw = pitch_yaw_rad.T
    said = np.stack([np.sin(pitch) * np.cos(yaw), np.cos(pitch), np.sin(pitch) * np.sin(yaw)], axis=1)
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(said, towards), axis=1), np.sum(said * towards, axis=1)))


def _robust_mean(rotations: Rotations) -> Float[np.ndarray, "3 3"]:
    """The rotation nearest to the entry-wise median."""
    u, _, vt = np.linalg.svd(np.median(rotations, axis=0))
    return u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
