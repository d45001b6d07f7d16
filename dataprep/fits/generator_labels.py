"""Labels the generator samples: portrait and face camera, six joint rotations, and EG3D's 25 numbers.

Frames. *view*: cam axes (x right, y down, z forward) of a camera that looks at the subject. *subject*: x = the
subject's left, y up, z where it faces (the chest's frame for the portrait camera, the head's for the face camera).
`view_from_subject` is a rotation; a frontal upright subject has diag(1, -1, -1). The generator's camera knows pitch
and yaw only, both pi/2 in front: it stands at r (sin p cos y, cos p, sin p sin y) and looks at the origin, up = +y.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from dataprep.frames import geometry
from dataprep.frames.euler import matrix_from_zyx, zyx_from_matrix
from dataprep.frames.smpl_joints import (
    CANONICAL_ZYX,
    CHEST,
    PARENTS,
    POSED_JOINTS,
)

SPIN_FOCAL_PX, SPIN_SIZE_PX = 5000.0, 224  # SPIN's distant perspective camera
PORTRAIT_RADIUS = 1 / geometry.FACE_UNIT_BODY  # face units from the look-at point to the portrait camera
FOCAL_NORMALISED = 0.5 / float(np.tan(geometry.FOV_RAD / 2))

Rotation3 = Float[np.ndarray, "3 3"]


def pitch_yaw(view_from_subject: Rotation3) -> Float[np.ndarray, "2"]:
    """Camera angles in the subject's frame, radians; a roll of the picture changes neither."""
    towards_camera = view_from_subject.T @ np.array([0.0, 0.0, -1.0])
    pitch = np.arccos(np.clip(towards_camera[1], -1, 1))
    return np.array([pitch, np.arctan2(towards_camera[2], towards_camera[0])])


def camera_direction(pitch_yaw_rad: Float[np.ndarray, "2"]) -> Float[np.ndarray, "3"]:
    """Unit vector from the look-at point to the camera, subject axes."""
    pitch, yaw = pitch_yaw_rad
    return np.array([np.sin(pitch) * np.cos(yaw), np.cos(pitch), np.sin(pitch) * np.sin(yaw)])


def view_from_pitch_yaw(pitch_yaw_rad: Float[np.ndarray, "2"]) -> Rotation3:
    """The generator's camera as a rotation, roll zero: rows are its right, down and forward in subject axes."""
    forward = -camera_direction(pitch_yaw_rad)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right = right / np.linalg.norm(right)
    return np.stack((right, np.cross(forward, right), forward))


def cam2world(pitch_yaw_rad: Float[np.ndarray, "2"], radius: float = PORTRAIT_RADIUS) -> Float[np.ndarray, "4 4"]:
    """EG3D's matrix, OpenCV axes: world = subject axes about the look-at point, in face units."""
    out = np.eye(4)
    out[:3, :3] = view_from_pitch_yaw(pitch_yaw_rad).T
    out[:3, 3] = radius * camera_direction(pitch_yaw_rad)
    return out


def intrinsics() -> Float[np.ndarray, "3 3"]:
    """The 12 degree camera, normalised by the image size."""
    return np.array([[FOCAL_NORMALISED, 0, 0.5], [0, FOCAL_NORMALISED, 0.5], [0, 0, 1]])


def generator_pixels(
    offsets_m: Float[np.ndarray, "n 3"],
    chest: Rotation3,
    camera_from_chest_pose: Float[np.ndarray, "4 4"],
    size_px: int,
) -> Float[np.ndarray, "n 2"]:
    """Points as the generator's camera shows them, from nothing but its labels.

    `offsets_m`: from the look-at point, in the view axes of the chest's rotation `chest`; the third argument is
    `cam2world`'s matrix.
    """
    points = offsets_m @ chest / (geometry.BODY_UNIT_M * geometry.FACE_UNIT_BODY)  # chest axes, face units
    seen = (points - camera_from_chest_pose[:3, 3]) @ camera_from_chest_pose[:3, :3]
    return size_px * (seen @ intrinsics().T)[:, :2] / seen[:, 2:]


def perspective_translation(crop_camera: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """SPIN's perspective form of a weak-perspective camera (s, tx, ty) in crop units, p = s X + t.

    A body moved by it (metres) stands before a camera of 5000 px focal length and 224 px, 10 to 60 m away.
    """
    scale, tx, ty = crop_camera
    return np.array([tx / scale, ty / scale, 2 * SPIN_FOCAL_PX / (SPIN_SIZE_PX * scale)])


def joints_zyx(rotations: Float[np.ndarray, "24 3 3"]) -> Float[np.ndarray, "6 3"]:
    """z_pose: angles (z, y, x) of R_local R_canonical^-1 for joints 12-17, radians."""
    return np.stack([zyx_from_matrix(rotations[joint] @ canonical_rotation(joint).T) for joint in POSED_JOINTS])


def rotations_from_joints_zyx(angles: Float[np.ndarray, "6 3"]) -> Float[np.ndarray, "6 3 3"]:
    """Local SMPL rotations R(z_pose) R(canonical) of joints 12-17; inverse of `joints_zyx`."""
    pairs = zip(angles, POSED_JOINTS, strict=True)
    return np.stack([matrix_from_zyx(zyx) @ canonical_rotation(joint) for zyx, joint in pairs])


def canonical_rotation(joint: int) -> Rotation3:
    """Local rotation of a joint in the canonical pose."""
    return matrix_from_zyx(np.array(CANONICAL_ZYX.get(joint, (0.0, 0.0, 0.0))))


def rotations_from_rotvecs(
    global_orient: Float[np.ndarray, "3"], body_pose: Float[np.ndarray, "23 3"]
) -> Float[np.ndarray, "24 3 3"]:
    """Local rotations of all joints from a row's two columns of rotation vectors."""
    return Rotation.from_rotvec(np.concatenate((global_orient[None], body_pose)).astype(np.float64)).as_matrix()


def global_rotation(rotations: Float[np.ndarray, "24 3 3"], joint: int) -> Rotation3:
    """Product of the local rotations from the root to `joint`."""
    chain = [joint]
    while PARENTS[chain[-1]] >= 0:
        chain.append(PARENTS[chain[-1]])
    out = np.eye(3)
    for j in reversed(chain):
        out = out @ rotations[j]
    return out


def chest_rotation(rotations: Float[np.ndarray, "24 3 3"]) -> Rotation3:
    """View from chest."""
    return global_rotation(rotations, CHEST)


def turn_in_picture(roll_rad: float) -> Rotation3:
    """Cam axes of a picture that leans clockwise by `roll_rad`, from those of the upright one."""
    cos, sin = np.cos(roll_rad), np.sin(roll_rad)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def view_from_cam(ray: Float[np.ndarray, "3"]) -> Rotation3:
    """Turn cam axes so that z runs along `ray` (a direction in cam axes), by the smallest rotation.

    What a crop shows of a rotation R in the cam axes of a real, wide camera is view_from_cam(ray) @ R: a head far from
    the optical axis is seen from another side than the axis says. Fits estimate this, so compare truth this way.
    """
    z = ray / np.linalg.norm(ray)
    axis = np.cross(z, [0.0, 0.0, 1.0])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1 + z[2])
