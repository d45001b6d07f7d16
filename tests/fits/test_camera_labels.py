import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dataprep.fits.body.random_people import sample_people
from dataprep.fits.generator_labels import (
    PORTRAIT_RADIUS,
    cam2world,
    camera_direction,
    canonical_rotation,
    generator_pixels,
    global_rotation,
    intrinsics,
    joints_zyx,
    perspective_translation,
    pitch_yaw,
    rotations_from_joints_zyx,
    turn_in_picture,
    view_from_cam,
    view_from_pitch_yaw,
)
from dataprep.frames import geometry
from dataprep.frames.smpl_joints import CANONICAL_ZYX, CHEST, HEAD, POSED_JOINTS
from dataprep.models.body.body_points import body_points
from dataprep.models.body.smpl import load_body
from dataprep.stages.crop import portrait_square

FRONTAL = np.diag([1.0, -1.0, -1.0])


def test_a_frontal_person_has_pitch_and_yaw_of_a_right_angle() -> None:
    np.testing.assert_allclose(pitch_yaw(FRONTAL), [np.pi / 2, np.pi / 2])
    np.testing.assert_allclose(view_from_pitch_yaw(np.array([np.pi / 2, np.pi / 2])), FRONTAL, atol=1e-12)


def test_signs_by_hand() -> None:
    """Turned to their own left, people show the camera their right side; bent forward, they show it from above."""
    turned_left = FRONTAL @ Rotation.from_euler("y", 30, degrees=True).as_matrix()
    assert turned_left[0, 2] > 0  # they face image right, their own left
    np.testing.assert_allclose(pitch_yaw(turned_left), [np.pi / 2, np.radians(120)])  # camera on their right, -x
    bent_forward = FRONTAL @ Rotation.from_euler("x", 20, degrees=True).as_matrix()
    np.testing.assert_allclose(pitch_yaw(bent_forward), [np.radians(70), np.pi / 2])  # camera above their horizon


