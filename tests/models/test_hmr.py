"""HMR: the checkpoint's keys, its forward pass, the picture it sees, and EFT on it."""

import copy
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dataprep.errors import AssetError
from dataprep.fits.body.detector_errors import load_detector
from dataprep.fits.body.eft import ExemplarTuner
from dataprep.fits.body.eft_config import EFT_COMPAT, EftConfig
from dataprep.fits.body.mediapipe_standin import ExtraNoise, observe
from dataprep.fits.body.random_people import sample_people
from dataprep.fits.body.reprojection import half_crop, loss_49, loss_49_compat, project, target_of
from dataprep.frames.rotations import sixd_from_matrix
from dataprep.models.body.body_points import BodyPoints, body_points
from dataprep.models.body.mediapipe_points import POINT_NAMES, POINTS
from dataprep.models.body.smpl import body_from_arrays
from dataprep.models.body.smpl_keypoints import with_keypoints
from dataprep.models.regressors.hmr import Hmr, ImageExemplar, image_exemplar, load_hmr
from dataprep.models.regressors.lifter import LifterInput
from dataprep.models.regressors.resnet import ResNet50
from tests.licensed_files import plain_hmr, smpl_arrays, write_hmr


@pytest.fixture(scope="module")
def network() -> Hmr:
    return plain_hmr()


@pytest.fixture(scope="module")
def points() -> BodyPoints:
    model = with_keypoints(body_from_arrays(smpl_arrays(), "SMPL_NEUTRAL", ""))
    return body_points(model, POINT_NAMES).with_offsets(load_detector().image_offset_m)


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (600, 400, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def seen(points: BodyPoints) -> LifterInput:
    """A person in a 400 x 600 photograph."""
    rng = np.random.default_rng(3)
    inputs = observe(rng, sample_people(rng, 1, points), points, load_detector(), ExtraNoise()).inputs
    return inputs._replace(
        visible=torch.ones_like(inputs.visible),
        centre_px=torch.tensor([[200.0, 120.0]]),
        scale_px=torch.tensor([280.0]),
    )


def test_the_state_has_the_published_331_entries(network: Hmr) -> None:
    state = network.state_dict()
    assert len(state) == 331
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(26.98e6, rel=1e-3)
    shapes = {
        "conv1.weight": (64, 3, 7, 7), "layer1.0.downsample.1.running_var": (256,),
        "layer3.5.conv2.weight": (256, 256, 3, 3),
        "layer4.2.bn3.num_batches_tracked": (), "fc1.weight": (1024, 2048 + 144 + 13), "fc2.bias": (1024,),
        "decpose.weight": (144, 1024), "decshape.weight": (10, 1024), "deccam.bias": (3,), "init_pose": (1, 144),
        "init_shape": (1, 10), "init_cam": (1, 3),
    }  # fmt: skip
    assert {key: tuple(state[key].shape) for key in shapes} == shapes
    assert not any("drop" in key or "avgpool" in key for key in state)


def test_the_trunk_is_resnet_50_written_out_by_key_names() -> None:
    """Stride in the 3x3 layer, the shortcut added before the last activation."""

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        keys = ("running_mean", "running_var", "weight", "bias")
        mean, var, scale, shift = (state[f"{name}.{key}"][:, None, None] for key in keys)
        return (x - mean) / (var + 1e-5).sqrt() * scale + shift

    def conv(name: str, x: torch.Tensor, stride: int = 1, padding: int = 0) -> torch.Tensor:
        return torch.nn.functional.conv2d(x, state[f"{name}.weight"], None, stride, padding)

    torch.manual_seed(0)
    network = ResNet50().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1)
    state, image = network.state_dict(), torch.randn(1, 3, 96, 64)
    x = torch.relu(norm("bn1", conv("conv1", image, 2, 3)))
    x = torch.nn.functional.max_pool2d(x, 3, 2, 1)
    for level, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            stride, name = (2 if block == 0 and level > 1 else 1), f"layer{level}.{block}"
            shortcut = norm(f"{name}.downsample.1", conv(f"{name}.downsample.0", x, stride)) if block == 0 else x
            x = torch.relu(norm(f"{name}.bn1", conv(f"{name}.conv1", x)))
            x = torch.relu(norm(f"{name}.bn2", conv(f"{name}.conv2", x, stride, 1)))
            x = torch.relu(norm(f"{name}.bn3", conv(f"{name}.conv3", x)) + shortcut)
    with torch.no_grad():
        torch.testing.assert_close(network.features(image), x, rtol=1e-3, atol=1e-4)


