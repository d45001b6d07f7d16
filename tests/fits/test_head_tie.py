import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dataprep.fits.generator_labels import global_rotation
from dataprep.fits.head_tie import head_in_source, head_offset, neck_head_covariance, rest_face_points, tie_head
from dataprep.frames.smpl_joints import CHEST, HEAD, NECK
from dataprep.models.body.smpl import load_body
from dataprep.models.face.bfm import load_face

FRONTAL = np.diag([1.0, -1.0, -1.0])


def covariance(neck_rad: float, head_rad: float) -> np.ndarray:
    return np.diag([neck_rad**2] * 3 + [head_rad**2] * 3)


def posed(seed: int = 0) -> np.ndarray:
    rotations = Rotation.from_rotvec(np.random.default_rng(seed).normal(0, 0.25, (24, 3))).as_matrix()
    rotations[0] = FRONTAL @ rotations[0]
    return rotations


def test_covariance_reads_the_right_rows() -> None:
    factor = np.eye(85)
    factor[3 * NECK : 3 * NECK + 3] *= 0.1
    factor[3 * HEAD : 3 * HEAD + 3] *= 0.2
    np.testing.assert_allclose(neck_head_covariance(factor), covariance(0.1, 0.2), rtol=1e-5)


def test_only_neck_and_head_move_and_the_chest_stays() -> None:
    rotations = posed()
    target = global_rotation(rotations, HEAD) @ Rotation.from_rotvec([0.1, 0.3, -0.1]).as_matrix()
    tied = tie_head(rotations, target, covariance(0.15, 0.2), np.radians(3)).rotations
    changed = [j for j in range(24) if not np.allclose(tied[j], rotations[j], atol=1e-9)]
    assert changed == [NECK, HEAD]
    np.testing.assert_array_equal(global_rotation(tied, CHEST), global_rotation(rotations, CHEST))


def test_the_tie_balances_measurement_and_prior() -> None:
    """One axis, chest to head straight: neck + head = angle x (a + b) / (a + b + s), shared as a : b."""
    rotations = np.tile(np.eye(3), (24, 1, 1))
    rotations[0] = FRONTAL
    neck_var, head_var, sigma = 0.15**2, 0.25**2, 0.05
    target = FRONTAL @ Rotation.from_rotvec([0, 0.4, 0]).as_matrix()
    tie = tie_head(rotations, target, covariance(0.15, 0.25), sigma)
    total = 0.4 * (neck_var + head_var) / (neck_var + head_var + sigma**2)
    neck = Rotation.from_matrix(tie.rotations[NECK]).as_rotvec()
    head = Rotation.from_matrix(tie.rotations[HEAD]).as_rotvec()
    np.testing.assert_allclose(neck, [0, total * neck_var / (neck_var + head_var), 0], atol=1e-6)
    np.testing.assert_allclose(head, [0, total * head_var / (neck_var + head_var), 0], atol=1e-6)
    assert tie.disagreement_before_rad == pytest.approx(0.4)
    assert tie.disagreement_after_rad == pytest.approx(0.4 - total, abs=1e-6)


def test_a_sharp_measurement_is_met_even_when_far() -> None:
    rotations = posed(4)
    target = global_rotation(rotations, HEAD) @ Rotation.from_rotvec([0.5, -0.9, 0.3]).as_matrix()
    tie = tie_head(rotations, target, covariance(0.3, 0.3), 1e-3, iterations=10)
    assert tie.disagreement_after_rad < 0.01


def test_an_infinite_sigma_leaves_the_fit_alone() -> None:
    rotations = posed(5)
    tied = tie_head(rotations, np.eye(3), covariance(0.2, 0.2), np.inf).rotations
    np.testing.assert_allclose(tied, rotations, atol=1e-12)


def test_3dmm_rotation_reaches_the_source_frame() -> None:
    """An upright head in a crop that was rolled by 10 degrees leans 10 degrees to image right in the photograph."""
    head = head_in_source(np.eye(3), np.eye(3), np.radians(10))
    up = head @ [0, 1, 0]
    np.testing.assert_allclose(up, [np.sin(np.radians(10)), -np.cos(np.radians(10)), 0], atol=1e-12)


def test_head_offset_of_the_shipped_pair_is_exact_and_of_turned_files_is_the_turn() -> None:
    """A body file whose rest head is pitched, and a face file that is tilted, are undone together."""
    body, face = load_body(), load_face()
    points = rest_face_points(body)
    np.testing.assert_allclose(head_offset(face, body.sha256, points), np.eye(3), atol=1e-6)
    by_points = head_offset(face, "another body", points)
    assert np.degrees(Rotation.from_matrix(by_points).magnitude()) < 0.01
    pitch, tilt = (Rotation.from_euler(*turn, degrees=True).as_matrix() for turn in (("x", 9), ("z", -6)))
    tilted = dataclasses.replace(face, mean=(face.mean @ tilt.T).astype(np.float32), face_from_body=None)
    found = head_offset(tilted, "another body", 1.1 * points @ pitch.T + [0, 0.3, 0])
    np.testing.assert_allclose(found, tilt @ pitch.T, atol=1e-4)
