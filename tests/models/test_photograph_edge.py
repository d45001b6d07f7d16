"""Squares that reach beyond the photograph."""

import numpy as np
import pytest

from dataprep.frames import geometry
from dataprep.models.matting.edge_continuation import continue_outside, photograph_cover


def test_the_photograph_ends_half_a_pixel_before_its_edge():
    matrix = geometry.square_from_source(np.array([0.0, 10.0]), 20.0, 0.0, 40)  # source x -10 .. 10, y 0 .. 20
    cover = photograph_cover(100, 15, matrix, 40)
    np.testing.assert_array_equal(cover[10], np.clip(np.arange(40) - 20.5, 0, 1))
    np.testing.assert_array_equal(cover[:, 30], np.clip(np.minimum(np.arange(40) - 0.5, 28.5 - np.arange(40)), 0, 1))
    assert (
        photograph_cover(100, 100, geometry.square_from_source(np.array([50.0, 50.0]), 20.0, 1.0, 40), 40) == 1
    ).all()


@pytest.mark.parametrize("roll_rad", [0.3, -1.0, 3.0])
def test_covered_pixels_hold_no_white_of_the_outside(roll_rad):
    matrix = geometry.square_from_source(np.array([5.0, 20.0]), 60.0, roll_rad, 200)
    black = np.zeros((50, 40), np.uint8)
    cover = photograph_cover(40, 50, matrix, 200)
    assert 0.1 < cover.mean() < 0.6
    assert geometry.resample(black, matrix, 200)[cover == 1].max() < 30
    assert (cover[geometry.resample(black, matrix, 200) > 100] == 0).all()


def test_the_picture_goes_on_as_its_nearest_pixel():
    picture = np.arange(48, dtype=np.uint8).reshape(6, 8)
    inside = np.zeros((6, 8), bool)
    inside[1:4, 2:7] = True
    continued = continue_outside(picture, inside)
    np.testing.assert_array_equal(continued[inside], picture[inside])
    np.testing.assert_array_equal(continued[2], picture[2, [2, 2, 2, 3, 4, 5, 6, 6]])
    np.testing.assert_array_equal(continued[:, 4], picture[[1, 1, 2, 3, 3, 3], 4])
    assert continue_outside(np.dstack([picture] * 3), inside).shape == (6, 8, 3)


@pytest.mark.parametrize("value", [True, False])
def test_all_or_nothing_inside_is_left_alone(value):
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(continue_outside(picture, np.full((3, 4), value)), picture)
