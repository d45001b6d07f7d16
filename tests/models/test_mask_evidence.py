"""Masks questioned on drawn people: a blue wall, a brown head with long hair, a striped or plain shirt."""

import cv2
import numpy as np
import pytest

from dataprep.models.matting.mask_evidence import question_mask

SIZE = 512
WALL, HAIR, SKIN, RED, WHITE = (40, 70, 120), (120, 80, 40), (200, 150, 120), (180, 30, 40), (232, 233, 236)
NO_POINTS = np.zeros((SIZE, SIZE), bool)


def draw(wall=WALL, shirt=(RED, RED)):
    """(picture with noise, true mask): hair with a gap of wall between it and the neck."""
    picture = np.full((SIZE, SIZE, 3), wall, np.uint8)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for colour, centre, axes in ((HAIR, (256, 220), (130, 160)), (SKIN, (256, 230), (70, 100))):
        cv2.ellipse(picture, centre, axes, 0, 0, 360, colour, -1)
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
    for i, x in enumerate(range(60, 452, 28)):
        cv2.rectangle(picture, (x, 360), (x + 27, 511), shirt[i % 2], -1)
        cv2.rectangle(mask, (x, 360), (x + 27, 511), 1, -1)
    cv2.ellipse(picture, (350, 250), (16, 45), 0, 0, 360, wall, -1)
    cv2.ellipse(mask, (350, 250), (16, 45), 0, 0, 360, 0, -1)
    noise = np.random.default_rng(3).normal(0, 4, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8), mask.astype(np.float64)


def filled(mask):
    """The coarse mask: the gap is taken for the person."""
    coarse = mask.copy()
    cv2.ellipse(coarse, (350, 250), (24, 55), 0, 0, 360, 1, -1)
    return cv2.GaussianBlur(coarse, (0, 0), 3)


GAP = np.s_[230:270, 343:357]


def test_a_gap_is_cut_out_and_little_else_changes():
    picture, mask = draw()
    found = question_mask(picture, filled(mask), NO_POINTS)
    assert found.mask[GAP].max() < 0.1
    assert np.abs(found.mask - filled(mask))[mask > 0].mean() < 0.01
    assert found.enclosed == 0


def test_a_gap_where_the_persons_points_are_stays():
    picture, mask = draw()
    points = NO_POINTS.copy()
    points[200:300, 330:370] = True
    assert question_mask(picture, filled(mask), points).mask[GAP].min() > 0.9


def test_stripes_in_the_walls_colour_are_no_gaps():
    picture, mask = draw(wall=WHITE, shirt=(RED, WHITE))
    found = question_mask(picture, cv2.GaussianBlur(mask, (0, 0), 3), NO_POINTS)
    assert found.mask[400:500, 80:430].min() > 0.9


@pytest.mark.parametrize(("colour", "is_person"), [(SKIN, True), (WALL, False)])
def test_colours_decide_where_the_networks_differ(colour, is_person):
    picture, mask = draw()
    hand = np.s_[300:360, 400:460]
    picture[hand] = np.clip(np.array(colour) + np.random.default_rng(4).normal(0, 4, (60, 60, 3)), 0, 255)
    coarse = mask.copy()
    coarse[hand] = 0.5
    found = question_mask(picture, coarse, NO_POINTS).mask[310:350, 410:450]
    assert (found > 0.9).all() if is_person else (found < 0.1).all()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_mask_without_two_sides_is_left_alone(value):
    picture, _ = draw()
    coarse = np.full((SIZE, SIZE), value)
    np.testing.assert_array_equal(question_mask(picture, coarse, NO_POINTS).mask, coarse)


def test_the_same_every_time():
    picture, mask = draw()
    first, second = (question_mask(picture, filled(mask), NO_POINTS).mask for _ in range(2))
    np.testing.assert_array_equal(first, second)
