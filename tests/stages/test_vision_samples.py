"""Detection and matting against the ground truth of the rendered samples, and the reasons for the bad ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from dataprep.errors import Rejected
from dataprep.frames import geometry
from dataprep.models.detection.person_detector import PersonDetector
from dataprep.models.matting.soft_alpha import combine_masks, matte
from dataprep.pictures.codecs import decode_mask, decode_rgb

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module")
def detector():
    return PersonDetector()


@pytest.mark.parametrize("name", ["back_view", "face_out_of_frame", "no_person", "multiple_people"])
def test_bad_samples_are_declined_for_their_reason(detector, name):
    file = {"multiple_people": "two_people"}.get(name, name)
    with pytest.raises(Rejected) as caught:
        detector(decode_rgb((SAMPLES / f"people/bad/{file}.jpg").read_bytes()))
    assert caught.value.reason == name


@pytest.mark.parametrize("name", ["p022", "p029", "p031"])  # plain; far turned and noisy; bright lights behind
def test_landmarks_and_alpha_against_the_truth(detector, name):
    image = decode_rgb((SAMPLES / f"people/photos/{name}.jpg").read_bytes())
    truth = json.loads((SAMPLES / f"truth/photos/{name}.jpg.json").read_text())
    found = detector(image)
    landmarks = np.array(truth["landmarks68_px"])
    eyes_px = np.linalg.norm(landmarks[36] - landmarks[45])
    assert 100 * np.linalg.norm(found.landmarks68_px - landmarks, axis=1).mean() / eyes_px < 10

    crop = truth["crop"]
    matrix = geometry.square_from_source(np.array(crop["centre_px"]), crop["side_px"], crop["roll_rad"], 512)
    portrait = geometry.resample(image, matrix, 512)
    mask = combine_masks(geometry.resample(found.person_mask, matrix, 512, fill=0), detector.segment_portrait(portrait))
    _, alpha = matte(portrait, mask / 255)
    true_alpha = decode_mask((SAMPLES / f"truth/photos/{name}.jpg.alpha.png").read_bytes())
    difference = alpha.astype(float) - geometry.resample(true_alpha, matrix, 512, fill=0)
    assert np.abs(difference).mean() / 255 < 0.02
