"""Labels of one made-up person that agree with each other, as the stages' own labels do."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from dataprep.fits.canonical_head import face_pitch_yaw
from dataprep.fits.generator_labels import (
    cam2world,
    global_rotation,
    intrinsics,
    joints_zyx,
    pitch_yaw,
    turn_in_picture,
)
from dataprep.frames import geometry
from dataprep.frames.face_frames import CAM_FROM_GL, angle_from_head, pitch_yaw_of_head, roll_of
from dataprep.frames.smpl_joints import CHEST, HEAD, LEFT_COLLAR, LEFT_SHOULDER, NECK, RIGHT_COLLAR, RIGHT_SHOULDER
from dataprep.stages.crop import PortraitSquare

_MOVED = (NECK, LEFT_COLLAR, RIGHT_COLLAR, HEAD, LEFT_SHOULDER, RIGHT_SHOULDER)
_FRONTAL = np.diag([1.0, -1.0, -1.0])


def consistent_labels(square: PortraitSquare, face_px: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Everything from the body fit to the cameras, of a person whose portrait `square` cuts out."""
    lean = turn_in_picture(square.roll_rad)
    upright = _FRONTAL @ Rotation.from_euler("yx", rng.normal(0, [0.3, 0.1])).as_matrix()
    upright = turn_in_picture(-np.arctan2(upright[0, 1], -upright[1, 1])) @ upright  # no roll of its own
    local = np.tile(np.eye(3), (24, 1, 1))
    local[0] = lean @ upright
    for joint in _MOVED:
        local[joint] = Rotation.from_rotvec(rng.normal(0, 0.12, 3)).as_matrix()
    pose = Rotation.from_matrix(local[1:]).as_rotvec()
    head = CAM_FROM_GL.T @ lean.T @ global_rotation(local, HEAD)
    pitch, yaw = pitch_yaw_of_head(head)
    portrait_camera = pitch_yaw(local[0])
    joints = np.array([224.0, 430.0]) + rng.normal(0, 60, (24, 2))
    joints[[HEAD, LEFT_SHOULDER, RIGHT_SHOULDER]] = [[226, 160], [310, 260], [115, 240]]
    px_per_m = square.side_px / geometry.PORTRAIT_SIDE_M
    joints[NECK] = square.centre_px - px_per_m * geometry.LOOKAT_ABOVE_NECK_M * local[0][:2, 1]
    return {
        "smpl_joints_px": joints,
        "smpl_global_orient": Rotation.from_matrix(local[0]).as_rotvec(),
        "smpl_global_orient_portrait": Rotation.from_matrix(lean.T @ local[0]).as_rotvec(),
        "smpl_body_pose_first": pose,
        "smpl_body_pose": pose,
        "smpl_transl": np.array([0.0, 0.35, geometry.BODY_UNIT_M]),
        "chest_rotation_cam": global_rotation(local, CHEST),
        "neck_cam_m": np.zeros(3),
        "body_camera": np.array([px_per_m, *joints[NECK]]),
        "camera_pitch_yaw": portrait_camera,
        "cam2world": cam2world(portrait_camera),
        "intrinsics": intrinsics(),
        "joints_zyx": joints_zyx(local),
        "bfm_angle": angle_from_head(head),
        "head_offset": np.eye(3),
        "face_pitch_yaw": face_pitch_yaw(head, np.eye(3)),
        "yaw": yaw,
        "pitch": pitch,
        "roll": roll_of(head),
        "landmarks68_px": face_px + _landmarks(yaw),
    }


def _landmarks(yaw_rad: float) -> np.ndarray:
    """An oval whose nose is where a head of that yaw has it."""
    angles = np.linspace(0, 6.2, 68)
    points = np.stack([-48 * np.cos(angles), 62 * np.sin(angles)], axis=1)
    points[[0, 16]] = [[-48, 0], [48, 0]]
    points[30] = [48 * np.sin(yaw_rad), 0]
    return points
