"""Crop geometry: round trips, a hand-worked case, and the framing constants of docs/cameras.md."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep.frames import geometry
from dataprep.stages.crop import portrait_square

finite = st.floats(-500, 500)


def test_framing_constants_are_those_of_the_generators_cameras():
    assert pytest.approx(0.469, abs=5e-4) == geometry.PORTRAIT_SIDE_M
    assert pytest.approx(0.129, abs=5e-4) == geometry.LOOKAT_ABOVE_NECK_M
    assert pytest.approx(0.2475, abs=5e-5) == geometry.FACE_SIDE_M


def test_crop_of_an_unrotated_square_by_hand():
    matrix = geometry.square_from_source(np.array([100.0, 60.0]), side_px=40.0, roll_rad=0.0, size_px=80)
    corners = np.array([[80.0, 40.0], [120.0, 80.0], [100.0, 60.0]])
    np.testing.assert_allclose(geometry.transform(matrix, corners), [[0, 0], [80, 80], [40, 40]], atol=1e-12)


def test_an_axis_that_leans_right_points_up_in_the_crop():
    roll = math.radians(20)
    lean = np.array([math.sin(roll), -math.cos(roll)])  # image up, leaning to the right
    matrix = geometry.square_from_source(np.zeros(2), 1.0, roll, 1)
    np.testing.assert_allclose(matrix[:, :2] @ lean, [0, -1], atol=1e-12)


@given(finite, finite, st.floats(10, 900), st.floats(-math.pi, math.pi), st.integers(8, 1024), finite, finite)
def test_crop_and_uncrop_are_inverse(cx, cy, side, roll, size, x, y):
    matrix = geometry.square_from_source(np.array([cx, cy]), side, roll, size)
    there = geometry.transform(matrix, np.array([[x, y]]))
    np.testing.assert_allclose(geometry.transform(geometry.invert(matrix), there), [[x, y]], atol=1e-6)
    np.testing.assert_allclose(geometry.compose(geometry.invert(matrix), matrix), [[1, 0, 0], [0, 1, 0]], atol=1e-6)
    assert geometry.scale_of(matrix) == pytest.approx(size / side)


def test_resampling_the_identity_returns_the_image():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    identity = np.array([[1.0, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(geometry.resample(image, identity, 32), image)


@pytest.mark.parametrize("factor", [0.5, 0.2])
def test_shrinking_is_antialiased_and_keeps_its_place(factor):
    checks = np.indices((200, 200)).sum(axis=0) % 2 * 255
    image = np.repeat(checks[..., None], 3, axis=2).astype(np.uint8)
    shrunk = geometry.resample(image, geometry.scaled(factor), round(200 * factor))
    assert abs(shrunk[2:-2, 2:-2].astype(float) - 127.5).max() < 30  # no moire of pure black and white
    dot = np.zeros((200, 200, 3), np.uint8)
    dot[120:140, 40:60] = 255
    shrunk = geometry.resample(dot, geometry.scaled(factor), round(200 * factor), fill=0)[..., 0].astype(float)
    rows, columns = np.indices(shrunk.shape) + 0.5
    centre = np.array([(columns * shrunk).sum(), (rows * shrunk).sum()]) / shrunk.sum()
    np.testing.assert_allclose(centre, np.array([50.0, 130.0]) * factor, atol=0.15)


def test_inside_fraction_counts_what_lies_outside():
    matrix = geometry.square_from_source(np.array([0.0, 50.0]), 100.0, 0.0, 100)
    assert geometry.inside_fraction(100, 100, matrix, 100) == pytest.approx(0.5, abs=0.01)


def test_portrait_square_of_a_frontal_upright_person():
    facing = np.diag([1.0, -1.0, -1.0])  # SMPL axes in camera axes: the person faces the camera
    square = portrait_square(np.array([0.1, -0.2, 0.0]), facing, np.array([500.0, 256.0, 400.0]))
    np.testing.assert_allclose(square.centre_px, [256 + 50, 400 - 100 - 500 * geometry.LOOKAT_ABOVE_NECK_M])
    assert square.side_px == pytest.approx(500 * geometry.PORTRAIT_SIDE_M)
    assert square.roll_rad == pytest.approx(0.0)


def test_portrait_square_takes_out_the_roll_of_the_chest():
    roll = math.radians(10)
    turn = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    square = portrait_square(np.zeros(3), turn @ np.diag([1.0, -1.0, -1.0]), np.array([500.0, 0, 0]))
    assert square.roll_rad == pytest.approx(roll)  # x right, y down: a positive turn is clockwise
    assert square.centre_px[0] > 0