def test_roll_changes_neither_angle() -> None:
    rotation = FRONTAL @ Rotation.from_euler("YXZ", [25, -10, 12], degrees=True).as_matrix()
    np.testing.assert_allclose(pitch_yaw(turn_in_picture(0.4) @ rotation), pitch_yaw(rotation), atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_labels_rebuild_the_chest_without_its_roll(seed: int) -> None:
    """Crop roll out, pitch and yaw back in: the generator's camera sees the chest exactly as the upright crop does."""
    turn = Rotation.from_rotvec(np.random.default_rng(seed).normal(0, 0.4, 3)).as_matrix()
    chest = FRONTAL @ turn
    roll = portrait_square(np.zeros(3), chest, np.array([100.0, 0, 0])).roll_rad
    upright = turn_in_picture(-roll) @ chest
    assert upright[0, 1] == pytest.approx(0, abs=1e-12)  # the chest's up axis has no sideways part
    assert upright[1, 1] < 0
    np.testing.assert_allclose(view_from_pitch_yaw(pitch_yaw(chest)), upright, atol=1e-12)


def test_cam2world_looks_at_the_origin_with_the_portrait_field_of_view() -> None:
    label = np.array([1.4, 1.9])
    matrix = cam2world(label)
    world_to_cam = np.linalg.inv(matrix)
    look_at = intrinsics() @ (world_to_cam @ [0, 0, 0, 1])[:3]
    np.testing.assert_allclose(look_at[:2] / look_at[2], [0.5, 0.5], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(matrix[:3, 3]), PORTRAIT_RADIUS)
    np.testing.assert_allclose(matrix[:3, 3] / PORTRAIT_RADIUS, camera_direction(label))
    half_side = geometry.PORTRAIT_SIDE_M / 2 / (geometry.BODY_UNIT_M * geometry.FACE_UNIT_BODY)  # face units
    corner = intrinsics() @ (world_to_cam @ [*(half_side * matrix[:3, 0]), 1])[:3]
    np.testing.assert_allclose(corner[:2] / corner[2], [1.0, 0.5], atol=1e-9)  # image right edge
    assert matrix[1, 1] < 0  # y of the camera points down


def test_the_generators_camera_by_hand() -> None:
    """A point 0.1 m to a frontal person's left and a tenth of the distance nearer than the look-at point."""
    matrix = cam2world(pitch_yaw(FRONTAL))
    offsets = np.array([[0.0, 0, 0], [0.1, -0.05, -0.1 * geometry.BODY_UNIT_M]])  # view axes: x right, y down, z away
    focal_px = 512 / (2 * np.tan(np.radians(6)))
    scale = focal_px / (0.9 * geometry.BODY_UNIT_M)
    expected = [[256, 256], [256 + 0.1 * scale, 256 - 0.05 * scale]]
    np.testing.assert_allclose(generator_pixels(offsets, FRONTAL, matrix, 512), expected, atol=1e-9)


@pytest.mark.parametrize("scale", [0.9, 2.2])  # crops of a whole body, and of head and shoulders
def test_the_distant_camera_equals_weak_perspective_within_half_a_pixel(scale: float) -> None:
    """On the joints of standing people whose depth is told from their middle."""
    body = body_points(load_body(), ("mediapipe/nose",))
    people = sample_people(np.random.default_rng(8), 50, body)
    shown = list(POSED_JOINTS) if scale > 1 else list(range(24))
    joints = people.posed.joints.double().numpy()[:, shown]
    joints = joints - joints.mean(1, keepdims=True)
    crop_camera = np.array([scale, 0.03, -0.1])
    weak = 112 + 112 * (scale * joints[..., :2] + crop_camera[1:])
    placed = joints + perspective_translation(crop_camera)
    far = 112 + 5000 * placed[..., :2] / placed[..., 2:]
    error = np.linalg.norm(far - weak, axis=-1)
    assert error.max() > 1e-3
    assert np.sqrt((error**2).mean(1)).max() < 0.5


def test_t_pose_against_the_canonical_pose() -> None:
    """The head's only canonical angle comes back negated; arms come back as the inverse rotation."""
    angles = joints_zyx(np.tile(np.eye(3), (24, 1, 1)))
    np.testing.assert_allclose(angles[:3], 0, atol=1e-12)  # neck and collars
    np.testing.assert_allclose(angles[3], [0, 0, -CANONICAL_ZYX[HEAD][2]], atol=1e-12)
    rebuilt = Rotation.from_euler("ZYX", angles[4]).as_matrix()
    np.testing.assert_allclose(rebuilt, canonical_rotation(16).T, atol=1e-12)


def test_canonical_pose_has_zero_angles_and_arms_down() -> None:
    rotations = np.stack([canonical_rotation(joint) for joint in range(24)])
    np.testing.assert_allclose(joints_zyx(rotations), 0, atol=1e-12)
    left_arm = canonical_rotation(16) @ [1, 0, 0]
    assert left_arm[1] < -0.8  # from +x to pointing down


def test_joint_angles_round_trip() -> None:
    rotations = Rotation.from_rotvec(np.random.default_rng(1).normal(0, 0.4, (24, 3))).as_matrix()
    rebuilt = rotations_from_joints_zyx(joints_zyx(rotations))
    np.testing.assert_allclose(rebuilt, rotations[[12, 13, 14, 15, 16, 17]], atol=1e-9)


def test_global_rotation_multiplies_the_chain() -> None:
    rotations = Rotation.from_rotvec(np.random.default_rng(2).normal(0, 0.4, (24, 3))).as_matrix()
    np.testing.assert_allclose(
        global_rotation(rotations, CHEST), rotations[0] @ rotations[3] @ rotations[6] @ rotations[9], atol=1e-12
    )


def test_view_from_cam_turns_the_ray_onto_the_axis() -> None:
    """A head 6 degrees above the axis is seen from 6 degrees below: upright in cam axes, it looks up in its view."""
    ray = np.array([0.0, -np.sin(np.radians(6)), np.cos(np.radians(6))])
    turn = view_from_cam(ray)
    np.testing.assert_allclose(turn @ ray, [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(pitch_yaw(turn @ FRONTAL), [np.radians(96), np.pi / 2], atol=1e-9)
