"""camera: tie the SMPL head to the 3DMM's, then the labels the generator samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.spatial.transform import Rotation

from dataprep.fits.canonical_head import face_pitch_yaw
from dataprep.fits.generator_labels import (
    cam2world,
    generator_pixels,
    global_rotation,
    intrinsics,
    joints_zyx,
    pitch_yaw,
    rotations_from_rotvecs,
    turn_in_picture,
)
from dataprep.fits.head_tie import HeadTie, head_in_source, tie_head
from dataprep.frames import geometry
from dataprep.frames.face_frames import head_from_3dmm, pitch_yaw_of_head, roll_of
from dataprep.frames.smpl_joints import CHEST, POSED_JOINTS
from dataprep.settings import number, setting
from dataprep.stages.base import Item, Result, Stage, degrees
from dataprep.tables.columns import BOOL, FLOAT, Column, floats
from dataprep.tables.labels import (
    BFM_ANGLE,
    CAM2WORLD,
    CAMERA_PITCH_YAW,
    FACE_PITCH_YAW,
    INTRINSICS,
    JOINTS_ZYX,
    SMPL_BODY_POSE,
    SMPL_GLOBAL_ORIENT_PORTRAIT,
    SMPL_TRANSL,
    label,
)


@dataclass(frozen=True)
class Camera(Stage):
    """Adds the tied pose, both cameras, the six joint angles and EG3D's 25 numbers."""

    name: ClassVar[str] = "camera"
    version: ClassVar[int] = 3
    requires: ClassVar[tuple[str, ...]] = ("body", "crop", "face")
    columns: ClassVar[tuple[Column, ...]] = (
        label(SMPL_BODY_POSE),
        label(SMPL_GLOBAL_ORIENT_PORTRAIT),
        label(SMPL_TRANSL),
        label(CAMERA_PITCH_YAW),
        label(FACE_PITCH_YAW),
        label(JOINTS_ZYX),
        label(CAM2WORLD),
        label(INTRINSICS),
        Column("generator_camera_rms", FLOAT, "joints 12-17 as the generator's camera (12 degrees, 2.23 m) shows them "
               "by labels alone, against the fitted camera: root mean square distance", unit="px", frame="portrait"),
        floats("generator_camera_shift", (2,), "mean of those displacements, what a translation would take away; the "
               "rest is perspective", unit="px", frame="portrait"),
        Column("yaw", FLOAT, "head yaw in the portrait, positive towards image right", frame="portrait", unit="rad"),
        Column("pitch", FLOAT, "head pitch in the portrait, positive = looking up", frame="portrait", unit="rad"),
        Column("roll", FLOAT, "head roll in the portrait, towards image right", frame="portrait", unit="rad"),
        Column("head_disagreement_before", FLOAT, "angle between the SMPL and 3DMM heads before the tie", unit="rad"),
        Column("head_disagreement", FLOAT, "the same after the tie", unit="rad"),
        Column("head_tied", BOOL, "whether the head tie was applied"),
    )  # fmt: skip

    tie_head: bool = setting(True, "tie SMPL's head to the 3DMM's")
    head_sigma_deg: float = number(
        3.0, 1e-3, 180, "error of the 3DMM's head that the tie assumes: standard deviation; degrees"
    )

    @classmethod
    def found(cls, row: Mapping[str, Any]) -> list[str]:
        before, after = (math.degrees(row[name]) for name in ("head_disagreement_before", "head_disagreement"))
        return [
            f"head yaw, pitch, roll {degrees(row['yaw'], row['pitch'], row['roll'])}°",
            f"portrait camera pitch, yaw {degrees(*row[CAMERA_PITCH_YAW])}°",
            f"body and face heads {before:.1f}° apart, after the tie {after:.1f}°",
        ]

    def process_item(self, item: Item, tools: None) -> Result:
        row = item.row
        first = rotations_from_rotvecs(row["smpl_global_orient"], row["smpl_body_pose_first"])
        roll = float(row["crop_roll_rad"])
        head_from_face = head_from_3dmm(row[BFM_ANGLE].astype(np.float64))
        target = head_in_source(head_from_face, row["head_offset"].astype(np.float64), roll)
        sigma = np.radians(self.head_sigma_deg) if self.tie_head else np.inf
        tied = tie_head(first, target, row["neck_head_covariance"].astype(np.float64), sigma)
        return Result(columns=_columns(tied, head_from_face, row, self.tie_head))


def _generator_residual(row: Any, chest: np.ndarray, look_at: np.ndarray, portrait: np.ndarray) -> np.ndarray:
    """Displacements (6, 2) of joints 12-17 from the fitted camera's place to the generator's, px of 512."""
    joints = row["smpl_joints_cam_m"][list(POSED_JOINTS)].astype(np.float64)
    shown = generator_pixels(joints - look_at, chest, cam2world(portrait), geometry.PORTRAIT_PX)
    scale, *offset = row["body_camera"].astype(np.float64)
    centre_px, side_px = row["crop_centre_px"].astype(np.float64), float(row["crop_side_px"])
    roll_rad = float(row["crop_roll_rad"])
    portrait_from_source = geometry.square_from_source(centre_px, side_px, roll_rad, geometry.PORTRAIT_PX)
    return shown - geometry.transform(portrait_from_source, scale * joints[:, :2] + offset)


def _columns(tied: HeadTie, head_from_face: np.ndarray, row: Any, applied: bool) -> dict[str, Any]:
    chest = global_rotation(tied.rotations, CHEST)
    portrait = pitch_yaw(chest)
    upright_from_source = turn_in_picture(-float(row["crop_roll_rad"]))
    look_at = row["neck_cam_m"] + geometry.LOOKAT_ABOVE_NECK_M * chest[:, 1]
    residual = _generator_residual(row, chest, look_at, portrait)
    pelvis = np.append((row["smpl_joints_px"][0] - row["body_camera"][1:]) / row["body_camera"][0], 0.0)
    look_at = upright_from_source @ (look_at - pelvis) + pelvis  # SMPL's orientation turns the body about its pelvis
    head_pitch, head_yaw = pitch_yaw_of_head(head_from_face)
    return {
        SMPL_BODY_POSE: Rotation.from_matrix(tied.rotations[1:]).as_rotvec(),
        SMPL_GLOBAL_ORIENT_PORTRAIT: Rotation.from_matrix(upright_from_source @ tied.rotations[0]).as_rotvec(),
        SMPL_TRANSL: np.array([0, 0, geometry.BODY_UNIT_M]) - look_at,
        CAMERA_PITCH_YAW: portrait,
        FACE_PITCH_YAW: face_pitch_yaw(head_from_face, row["head_offset"].astype(np.float64)),
        JOINTS_ZYX: joints_zyx(tied.rotations),
        CAM2WORLD: cam2world(portrait),
        INTRINSICS: intrinsics(),
        "generator_camera_rms": np.sqrt(np.square(residual).sum(1).mean()),
        "generator_camera_shift": residual.mean(0),
        "yaw": head_yaw,
        "pitch": head_pitch,
        "roll": roll_of(head_from_face),
        "head_disagreement_before": tied.disagreement_before_rad,
        "head_disagreement": tied.disagreement_after_rad,
        "head_tied": applied,
    }
