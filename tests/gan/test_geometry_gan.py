"""Frames, cameras, skinning: hand-worked numbers and relations that must hold for any input."""

import math

import numpy as np
import pytest
import torch

from dataprep.errors import AssetError, ConfigError
from dataprep.frames.rotations import matrix_from_zyx
from gan.config import GeneratorConfig
from gan.rendering.body_arrays import BodyArrays
from gan.rendering.cameras import (
    camera_origin,
    face_camera,
    portrait_camera,
    ray_directions,
    ray_samples,
    world_from_camera,
)
from gan.rendering.posed_body import (
    PosableBody,
    apply_affine,
    canonical_rotations,
    forward_kinematics,
    invert_affine,
)
from tests.gan.conftest import TINY, body_arrays, codes

FRONT = torch.full((1, 2), math.pi / 2)


def test_euler_angles_are_listed_z_y_x():
    z_turn = matrix_from_zyx(torch.tensor([math.pi / 2, 0, 0]))
    torch.testing.assert_close(z_turn @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)
    z, y, x = (matrix_from_zyx(torch.eye(3)[i] * a) for i, a in enumerate((0.3, -0.7, 1.1)))
    torch.testing.assert_close(matrix_from_zyx(torch.tensor([0.3, -0.7, 1.1])), z @ y @ x)