def test_three_additive_rounds_from_the_mean(network: Hmr) -> None:
    """With decoders that only add their bias, the answer is the mean plus three biases."""
    model = Hmr().eval()
    model.load_state_dict(network.state_dict())
    with torch.no_grad():
        for layer in (model.decpose, model.decshape, model.deccam):
            layer.weight.zero_()
            layer.bias.fill_(0.01)
        estimate = model.estimate(torch.zeros(2, 3, 224, 224))
    torch.testing.assert_close(estimate.betas, torch.full((2, 10), 0.03))
    torch.testing.assert_close(estimate.camera, network.init_cam.expand(2, 3) + 0.03)
    torch.testing.assert_close(
        estimate.rotations @ estimate.rotations.mT, torch.eye(3).expand(2, 24, 3, 3), atol=1e-5, rtol=0
    )
    assert (sixd_from_matrix(estimate.rotations)[0, 1] - torch.tensor([1.0, 0, 0, 1, 0, 0])).abs().max() < 0.05


def test_loads_spins_checkpoint_and_gives_the_same_answer(network: Hmr, tmp_path: Path) -> None:
    loaded = load_hmr(write_hmr(tmp_path / "model_checkpoint.pt"))
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        for a, b in zip(loaded.estimate(image), network.estimate(image), strict=True):
            torch.testing.assert_close(a, b)


