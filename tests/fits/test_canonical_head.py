"""One head, said by the 3DMM and by SMPL's joints: both lead to the face camera that the generator reads."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dataprep.fits.canonical_head import canonical_from_3dmm, canonical_head, face_pitch_yaw
from dataprep.fits.generator_labels import canonical_rotation, global_rotation, joints_zyx, pitch_yaw
from dataprep.frames.face_frames import CAM_FROM_GL
from dataprep.frames.smpl_joints import CHEST, HEAD, LEFT_COLLAR, NECK
from dataprep.models.body.smpl import load_body
from dataprep.models.face.bfm import load_face
from gan.face.face_space import face_from_3dmm
from gan.rendering.body_arrays import body_arrays
from gan.rendering.posed_body import PosableBody
from tests.face_labels import generators_face_pitch_yaw

OFFSETS = (np.eye(3), Rotation.from_rotvec([0.155, 0.03, -0.05]).as_matrix())  # the shipped pair's, and another's


def posed(seed: int) -> np.ndarray:
    """Rotations (24, 3, 3) of a body that looks at the camera more or less, in cam axes."""
    rotations = np.tile(np.eye(3), (24, 1, 1))
    rotations[0] = np.diag([1.0, -1.0, -1.0]) @ Rotation.from_euler("yx", [0.3 - 0.2 * seed, 0.1]).as_matrix()
    turns = np.random.default_rng(seed).normal(0, 0.25, (2, 3))
    rotations[[NECK, HEAD]] = Rotation.from_rotvec(turns).as_matrix()
    rotations[LEFT_COLLAR] = Rotation.from_rotvec([0.1, 0, 0.2]).as_matrix()
    return rotations


def face_of(rotations: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """The 3DMM's rotation, GL axes, of the head that a body has."""
    return CAM_FROM_GL @ global_rotation(rotations, HEAD) @ offset.T


@pytest.mark.parametrize("offset", OFFSETS, ids=["shipped", "another"])
def test_in_the_canonical_pose_both_cameras_have_one_label(offset: np.ndarray) -> None:
    rotations = posed(1)
    rotations[NECK], rotations[HEAD] = np.eye(3), canonical_rotation(HEAD)
    chest = global_rotation(rotations, CHEST)
    np.testing.assert_allclose(face_pitch_yaw(face_of(rotations, offset), offset), pitch_yaw(chest), atol=1e-12)


@pytest.mark.parametrize("offset", OFFSETS, ids=["shipped", "another"])
def test_the_label_of_the_3dmm_is_the_generators_of_the_joints(offset: np.ndarray) -> None:
    """`gan.rendering.both_views` takes it from the portrait camera and the joints' angles alone."""
    bodies = [posed(seed) for seed in range(4)]
    cameras = [pitch_yaw(global_rotation(rotations, CHEST)) for rotations in bodies]
    expected = generators_face_pitch_yaw(np.stack([*map(joints_zyx, bodies)]), np.stack(cameras))
    said = [face_pitch_yaw(face_of(rotations, offset), offset) for rotations in bodies]
    np.testing.assert_allclose(said, expected, atol=1e-5)
    assert np.ptp(expected, axis=0).min() > 0.1  # heads that look different ways


def test_the_heads_axes_are_those_in_which_the_generator_turns_it() -> None:
    """Shared vertices of the shipped pair, in the canonical pose, measure the same, but for the neck's skin."""
    axes = face_from_3dmm(load_face(), load_body())[:, :3]
    found = canonical_from_3dmm(np.eye(3)).T @ axes / np.cbrt(np.linalg.det(axes))
    assert np.degrees(Rotation.from_matrix(found).magnitude()) < 0.3


def test_up_of_the_head_is_up_of_the_generators() -> None:
    rotations = posed(2)
    body = PosableBody(body_arrays(load_body()), np.arange(2))
    pose = torch.tensor(joints_zyx(rotations)[None], dtype=torch.float32)
    head_in_chest = body(torch.zeros(1, 10), pose).posed_from_canonical_head_B34[0, :, :3].numpy()
    expected = CAM_FROM_GL @ global_rotation(rotations, CHEST) @ head_in_chest
    np.testing.assert_allclose(canonical_head(face_of(rotations, OFFSETS[1]), OFFSETS[1]), expected, atol=1e-5)
