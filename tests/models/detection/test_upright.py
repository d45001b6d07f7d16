"""Photographs on their side or on their head are refused with the turn that helps; upright ones keep their reason."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data

from dataprep.errors import Rejected
from dataprep.models.detection.person_detector import PersonDetector
from dataprep.models.detection.upright import upright_person
from dataprep.pictures.codecs import decode_rgb

PEOPLE = Path(__file__).parents[3] / "samples/people"


@pytest.fixture(scope="module")
def detector():
    return PersonDetector()


def sample(name):
    return decode_rgb((PEOPLE / name).read_bytes())


def refused(detector, image):
    with pytest.raises(Rejected) as caught:
        upright_person(detector, np.ascontiguousarray(image))
    return caught.value


@pytest.mark.parametrize("name", ["p022", "p025"])  # found lying down, or with a face on its chin; not found lying down
@pytest.mark.parametrize(
    ("quarters", "advice"),
    [(1, "a quarter turn clockwise"), (2, "half a turn"), (3, "a quarter turn counter-clockwise")],
)
def test_a_turned_photograph_is_refused_with_the_turn_that_helps(detector, name, quarters, advice):
    rejected = refused(detector, np.rot90(sample(f"photos/{name}.jpg"), quarters))
    assert rejected.reason == "not_upright"
    assert f"turn it {advice} and run" in rejected.message


def test_a_close_up_without_hips(detector):
    close = skimage.data.astronaut()
    assert upright_person(detector, close).mesh_agreement == 1
    assert refused(detector, np.rot90(close)).reason == "not_upright"
    assert refused(detector, np.rot90(close, 2)).reason == "not_upright"


@pytest.mark.parametrize("name", ["back_view", "face_out_of_frame", "no_person"])
def test_upright_photographs_keep_the_reason_they_are_refused_for(detector, name):
    assert refused(detector, sample(f"bad/{name}.jpg")).reason == name


def test_a_covered_face_is_not_called_turned(detector):
    faceless = skimage.data.astronaut().copy()
    faceless[60:185, 165:290] = (214, 170, 150)
    assert refused(detector, faceless).reason in ("no_face", "no_person", "back_view")


def test_an_upright_face_on_a_body_upside_down_is_nobody(detector):
    """What the detectors make of some animals."""
    photo = sample("photos/p022.jpg")
    landmarks = detector(photo).landmarks68_px
    centre, half = landmarks.mean(axis=0).astype(int), int(0.75 * np.ptp(landmarks, axis=0).max())
    turned = np.rot90(photo, 2).copy()
    x, y = photo.shape[1] - centre[0], photo.shape[0] - centre[1]
    face = photo[centre[1] - half : centre[1] + half, centre[0] - half : centre[0] + half]
    turned[y - half : y + half, x - half : x + half] = face
    rejected = refused(detector, turned)
    assert rejected.reason == "no_person"
    assert "away from the face" in rejected.message