def test_missing_unknown_and_misshapen_keys_are_reported(
    network: Hmr, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "model_checkpoint.pt"
    state = dict(network.state_dict())
    torch.save(state | {"smpl.faces": torch.zeros(3)}, path)  # a bare dict with something more
    with caplog.at_level(logging.WARNING):
        load_hmr(path)
    assert "smpl.faces" in caplog.text
    torch.save({"model": {k: v for k, v in state.items() if k not in ("fc1.weight", "init_cam")}}, path)
    with pytest.raises(AssetError, match=r"of 331 keys, 2 missing \(init_cam, fc1\.weight\)"):
        load_hmr(path)
    torch.save({"model": state | {"decpose.weight": torch.zeros(72, 1024)}}, path)
    with pytest.raises(AssetError, match=r"of another shape \(decpose\.weight\)"):
        load_hmr(path)
    torch.save({"model": state | {"fc2.bias": torch.full((1024,), torch.nan)}}, path)
    with pytest.raises(AssetError, match=r"fc2\.bias holds numbers that are not finite"):
        load_hmr(path)


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def test_hostile_truncated_and_missing_checkpoints(tmp_path: Path) -> None:
    path, mark = tmp_path / "model_checkpoint.pt", tmp_path / "ran"
    torch.save({"model": {"fc1.weight": torch.zeros(2)}, "extra": Evil(mark)}, path)
    with pytest.raises(AssetError, match=r"asks for (posix|nt)\.system, .* was not read; fetch"):
        load_hmr(path)
    assert not mark.exists()
    torch.save({"model": {"fc1.weight": torch.zeros(2000)}}, path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(AssetError, match=r"not a whole torch checkpoint.*nkolot/SPIN"):
        load_hmr(path)
    whole = write_hmr(tmp_path / "whole.pt").read_bytes()  # in torch 1.1's format, which is not a zip file
    for cut in (40, 200_000):
        path.write_bytes(whole[:cut])
        with pytest.raises(AssetError, match="not a whole torch checkpoint"):
            load_hmr(path)
    path.write_bytes(b"")
    with pytest.raises(AssetError, match="not a whole torch checkpoint"):
        load_hmr(path)
    with pytest.raises(AssetError, match="no such file"):
        load_hmr(tmp_path / "absent.pt")
    torch.save([1, 2], path)
    with pytest.raises(AssetError, match="expected a dict of tensors"):
        load_hmr(path)


def test_the_exemplar_is_in_crop_units_and_its_picture_agrees(seen: LifterInput) -> None:
    """A white spot on the left eye is where the crop units say: pixel 112 p + 112."""
    pixels = seen.centre_px[:, None] + seen.scale_px[:, None, None] * seen.points
    photograph = np.zeros((900, 700, 3), np.uint8)
    x, y = pixels[0, POINTS.index("left_eye")].round().int().tolist()
    photograph[y - 4 : y + 4, x - 4 : x + 4] = 255
    exemplar = image_exemplar(seen, photograph)
    assert float(half_crop(exemplar)) == pytest.approx(1.0, abs=1e-5)
    torch.testing.assert_close(
        exemplar.centre_px + exemplar.scale_px * exemplar.points[0], pixels[0], atol=1e-2, rtol=0
    )
    spread = exemplar.points[0].amax(0) + exemplar.points[0].amin(0)
    torch.testing.assert_close(spread, torch.zeros(2), atol=1e-4, rtol=0)
    bright = (exemplar.image[0] - exemplar.image[0].amin((1, 2), keepdim=True)).sum(0)
    rows, columns = torch.meshgrid(torch.arange(224) + 0.5, torch.arange(224) + 0.5, indexing="ij")
    spot = torch.stack(((bright * columns).sum(), (bright * rows).sum())) / bright.sum()
    expected = 112 * exemplar.points[0, POINTS.index("left_eye")] + 112
    assert (spot - expected).abs().max() < 0.5


def test_eft_tunes_all_layers_and_puts_them_back(
    network: Hmr, points: BodyPoints, seen: LifterInput, photograph: np.ndarray
) -> None:
    tuner = ExemplarTuner(network, points, EftConfig(learning_rate=1e-5, max_steps=2, stop_loss=0.0))
    assert {id(p) for p in tuner.regressor.parameters_for_eft()} == {
        id(p) for name, p in tuner.regressor.named_parameters() if "bn" not in name and "downsample.1" not in name
    }
    exemplar = image_exemplar(seen, photograph)
    fit = tuner.fit(exemplar)
    assert fit.loss_after < fit.loss_before
    assert fit.iterations == 2
    for key, value in network.state_dict().items():
        assert torch.equal(value, tuner.regressor.state_dict()[key]), key
    # The camera in source pixels carries the fitted body onto the reported joints.
    posed = points(torch.from_numpy(fit.rotations)[None], torch.from_numpy(fit.betas)[None])
    np.testing.assert_allclose(
        fit.joints_px, fit.camera_px[0] * posed.joints[0, :, :2].numpy() + fit.camera_px[1:], atol=0.01
    )


def test_compat_follows_the_published_loss(points: BodyPoints, seen: LifterInput, network: Hmr) -> None:
    """Hips and ankles do not count; the rest does, over 49 x 2."""
    assert (EFT_COMPAT.learning_rate, EFT_COMPAT.stop_loss, EFT_COMPAT.max_steps) == (5e-6, 1e-4, 20)
    moved = seen.points.clone()
    for name in ("left_hip", "right_ankle", "mouth_left", "left_heel"):
        moved[0, POINTS.index(name)] += 1.0
    assert float(loss_49_compat(moved, target_of(seen))) == 0
    assert float(loss_49(moved, target_of(seen))) > 0
    moved[0, POINTS.index("nose"), 0] += 0.3 * float(half_crop(seen))
    assert float(loss_49_compat(moved, target_of(seen))) == pytest.approx(0.3**2 / 98, rel=1e-4)
    stops = ExemplarTuner(network, points, EftConfig(compat=True, stop_loss=1e3))
    exemplar = image_exemplar(seen, np.zeros((600, 400, 3), np.uint8))
    assert isinstance(exemplar, ImageExemplar)
    assert stops.fit(exemplar).iterations == 0
    with torch.no_grad():
        estimate = stops.regressor(exemplar)
        total, published = stops._loss(estimate, target_of(exemplar), points)
        assert float(published) == pytest.approx(float(loss_49_compat(project(estimate, points), target_of(exemplar))))
    assert float(total) > 60 * 5 * float(published)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_same_fit(network: Hmr, points: BodyPoints, seen: LifterInput, photograph: np.ndarray) -> None:
    exemplar, config = image_exemplar(seen, photograph), EftConfig(learning_rate=1e-5, max_steps=1, stop_loss=0.0)
    fits = [
        ExemplarTuner(copy.deepcopy(network).to(device), points, config).fit(exemplar) for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(fits[1].camera_px, fits[0].camera_px, rtol=1e-2)
    np.testing.assert_allclose(fits[1].rotations, fits[0].rotations, atol=2e-2)
