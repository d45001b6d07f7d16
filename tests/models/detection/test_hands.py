"""A hand before mouth, nose or eyes is seen, one beside them is not, and nobody pays for hands that are far away."""

from pathlib import Path

import numpy as np
import pytest

from dataprep.models.detection.hands import covered_feature
from dataprep.models.detection.person_detector import PersonDetector
from dataprep.pictures.codecs import decode_rgb
from dataprep.stages.quality import Quality

PEOPLE = Path(__file__).parents[3] / "samples" / "people"
MOST = 1 - Quality.min_hand  # that hands may cover
SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


@pytest.fixture(scope="module")
def detector():
    return PersonDetector()


def picture(name):
    return decode_rgb((PEOPLE / name).read_bytes())


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_hand_before_the_mouth_covers_most_of_it(detector, mirrored):
    rgb = picture("bad/hand_over_mouth.jpg")
    found = detector(np.ascontiguousarray(rgb[:, ::-1]) if mirrored else rgb)
    assert found.hand_over_face > MOST + 0.15


@pytest.mark.parametrize(
    ("name", "at_most"),
    [("no_segment/p039.jpg", 0.0), ("no_segment/p040.jpg", MOST - 0.15), ("bad/cup_over_mouth.jpg", 0.1)],
    ids=["hand to hair", "hand to chin", "hand that holds a cup"],
)
def test_a_hand_beside_the_mouth_leaves_it_free(detector, name, at_most):
    assert detector(picture(name)).hand_over_face <= at_most


def test_hands_far_from_the_face_are_not_looked_for():
    detector = PersonDetector()
    assert detector(picture("photos/p024.jpg")).hand_over_face == 0
    assert "_hands" not in vars(detector._graphs)


def face():
    """Square features of 20 px in a picture of 100 px: the eyes above, then the nose, the mouth below."""
    landmarks = np.full((68, 2), 50.0)
    for start, stop, centre in ((36, 42, (30, 20)), (42, 48, (70, 20)), (27, 36, (50, 50)), (48, 60, (50, 80))):
        landmarks[start:stop] = np.resize(SQUARE, (stop - start, 2)) * 10 + centre
    return landmarks


def hand(x0, y0, x1, y1):
    """A rectangle of palm and fingers, with a thumb that reaches to the picture's corner."""
    low, high = np.array([x0, y0]), np.array([x1, y1])
    points = (low + high) / 2 + np.resize(SQUARE, (21, 2)) * (high - low) / 2
    points[2:5] = 0
    return points


@pytest.mark.parametrize(
    ("hands", "covered"),
    [
        ([hand(40, 60, 60, 100)], 1.0),  # the mouth
        ([hand(40, 80, 60, 100)], 0.5),  # its lower half
        ([hand(60, 10, 80, 30)], 1.0),  # one eye
        ([hand(40, 40, 50, 60), hand(50, 40, 60, 60)], 1.0),  # half of the nose each
        ([], 0.0),
        ([hand(0, 60, 38, 100)], 0.0),  # a cheek: the thumb before an eye does not count
    ],
)
def test_the_feature_that_is_covered_most_counts(hands, covered):
    assert covered_feature(hands, face(), 100) == pytest.approx(covered, abs=0.05)
