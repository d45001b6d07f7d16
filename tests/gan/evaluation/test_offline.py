"""The offline networks order what a generator does wrong, on portraits of the samples."""

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dataprep.pictures.codecs import decode_rgb
from gan.evaluation.distances import frechet_distance
from gan.evaluation.feature_networks import FeatureNetwork, NetworkSpec, offline_networks
from gan.evaluation.jobs import jittered

SAMPLES = Path(__file__).parents[3] / "samples"
PEOPLE, PX = 18, 32


@pytest.fixture(scope="module")
def portraits() -> np.ndarray:
    """True squares of the first 18 samples, each in three places."""
    pictures = []
    for truth in sorted((SAMPLES / "truth" / "no_segment").glob("*.json"))[:PEOPLE]:
        crop = json.loads(truth.read_text())["crop"]
        rgb = decode_rgb((SAMPLES / "people" / "no_segment" / truth.stem).read_bytes())
        side = round(crop["side_px"])
        square = cv2.getRectSubPix(rgb, (side, side), crop["centre_px"])
        pictures.append(cv2.resize(square, (PX, PX), interpolation=cv2.INTER_AREA))
    return np.concatenate([jittered(np.stack(pictures), range(PEOPLE), number)[0] for number in range(3)])


@pytest.fixture(scope="module", params=offline_networks(), ids=lambda spec: spec.frechet_name)
def network(request) -> FeatureNetwork:
    spec: NetworkSpec = request.param
    return spec.open()


def distances(network: FeatureNetwork, portraits: np.ndarray, faulty: list[np.ndarray]) -> list[float]:
    """Of every faulty set from the portraits of the other places, as multiples of the untouched ones'."""
    real = network(portraits[PEOPLE:])
    untouched = frechet_distance(real, network(portraits[:PEOPLE]))
    return [frechet_distance(real, network(one)) / untouched for one in faulty]


@pytest.mark.parametrize("fault", ["blur", "noise", "fewer people", "less contrast"])
def test_more_of_a_fault_is_farther(network, portraits, fault):
    given = portraits[:PEOPLE]
    mean = given.mean((1, 2), keepdims=True)
    random = np.random.default_rng(0).normal(size=given.shape)
    rising = {
        "blur": lambda px: np.stack([cv2.GaussianBlur(one, (0, 0), px) for one in given]),
        "noise": lambda levels: given + levels * random,
        "fewer people": lambda part: np.resize(given[: round(PEOPLE * part)], given.shape),
        "less contrast": lambda part: mean + part * (given - mean),
    }
    amounts = {"blur": (0.5, 1, 2), "noise": (8, 16, 32), "fewer people": (0.5, 0.2, 0.06), "less contrast": (0.7, 0.5)}
    faulty = [np.clip(rising[fault](amount), 0, 255).astype(np.uint8) for amount in amounts[fault]]
    found = [1.0, *distances(network, portraits, faulty)]
    assert found == sorted(found)
    assert found[-1] > 3


def test_photographs_tell_more_than_drawings_of_blur_noise_and_compression(portraits):
    """The reason for the network of photographs: faults that are small to the eye are far for it."""
    given = portraits[:PEOPLE]
    noisy = np.clip(given + np.random.default_rng(0).normal(0, 4, given.shape), 0, 255).astype(np.uint8)
    faulty = [
        np.stack([cv2.GaussianBlur(one, (0, 0), 0.5) for one in given]),
        noisy,
        np.stack([_jpeg(x) for x in given]),
    ]
    span, srvgg = (distances(spec.open(), portraits, faulty) for spec in offline_networks())
    assert (np.array(span) > 1.5 * np.array(srvgg)).all()


def _jpeg(image: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=90)
    return np.asarray(Image.open(file))
