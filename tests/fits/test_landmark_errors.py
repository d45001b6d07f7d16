"""Landmark errors: planted ones are found again, files round-trip, and another face keeps what is the detector's."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dataprep.errors import AssetError
from dataprep.fits.face.landmark_errors import LandmarkErrors, load_landmark_errors, save_landmark_errors
from dataprep.frames.landmarks68 import MIRROR68
from tools.calibration.measure_landmarks import Misses, measure, misses

FLIP = np.array([-1.0, 1.0, 1.0])


def made_up(count: int) -> tuple[list[Misses], np.ndarray, np.ndarray]:
    """People with a symmetric offset, a slope with yaw, and errors of brow 17-21 that go together."""
    rng = np.random.default_rng(4)
    offset = rng.normal(0, 0.05, (68, 3))
    offset = (offset + (offset * FLIP)[MIRROR68]) / 2
    slope = rng.normal(0, 0.03, (68, 3))
    slope = (slope - (slope * FLIP)[MIRROR68]) / 2  # a mirrored yaw has the other sign
    people = []
    for _ in range(count):
        turn = Rotation.from_euler("yxz", rng.normal(0, (0.5, 0.1, 0.1))).as_matrix()
        yaw = np.arctan2(turn[0, 2], turn[2, 2])
        missed = ((offset + yaw * slope) @ turn.T)[:, :2] + rng.normal(0, 0.01, (68, 2))
        missed[17:22, 1] += rng.normal(0, 0.04)
        missed[22:27, 1] += rng.normal(0, 0.04)
        people.append(Misses(missed, turn))
    return people, offset, slope


def test_planted_offsets_and_covariance_are_found() -> None:
    people, offset, slope = made_up(400)
    found = measure(people)
    for yaw in (-0.6, 0.0, 0.3):  # in the picture: there a slope looks like an offset in depth
        turn = Rotation.from_euler("y", yaw).as_matrix()
        wanted = ((offset + yaw * slope) @ turn.T)[:, :2]
        np.testing.assert_allclose((found.at(turn) @ turn.T)[:, :2], wanted, atol=0.015)
        assert np.abs(wanted).max() > 0.08
    assert found.covariance_dm2 is not None
    by_point = found.covariance_dm2.reshape(68, 2, 68, 2)
    brow = by_point[17:22, 1, 17:22, 1]
    assert brow[0, 4] == pytest.approx(0.9 * 0.04**2, rel=0.2)  # off the diagonal shrunk by a tenth
    assert abs(by_point[17, 1, 26, 1]) < 0.1 * brow[0, 4]  # the other brow has errors of its own
    assert abs(by_point[17, 0, 18, 0]) < 0.1 * brow[0, 4]


def test_measured_errors_are_symmetric() -> None:
    """A person and the mirror image together are the same evidence as the two swapped."""
    people, *_ = made_up(30)
    one, other = measure(people), measure([person.mirrored for person in people])
    np.testing.assert_allclose(one.offset_dm, other.offset_dm, atol=1e-9)
    np.testing.assert_allclose(one.offset_dm[0], (one.offset_dm[0] * FLIP)[MIRROR68], atol=1e-9)


def test_misses_are_decimetres_at_the_head() -> None:
    """A head 5 m away on the axis, found 3 px to the right and 2 px up: 500 px focal length make 10 px a decimetre."""
    landmarks = np.full((68, 2), 256.0)
    joints = np.zeros((24, 3))
    joints[15] = [0, 0, 5]
    truth = {
        "joints_cam_m": joints,
        "camera": {"fx": 500.0, "fy": 500.0},
        "landmarks68_px": landmarks,
        "head_from_3dmm": np.eye(3),
    }
    one = misses(truth, landmarks + np.array([3.0, -2.0]))
    np.testing.assert_allclose(one.landmarks_dm, np.broadcast_to([0.3, 0.2], (68, 2)))
    np.testing.assert_allclose(one.view_from_face, np.eye(3))


def test_files_round_trip_and_broken_ones_say_so(tmp_path: Path) -> None:
    people, *_ = made_up(20)
    measured = measure(people)
    path = tmp_path / "errors.npz"
    save_landmark_errors(path, LandmarkErrors(measured.offset_dm, measured.covariance_dm2, meta={"people": 20}))
    again = load_landmark_errors(path)
    np.testing.assert_allclose(again.offset_dm, measured.offset_dm, rtol=1e-6)
    np.testing.assert_allclose(again.covariance_dm2, measured.covariance_dm2, rtol=1e-6)
    assert (again.meta, len(again.sha256)) == ({"people": 20}, 64)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(AssetError, match=r"errors\.npz: missing or broken"):
        load_landmark_errors(path)


def test_another_face_keeps_the_slopes_alone() -> None:
    shipped = load_landmark_errors()
    other = shipped.for_another_face()
    assert other.covariance_dm2 is None
    assert not other.offset_dm[0].any()
    np.testing.assert_array_equal(other.offset_dm[1:], shipped.offset_dm[1:])
    assert shipped.offset_dm[0].any()
