"""Drawing: pictures stay what they were elsewhere, and marks lie where the conventions say."""

import numpy as np
import pytest

from dataprep.frames import geometry
from dataprep.pictures import overlays

GREY = np.full((120, 160, 3), 128, np.uint8)


def changed(before, after):
    return (before != after).any(axis=2)


def keypoints(visibility):
    grid = np.stack(np.meshgrid(np.linspace(30, 130, 11), np.linspace(30, 90, 3)), -1).reshape(33, 2)
    return np.column_stack([grid, np.full(33, visibility)])


def rotation(axis, angle):
    i, j = (axis + 1) % 3, (axis + 2) % 3
    r = np.eye(3)
    r[i, i] = r[j, j] = np.cos(angle)
    r[j, i], r[i, j] = np.sin(angle), -np.sin(angle)
    return r


DRAWINGS = {
    "keypoints": lambda rgb: overlays.draw_keypoints(rgb, keypoints(1.0)),
    "landmarks": lambda rgb: overlays.draw_landmarks(rgb, keypoints(1.0)[np.arange(68) % 33, :2]),
    "skeleton": lambda rgb: overlays.draw_skeleton(rgb, keypoints(1.0)[:24, :2]),
    "square": lambda rgb: overlays.draw_square(rgb, overlays.square_corners(np.array([80.0, 60.0]), 60, 0.2)),
    "axes": lambda rgb: overlays.draw_axes(rgb, np.array([80.0, 60.0]), np.diag([1.0, -1, -1]), 30),
}


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_draws_a_new_picture_and_leaves_the_border_alone(draw):
    before = GREY.copy()
    after = draw(before)
    assert after.shape == GREY.shape
    assert after.dtype == np.uint8
    np.testing.assert_array_equal(before, GREY)
    marks = changed(before, after)
    assert marks.any()
    assert not marks[:15].any()
    assert not marks[-15:].any()
    np.testing.assert_array_equal(draw(before), after)


@pytest.mark.parametrize("point", [(80.0, 60.0), (80.5, 60.5), (41.25, 77.75)])
def test_a_mark_lies_at_its_continuous_pixel(point):
    """The pixel with index i has its centre at i + 0.5."""
    marks = changed(GREY, overlays.draw_landmarks(GREY, np.tile(point, (68, 1)), width_px=6.0))
    y, x = np.nonzero(marks)
    np.testing.assert_allclose([x.mean() + 0.5, y.mean() + 0.5], point, atol=0.3)


def test_unseen_keypoints_are_not_drawn():
    np.testing.assert_array_equal(overlays.draw_keypoints(GREY, keypoints(0.49)), GREY)
    one = keypoints(0.0)
    one[0, 2] = 1
    marks = changed(GREY, overlays.draw_keypoints(GREY, one))
    assert marks[:45, :45].any()
    assert not marks[:, 50:].any()


@pytest.mark.parametrize("roll", [-0.4, 0.0, 0.3])
def test_the_square_is_what_the_crop_cuts(roll):
    corners = overlays.square_corners(np.array([300.0, 200.0]), 250.0, roll)
    matrix = geometry.square_from_source(np.array([300.0, 200.0]), 250.0, roll, 512)
    expected = [[0, 0], [512, 0], [512, 512], [0, 512]]
    np.testing.assert_allclose(geometry.transform(matrix, corners), expected, atol=1e-9)


def colour_at(rgb, x, y):
    return tuple(int(value) for value in rgb[int(y), int(x)])


def test_axes_of_an_upright_person_who_turns_to_image_right():
    cam_from_subject = np.diag([1.0, -1, -1]) @ rotation(1, np.radians(25))
    out = overlays.draw_axes(GREY, np.array([80.5, 60.5]), cam_from_subject, 40, width_px=2)
    red, green, blue = overlays.AXES
    assert colour_at(out, 80.5, 20.5) == green  # up
    assert colour_at(out, 80.5 + 40 * np.cos(np.radians(25)), 60.5) == red  # the subject's left stays on the right
    assert colour_at(out, 80.5 + 40 * np.sin(np.radians(25)), 60.5) == blue  # the nose points right, nearer than red


def test_points_far_outside_are_harmless():
    far = np.tile([[1e9, -1e9]], (24, 1))
    far[0] = [80, 60]
    assert overlays.draw_skeleton(GREY, far).shape == GREY.shape


def test_every_landmark_is_on_a_line():
    named = sorted(index for path in overlays.landmark_paths() for index in set(path))
    assert named == list(range(68))
    lefts = [index for index in range(33) if overlays.keypoint_colour(index) == overlays.LEFT]
    assert {11, 13, 15, 23, 25, 27} <= set(lefts)
    assert not {12, 14, 16, 24, 26, 28, 0} & set(lefts)
