"""Blendshapes as evidence: planted expressions come back, none read changes nothing, and the samples' faces gain."""

import json
from pathlib import Path

import numpy as np
import pytest

from dataprep.errors import AssetError
from dataprep.fits.face.blendshape_response import BlendshapeResponse, response_of, save_response
from dataprep.fits.face.face3dmm import FaceFitter
from dataprep.fits.face.face_fit import FaceFit, FaceFitConfig
from dataprep.models.detection.blendshapes import BLENDSHAPES, MIRROR52
from dataprep.models.detection.person_detector import PersonDetector
from dataprep.models.face.bfm import FaceModel, load_face
from dataprep.pictures.codecs import decode_rgb
from dataprep.stages.face import Face
from gan.data.mirror import coefficient_mirror
from pipelines.accuracy.expression import correlations
from tests.fits.test_face3dmm import random_face
from tools.calibration.measure_blendshapes import SeenFaces, measure

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return load_face()


@pytest.fixture(scope="module")
def response(face: FaceModel) -> BlendshapeResponse:
    found = response_of(face)
    assert found is not None
    return found


def test_a_reading_without_error_asks_for_the_expression_behind_it(response: BlendshapeResponse) -> None:
    expression = np.random.default_rng(0).normal(size=64)
    read = response.rest + response.per_expression @ expression
    np.testing.assert_allclose(response.information @ expression, response.score(read), atol=1e-9)
    np.testing.assert_array_equal(response.score(response.rest), 0)


def test_an_open_jaw_is_read_as_one(response: BlendshapeResponse, face: FaceModel) -> None:
    """The chin of the expression that a lowered jaw asks for lies lower."""
    read = response.rest.copy()
    read[BLENDSHAPES.index("jawOpen")] += 0.5
    expression = np.linalg.solve(response.information + np.eye(64), response.score(read))
    moved_dm = face.exp_base[face.landmarks[8]].astype(np.float64) @ expression
    assert moved_dm[1] < -0.01


def test_faces_without_a_reading_are_fitted_as_before(face: FaceModel, response: BlendshapeResponse) -> None:
    """To the last bit, alone and beside faces that have one."""
    landmarks = np.stack([random_face(face, seed)[0] for seed in range(4)])
    with_response = FaceFitter(face, FaceFitConfig(), response=response)
    shapes = response.rest + 0.3
    before = FaceFitter(face, FaceFitConfig())(landmarks)
    beside = with_response(landmarks, [None, shapes, None, shapes])
    for i, (old, new) in enumerate(zip(before, beside, strict=True)):
        assert isinstance(old, FaceFit)
        assert isinstance(new, FaceFit)
        assert np.array_equal(old.expression, new.expression) == (i % 2 == 0)
        assert (new.sigma[80:].mean() < old.sigma[80:].mean()) == (i % 2 == 1)  # evidence narrows the posterior


def test_the_samples_expressions_gain(face: FaceModel) -> None:
    """Every third sample, ten strongest / all 64, centred: 0.69 / 0.30 without blendshapes, 0.72 / 0.39 with them."""
    fitter, detector = Face().load().fitters["mesh"], PersonDetector()
    landmarks, shapes, true = [], [], []
    for path in sorted((SAMPLES / "truth").rglob("p*.jpg.json"))[::3]:
        truth = json.loads(path.read_text())
        found = detector(decode_rgb((SAMPLES / "people" / truth["image"]).read_bytes()))
        landmarks.append(found.landmarks68_px)
        shapes.append(found.blendshapes)
        true.append(truth["bfm_exp"])
    scores = []
    for given in (None, shapes):
        fits = fitter(np.stack(landmarks), given)
        scores.append(correlations(np.stack([fit.expression for fit in fits]), np.array(true)))
    without, with_them = scores
    for name in ("centred", "centred_strongest10"):
        assert with_them[name] > without[name] + 0.02, scores


def test_measuring_finds_a_planted_response(face: FaceModel, response: BlendshapeResponse) -> None:
    """Symmetric, as mirrored faces make it: what is found answers to an expression as what was planted does."""
    rng = np.random.default_rng(1)
    mirror = coefficient_mirror(face.mean, face.exp_base)
    expression = rng.normal(size=(4000, 64))
    shapes = response.rest + expression @ response.per_expression.T + rng.normal(0, 0.05, (4000, 52))
    found = measure([SeenFaces(np.zeros((4000, 68, 2)), shapes, expression)], face)
    both = np.concatenate([response.rest + e @ response.per_expression.T for e in (expression[:50], mirror(expression[:50]))])  # fmt: skip  # noqa: E501
    ours = found.rest + expression[:50] @ found.per_expression.T
    symmetric = (both[:50] + both[50:][:, MIRROR52]) / 2
    assert np.sqrt(((ours - symmetric) ** 2).mean()) < 0.02
    np.testing.assert_allclose(np.diag(found.covariance), 0.05**2 + 0.1**2, rtol=0.5)


def test_files_round_trip_and_broken_ones_say_so(face: FaceModel, response: BlendshapeResponse, tmp_path: Path) -> None:
    path = tmp_path / "shapes.npz"
    save_response(path, response)
    again = response_of(face, path)
    assert again is not None
    np.testing.assert_array_equal(again.per_expression, response.per_expression)
    assert len(again.sha256) == 64
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(AssetError, match=r"blendshape response shapes\.npz: missing or broken"):
        response_of(face, path)
    with pytest.raises(AssetError, match=r"none\.npz: missing or broken"):
        response_of(face, tmp_path / "none.npz")


def test_another_face_model_has_no_response(face: FaceModel, response: BlendshapeResponse, tmp_path: Path) -> None:
    path = tmp_path / "shapes.npz"
    save_response(path, BlendshapeResponse(response.rest, response.per_expression, response.covariance, meta={"face_sha256": "0" * 64}))  # fmt: skip  # noqa: E501
    assert response_of(face, path) is None
