"""The stand-in face estimator: what it reads, how well, and that gradients reach the picture."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dataprep.errors import AssetError
from dataprep.models.face.bfm import FaceModel, load_face
from dataprep.models.regressors.rnet import COEFFICIENTS, RNet
from gan.config import GeneratorConfig
from gan.face.face_estimator import (
    RNetEstimator,
    StandinFaceEstimator,
    load_standin_estimator,
    open_estimator,
    split_coefficients,
)
from gan.face.face_renders import FaceDraw, draw_face, render_face
from gan.face.face_space import DM_IN_FACE_UNIT
from gan.face.train_face_estimator import HELD_OUT_FROM, make_renders, measure, shrink, train_network


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return load_face()


@pytest.fixture(scope="module")
def estimator() -> StandinFaceEstimator:
    return load_standin_estimator()


def plain(**changes: np.ndarray) -> FaceDraw:
    zeros = FaceDraw(np.zeros(80), np.zeros(64), np.zeros(80), np.zeros(3), np.zeros(27), np.zeros(3))
    return replace(zeros, **changes)


def test_renders_are_framed_as_the_face_camera_frames(face: FaceModel) -> None:
    """The mean face, projected by hand: f = 1 / tan 6 deg, 11.77 dm from the origin, rays on the rims."""
    image = render_face(face, plain(), 64)
    covered = (image < 255).any(2)
    depth = DM_IN_FACE_UNIT * GeneratorConfig().face_radius - face.mean[:, 2]
    x = face.mean[:, 0] / np.tan(np.deg2rad(6)) / depth
    y = -face.mean[:, 1] / np.tan(np.deg2rad(6)) / depth
    for across, wanted in ((covered.any(0), x), (covered.any(1), y)):
        low, high = np.flatnonzero(across)[[0, -1]]
        assert abs(low - max(0, (wanted.min() + 1) / 2 * 63)) < 1.5
        assert abs(high - min(63, (wanted.max() + 1) / 2 * 63)) < 1.5


def test_the_mean_face_turned_left_is_its_mirror_image_turned_right(face: FaceModel) -> None:
    left, right = (render_face(face, plain(angle_rad=np.array([0, angle, 0])), 64).astype(int) for angle in (0.5, -0.5))
    assert np.abs(left[:, ::-1] - right).mean() < 0.3 * np.abs(left - right).mean()


def test_renders_are_functions_of_seed_and_index(face: FaceModel) -> None:
    for one, other in zip(make_renders(face, 3, 5, 2), make_renders(face, 3, 6, 1), strict=True):
        assert torch.equal(one[1], other[0])


def test_it_beats_the_mean_face_on_renders_it_never_saw(face: FaceModel, estimator: StandinFaceEstimator) -> None:
    held_out = make_renders(face, int(estimator.meta["seed"]), HELD_OUT_FROM, 60)
    for size in (32, 64):
        reached = measure(face, estimator.network, held_out, size)
        assert reached.landmarks_mm < 0.9 * reached.landmarks_chance_mm
        assert reached.angle_deg < 0.5 * reached.angle_chance_deg


@pytest.mark.parametrize("size", [32, 64, 128])
def test_gradients_reach_every_part_of_the_face(face: FaceModel, estimator: StandinFaceEstimator, size: int) -> None:
    random = np.random.default_rng(0)
    image = torch.from_numpy(render_face(face, draw_face(random), size)).permute(2, 0, 1)[None].float() / 127.5 - 1
    image.requires_grad_()
    said = estimator(image)
    assert [value.shape[1] for value in said] == [80, 64, 80, 3, 27, 3]
    (gradient,) = torch.autograd.grad(said.z_id_BK.square().sum() + said.z_exp_BK.square().sum(), image)
    middle = gradient[0, :, size // 4 : -size // 4, size // 4 : -size // 4]
    assert (middle != 0).float().mean() > 0.99


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


def test_the_257_numbers_keep_r_net_s_order() -> None:
    row = torch.arange(float(COEFFICIENTS))[None]
    assert [float(value[0, 0]) for value in split_coefficients(row)] == [0, 80, 144, 224, 227, 254]


def test_what_a_network_does_not_know_it_does_not_say(face: FaceModel) -> None:
    """Numbers of an untrained network, and of one that says twice too much."""
    renders = make_renders(face, 2, 0, 24)
    network = train_network(face, renders, 20, 8, 1e-3, 5)
    before = measure(face, network, renders)
    network.scale_K.mul_(2)
    shrink(network, renders)
    assert measure(face, network, renders).landmarks_mm <= before.landmarks_chance_mm * 1.01
    assert bool((network.scale_K >= 0).all())


def test_training_is_a_function_of_its_seed(face: FaceModel) -> None:
    renders = make_renders(face, 1, 0, 16)
    first, second = (train_network(face, renders, 3, 8, 1e-3, 5).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
