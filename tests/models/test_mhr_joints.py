"""A user's network of InstantHMR's signature: what it is given, what is read of it, and what it changes in a fit."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dataprep.errors import AssetError
from dataprep.fits.body.image_joints import with_joints
from dataprep.models.body.mediapipe_points import MEDIAPIPE_INDEX
from dataprep.models.regressors.mhr_joints import NECK, MhrJoints, PersonJoints
from tests.onnx_files import joints_from_world, write_joints, write_network

JOINTS = np.random.default_rng(0).normal(0, 0.4, (70, 3))
STRAIGHT = np.array([0.0, 0.0, 5.0]) - JOINTS[NECK]  # the neck on the optical axis
PHOTOGRAPH = np.zeros((400, 800, 3), np.uint8)
BOX = np.array([500.0, 100.0, 600.0, 300.0])


def test_joints_come_in_metres_with_the_neck_in_the_camera(tmp_path: Path) -> None:
    found = MhrJoints(write_joints(tmp_path / "net.onnx", JOINTS, STRAIGHT), "cpu")(PHOTOGRAPH, BOX)
    np.testing.assert_allclose(found.joints_m, JOINTS, atol=1e-6)
    np.testing.assert_allclose(found.neck_cam_m, [0, 0, 5], atol=1e-6)


@pytest.mark.parametrize(
    ("angles", "expected"),
    [
        (False, [2 * 550 / 800 - 1, 2 * 200 / 400 - 1, 200 / 800]),
        (True, [np.arctan(150 / (1.05 * np.hypot(800, 400))), 0, 200 / (1.05 * np.hypot(800, 400))]),
    ],
)
def test_the_network_is_told_where_the_person_is(tmp_path: Path, angles: bool, expected: list[float]) -> None:
    path = write_joints(tmp_path / "net.onnx", np.zeros((70, 3)), STRAIGHT, from_condition=np.eye(3), angles=angles)
    found = MhrJoints(path, "cpu")(PHOTOGRAPH, BOX)
    np.testing.assert_allclose(found.joints_m[:3, 0], expected, atol=1e-6)


@pytest.mark.parametrize("side", [224, 288, "side"])
def test_it_sees_the_square_around_the_person(tmp_path: Path, side: int | str) -> None:
    """240 px about (550, 200), which reaches 40 px beyond the photograph: there it is black."""
    photograph = np.zeros((400, 600, 3), np.uint8)
    photograph[80:320, 430:600] = (255, 0, 0)
    path = write_joints(tmp_path / "net.onnx", np.zeros((70, 3)), STRAIGHT, from_colour=np.eye(3), side=side)
    mean = np.array([0.485, 0.456, 0.406])
    seen = MhrJoints(path, "cpu")(photograph, BOX).joints_m[:3, 0] * [0.229, 0.224, 0.225] + mean
    np.testing.assert_allclose(seen, [170 / 240, 0, 0], atol=0.005)


def test_files_that_do_not_fit_say_what_they_have_and_what_is_expected(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    write_network(path)
    with pytest.raises(
        AssetError, match=r"body\.regressor=.*its inputs are input_image .*expected floats image \(batch"
    ):
        MhrJoints(path, "cpu")
    write_joints(path, JOINTS, STRAIGHT, without=("joints_3d",))
    with pytest.raises(AssetError, match=r"its outputs are mhr_params .*joints_3d \(batch x 70 x 3\); a file without"):
        MhrJoints(path, "cpu")
    write_joints(path, JOINTS[:24], STRAIGHT)
    with pytest.raises(AssetError, match=r"joints_3d \(tensor\(float\), .* x 24 x 3\), expected floats"):
        MhrJoints(path, "cpu")
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(AssetError, match=r"body\.regressor=.*not an ONNX file that onnxruntime reads"):
        MhrJoints(path, "cpu")


def test_numbers_that_are_not_finite_are_no_joints(tmp_path: Path) -> None:
    network = MhrJoints(write_joints(tmp_path / "net.onnx", np.full((70, 3), np.nan), STRAIGHT), "cpu")
    with pytest.raises(AssetError, match="numbers that are not finite"):
        network(PHOTOGRAPH, BOX)


def test_joints_take_the_places_of_world_landmarks() -> None:
    world = np.random.default_rng(1).normal(0, 0.4, (33, 3))
    same = with_joints(world, PersonJoints(joints_from_world(world), np.array([0.0, 0.0, 5.0])))
    np.testing.assert_allclose(same, world, atol=1e-9)  # mouth corners, too, which the network has not
    turn = Rotation.from_euler("xyz", [10, 30, 5], degrees=True).as_matrix()
    turned = with_joints(world, PersonJoints(joints_from_world(world @ turn.T), np.array([0.0, 0.0, 5.0])))
    used = list(MEDIAPIPE_INDEX.values())
    np.testing.assert_allclose(turned[used], (world @ turn.T)[used], atol=1e-9)


def test_joints_are_turned_to_the_ray() -> None:
    """A person at the photograph's side who faces the camera is seen from the front by whoever looks at them."""
    world = np.random.default_rng(1).normal(0, 0.4, (33, 3))
    neck = np.array([3.0, 0.0, 4.0])
    towards = Rotation.from_euler("y", np.arctan2(neck[0], neck[2])).as_matrix()  # turns z to the ray
    found = with_joints(world, PersonJoints(joints_from_world(world @ towards.T), neck))
    used = list(MEDIAPIPE_INDEX.values())
    np.testing.assert_allclose(found[used], world[used], atol=1e-9)
