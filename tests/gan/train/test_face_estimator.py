"""The stand-in face estimator: what it reads of people it never saw, and that gradients reach the picture."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dataprep.errors import AssetError
from dataprep.models.face.bfm import FaceModel, load_face
from dataprep.models.regressors.rnet import COEFFICIENTS, RNet
from gan.data.stream import to_unit_range
from gan.face.face_accuracy import measure
from gan.face.face_estimator import (
    RNetEstimator,
    StandinFaceEstimator,
    load_standin_estimator,
    open_estimator,
    split_coefficients,
)
from gan.face.face_pictures import FacePictures
from gan.face.face_space import FaceSpace
from gan.face.standin_network import centre_of_mass, resized
from tests.gan.train.held_out_faces import held_out_faces


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return load_face()


@pytest.fixture(scope="module")
def estimator() -> StandinFaceEstimator:
    return load_standin_estimator()


@pytest.fixture(scope="module")
def faces() -> FacePictures:
    return held_out_faces()


@pytest.mark.parametrize("size", [32, 64])
def test_it_reads_people_it_never_saw(
    estimator: StandinFaceEstimator, space: FaceSpace, faces: FacePictures, size: int
) -> None:
    reached = measure(estimator.network, space, faces, size)
    assert reached.expression_mm < 0.8 * reached.expression_zero_mm
    assert reached.expression_correlation > 0.55
    assert reached.identity_mm < 0.65 * reached.identity_zero_mm
    assert reached.identity_correlation > 0.8
    assert reached.camera_deg < 0.25 * reached.camera_mean_deg


def test_saying_nothing_is_measured_as_zero(
    estimator: StandinFaceEstimator, space: FaceSpace, faces: FacePictures
) -> None:
    silent = load_standin_estimator().network
    silent.mean_K.zero_()
    silent.scale_K.zero_()
    reached = measure(silent, space, faces)
    assert reached.expression_mm == pytest.approx(reached.expression_zero_mm)
    assert reached.identity_mm == pytest.approx(reached.identity_zero_mm)
    assert reached.expression_correlation == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_gradients_reach_every_part_of_the_face(
    estimator: StandinFaceEstimator, faces: FacePictures, size: int
) -> None:
    image = resized(to_unit_range(faces.image_N3HW[:1]), size).requires_grad_()
    said = estimator(image)
    assert [value.shape[1] for value in said] == [80, 64]
    (gradient,) = torch.autograd.grad(said.z_id_BK.square().sum() + said.z_exp_BK.square().sum(), image)
    middle = gradient[0, :, size // 4 : -size // 4, size // 4 : -size // 4]
    assert (middle != 0).float().mean() > 0.99


def test_the_middle_of_a_heat_map_is_weighed() -> None:
    """All mass in one cell of 4 x 8, then shared equally by two cells."""
    heat = torch.full((1, 2, 4, 8), -1e4)
    heat[0, 0, 3, 0] = heat[0, 1, 0, 2] = heat[0, 1, 2, 4] = 0.0
    expected = torch.tensor([[[-7 / 8, 3 / 4], [-1 / 8, -1 / 4]]])
    torch.testing.assert_close(centre_of_mass(heat), expected)


def test_r_net_sees_the_middle_of_the_picture(face: FaceModel) -> None:
    """102 px a decimetre in a square of 224 are 0.2196 of the face camera's 0.2475 m: 3.6 of 64 pixels lie outside."""
    torch.manual_seed(0)
    image = (torch.rand(1, 3, 64, 64) * 2 - 1).requires_grad_()
    said = RNetEstimator(RNet().eval(), "", face.sha256)(image)
    (gradient,) = torch.autograd.grad(said.z_id_BK.sum() + said.z_exp_BK.sum(), image)
    seen = (gradient[0] != 0).any(0)
    assert not seen[:3].any()
    assert not seen[:, :3].any()
    assert not seen[-3:].any()
    assert seen[4:-4, 4:-4].float().mean() > 0.95


def test_an_estimator_speaks_of_one_face_model(face: FaceModel, tmp_path: Path) -> None:
    found = open_estimator(face)
    assert found is not None
    assert found.name == "stand-in face estimator"
    assert found.face_sha256 == face.sha256
    assert open_estimator(replace(face, sha256="0" * 64)) is None
    (tmp_path / "bad.npz").write_bytes(b"PK")
    with pytest.raises(AssetError, match="train_face_estimator"):
        load_standin_estimator(tmp_path / "bad.npz")


def test_codes_come_first_of_r_net_s_257_numbers() -> None:
    said = split_coefficients(torch.arange(float(COEFFICIENTS))[None])
    assert [value[0, [0, -1]].tolist() for value in said] == [[0, 79], [80, 143]]
