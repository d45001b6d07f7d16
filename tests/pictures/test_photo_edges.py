"""Where a photograph ends: frames of one colour are no part of it, and only edges that the person touches cut."""

import cv2
import numpy as np
import pytest
import skimage.data

from dataprep.frames import geometry
from dataprep.pictures.photo_edges import cuts, photo_box

SIDE = 512
MARKS = np.full((68, 2), 256.0)  # chin at 310, eyes at 205: the crown is at 100
MARKS[8], MARKS[36:48] = (256, 310), (256, 205)


def framed(photo, left=0, top=0, right=0, bottom=0, colour=(255, 255, 255)):
    return cv2.copyMakeBorder(photo, top, bottom, left, right, cv2.BORDER_CONSTANT, value=colour)


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (90, 20, 30)])
def test_a_frame_of_one_colour_is_no_part_of_the_photograph(colour):
    photo = skimage.data.astronaut() // 2 + 60  # no part of it is white or black
    np.testing.assert_array_equal(photo_box(photo), [0, 0, 512, 512])
    np.testing.assert_array_equal(photo_box(framed(photo, 40, 0, 25, 60, colour)), [40, 0, 552, 512])
    _, packed = cv2.imencode(".jpg", framed(photo, 40, 30, 25, 60, colour), [cv2.IMWRITE_JPEG_QUALITY, 60])
    np.testing.assert_allclose(photo_box(cv2.imdecode(packed, 1)), [40, 30, 552, 542], atol=4)


def test_a_plain_backdrop_is_no_frame():
    studio = np.full((600, 400, 3), 250, np.uint8)
    cv2.ellipse(studio, (200, 400), (110, 250), 0, 0, 360, (90, 70, 60), -1)
    np.testing.assert_array_equal(photo_box(studio), [0, 0, 400, 600])
    coat = np.full((600, 400, 3), 250, np.uint8)
    coat[150:450, 120:280] = (60, 70, 60)  # straight sides
    np.testing.assert_array_equal(photo_box(coat), [0, 0, 400, 600])
    np.testing.assert_array_equal(photo_box(np.full((300, 200, 3), 128, np.uint8)), [0, 0, 200, 300])


def person(width=160, top=100, shoulders=300):
    """Alpha of a head of `width` px above shoulders as wide as the portrait."""
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[top:, 256 - width // 2 : 256 + width // 2] = 255
    alpha[shoulders:, 30:482] = 255
    return alpha


def cut(alpha, x0=-100, y0=-100, x1=612, y1=612, source_px=1.0):
    """`cuts` where the photograph's edges lie at these portrait px; one portrait px is `source_px` of the source."""
    return cuts(alpha, geometry.scaled(1 / source_px), source_px * np.array([x0, y0, x1, y1], float), source_px * MARKS)


@pytest.mark.parametrize("source_px", [0.4, 1.0, 6.0])
def test_each_edge_counts_what_it_cuts(source_px):
    whole = cut(person(), source_px=source_px)
    assert (whole.top_px, whole.sides_px, whole.bottom_px) == (0, 0, 0)
    assert cut(person(), y0=110, source_px=source_px).top_px == pytest.approx(160, abs=3)
    assert cut(person(), x0=60, source_px=source_px).sides_px == pytest.approx(212, abs=3)
    assert cut(person(), x1=450, source_px=source_px).sides_px == pytest.approx(212, abs=3)
    assert cut(person(), y1=470, source_px=source_px).bottom_px == pytest.approx(42, abs=1)


def test_an_edge_across_the_skull_cuts_even_where_the_mask_lost_the_hair():
    bald = person(top=150)
    assert cut(bald, y0=145).top_px == pytest.approx(125, abs=10)
    assert cut(bald, y0=110).top_px == 0


def test_an_edge_across_the_background_cuts_nothing():
    assert cut(person(top=100), y0=60).top_px == 0
    narrow = person()
    narrow[:, :150] = narrow[:, 362:] = 0
    assert cut(narrow, x0=100, x1=400).sides_px == 0


def test_a_lower_edge_below_the_portrait_cuts_nothing():
    assert cut(person(), y1=530).bottom_px == 0


def test_a_person_who_leans_is_cut_along_the_leaning_edge():
    tilted = geometry.square_from_source(np.array([256.0, 256.0]), 512, np.radians(20), 512)
    alpha = np.full((SIDE, SIDE), 255, np.uint8)
    found = cuts(alpha, tilted, np.array([-1000.0, 100.0, 2000.0, 2000.0]), MARKS)
    assert found.top_px > 400
    assert found.sides_px == found.bottom_px == 0