def test_front_camera_stands_on_z_and_sees_y_up():
    torch.testing.assert_close(camera_origin(FRONT, 2.0), torch.tensor([[0.0, 0, 2]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(world_from_camera(camera_origin(FRONT, 2.0))[0], torch.eye(3), atol=1e-6, rtol=0)


def test_smaller_pitch_lifts_the_camera_and_smaller_yaw_moves_it_to_x():
    assert camera_origin(torch.tensor([[1.2, math.pi / 2]]), 1.0)[0, 1] > 0.3
    assert camera_origin(torch.tensor([[math.pi / 2, 1.2]]), 1.0)[0, 0] > 0.3


def test_cameras_are_rotations_that_look_at_the_origin():
    origin = camera_origin(codes(5)["camera_B2"], 1.9)
    rotation = world_from_camera(origin)
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(5, 3, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(5))
    torch.testing.assert_close(rotation[..., 2], origin / 1.9, atol=1e-6, rtol=0)


def test_pixel_corners_are_end_points_of_the_field_of_view():
    directions = ray_directions(9, math.radians(12), FRONT)
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(9, 9))
    assert directions[0, 0, 0] < 0 < directions[0, 0, 1]  # the first pixel is left and up
    torch.testing.assert_close(directions[4, 8, 0] / -directions[4, 8, 2], torch.tensor(math.tan(math.radians(6))))


def test_portrait_framing_is_the_square_of_the_crop():
    """0.469 m at the neck's depth, centred 0.129 m above the neck joint."""
    camera = portrait_camera(GeneratorConfig())
    metres = 0.52767998683149 * 2.2314079
    side = 2 * camera.radius * math.tan(camera.fov_rad / 2) * metres
    assert side == pytest.approx(0.469, abs=5e-4)
    centre_above_neck = (camera.offset[1] * 0.52767998683149 + 0.067489409707008) * 2.2314079
    assert centre_above_neck == pytest.approx(0.129044, abs=1e-5)


@pytest.mark.parametrize("make", [portrait_camera, face_camera])
def test_samples_are_equal_steps_of_distance(make):
    camera = make(GeneratorConfig())
    given = codes(3)["camera_B2"]
    points = ray_samples(camera, given, 8, 11)
    start = camera_origin(given, camera.radius) + torch.tensor(camera.offset)
    distance = (points - start[:, None, None, None]).norm(dim=-1)
    torch.testing.assert_close(distance, torch.linspace(camera.near, camera.far, 11).expand_as(distance))


def test_unmoved_joints_move_nothing():
    joints = torch.randn(2, 24, 3)
    parents = [-1, *range(23)]
    posed, relative = forward_kinematics(torch.eye(3).expand(2, 24, 3, 3), joints, parents)
    torch.testing.assert_close(posed, joints)
    torch.testing.assert_close(relative, torch.eye(3, 4).expand(2, 24, 3, 4), atol=1e-6, rtol=0)


def test_kinematic_chain_keeps_bone_lengths_and_carries_children():
    given = codes(1)
    rotations = matrix_from_zyx(torch.randn(1, 24, 3, generator=torch.Generator().manual_seed(1)))
    body = body_arrays(400)
    joints = torch.as_tensor(body.J_regressor @ body.v_template, dtype=torch.float32)[None]
    parents = [int(p) for p in body.parents]
    posed, relative = forward_kinematics(rotations, joints, parents)
    bones = lambda j: (j[:, 1:] - j[:, parents[1:]]).norm(dim=-1)  # noqa: E731
    torch.testing.assert_close(bones(posed), bones(joints))
    torch.testing.assert_close(apply_affine(relative, joints), posed, atol=1e-5, rtol=0)
    assert given["pose_BP3"].shape == (1, 6, 3)


def test_inverse_affine_undoes():
    matrix = torch.eye(3, 4) + 0.2 * torch.randn(7, 3, 4)
    points = torch.randn(7, 3)
    torch.testing.assert_close(apply_affine(invert_affine(matrix), apply_affine(matrix, points)), points)


def test_canonical_arms_hang():
    """Rotations of -1.05 and 1.05 about z bring the left (+x) and right arms of the T pose down."""
    rotations = canonical_rotations(torch.zeros(1))
    assert (rotations[16] @ torch.tensor([1.0, 0, 0]))[1] < -0.8
    assert (rotations[17] @ torch.tensor([-1.0, 0, 0]))[1] < -0.8


@torch.inference_mode()
def test_canonical_pose_leaves_space_alone(tiny):
    """With z_pose zero every inverse transform is the identity: neutral points are the target points."""
    given = codes(2)
    target, neutral = tiny.neutral_rays(given["betas_1K"].expand(2, -1), torch.zeros(2, 6, 3), given["camera_B2"])
    torch.testing.assert_close(neutral, target, atol=2e-6, rtol=0)


@torch.inference_mode()
def test_face_camera_is_carried_by_the_head(tiny):
    """Turning the neck moves the face camera's samples rigidly with the head joint."""
    given = codes(1)
    pose = torch.zeros(1, 6, 3)
    pose[0, 0] = torch.tensor([0.2, 0.3, -0.1])
    still, _ = tiny.neutral_rays(given["betas_1K"], torch.zeros(1, 6, 3), given["camera_B2"], view="face")
    moved, _ = tiny.neutral_rays(given["betas_1K"], pose, given["camera_B2"], view="face")
    assert (moved - still).norm(dim=-1).mean() > 0.01
    pairwise = lambda p: torch.pdist(p[0, ::5, ::5, ::5].reshape(-1, 3))  # noqa: E731
    torch.testing.assert_close(pairwise(moved), pairwise(still), atol=1e-5, rtol=1e-4)


def test_posed_body_is_centred_on_its_neck():
    """The posed neck is the body frame's origin: moving the whole body changes nothing."""
    body = body_arrays(400)
    arrays = {name: getattr(body, name) for name in ("shapedirs", "J_regressor", "weights", "parents", "posedirs")}
    moved = BodyArrays(v_template=body.v_template + np.array([1.0, -2.0, 0.5]), **arrays)
    given = codes(2)
    betas = given["betas_1K"].expand(2, -1)
    here, there = (PosableBody(b, np.arange(400))(betas, given["pose_BP3"]) for b in (body, moved))
    for a, b in zip(here, there, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_body_of_wrong_shape_is_refused():
    body = body_arrays(50)
    with pytest.raises(AssetError, match="weights has shape"):
        BodyArrays(body.v_template, body.shapedirs, body.J_regressor, body.weights[:, :20], body.parents)
    with pytest.raises(AssetError, match="no tree"):
        BodyArrays(body.v_template, body.shapedirs, body.J_regressor, body.weights, body.parents + 30)


@pytest.mark.parametrize("wrong", [{"ray_size": 127}, {"ray_size": 8}, {"image_size": 8}, {"coarse_samples": 4}])
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ConfigError):
        GeneratorConfig(**{**vars(TINY), **wrong})
