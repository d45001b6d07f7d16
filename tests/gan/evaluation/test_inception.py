"""FID's network with made-up weights of the published file's schema, against torch-fidelity's."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dataprep.errors import AssetError
from dataprep.files.file_hashes import remembered_sha256
from gan.evaluation.feature_networks import find_networks, inception_network
from gan.evaluation.inception import Inception, load_inception
from gan.evaluation.resize import resized

# torch-fidelity 0.4.0's FeatureExtractorInceptionV3 on `picture` with `made_up_state`: every 256th of 2048 features.
PUBLISHED = [
    [2.324108, 0.810014, 0.000000, 0.425711, 0.289747, 1.326350, 1.215780, 1.882191],
    [2.411451, 0.796483, 0.000000, 0.426390, 0.280975, 1.454192, 1.154589, 1.983207],
]
ENTRIES = 566
OFFLINE = ["frechet_span", "frechet_srvgg"]


def made_up_state() -> dict[str, torch.Tensor]:
    """Weights by the names and order of the published file, without its counters."""
    random, state = np.random.default_rng(5), {}
    for name, value in Inception().state_dict().items():
        shape = tuple(value.shape)
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith("running_var"):
            numbers = random.uniform(0.5, 1.5, shape)
        elif name.endswith(("conv.weight", "fc.weight")):
            numbers = random.standard_normal(shape) * (2 / np.prod(shape[1:])) ** 0.5
        elif name.endswith("bn.weight"):
            numbers = random.uniform(0.8, 1.2, shape)
        else:
            numbers = random.standard_normal(shape) * 0.1
        state[name] = torch.from_numpy(numbers.astype(np.float32))
    return state


def picture() -> np.ndarray:
    channels_first = np.random.default_rng(6).integers(0, 256, (2, 3, 64, 64), dtype=np.uint8)
    return np.moveaxis(channels_first, 1, 3)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "pt_inception-2015-12-05-6726825d.pth"
    torch.save(made_up_state(), path)
    return path


def test_the_schema_is_the_published_files():
    own = Inception().state_dict()
    assert len(own) == ENTRIES
    assert own["Mixed_5b.branch5x5_2.conv.weight"].shape == (64, 48, 5, 5)
    assert own["Mixed_6c.branch7x7dbl_4.conv.weight"].shape == (160, 160, 7, 1)
    assert own["Mixed_7c.branch3x3dbl_3b.bn.running_var"].shape == (384,)
    assert own["fc.weight"].shape == (1008, 2048)


def test_features_are_torch_fidelitys(weights: Path):
    network = inception_network(weights).open()
    features = network(picture())
    assert features.shape == (2, 2048)
    np.testing.assert_allclose(features[:, ::256], PUBLISHED, atol=2e-5)


def test_the_resize_filter_and_the_hash_go_with_the_number(weights: Path, monkeypatch, tmp_path: Path):
    tf1, bilinear = inception_network(weights, "tf1"), inception_network(weights, "bilinear")
    assert tf1.weights_sha256 == remembered_sha256(weights)
    assert tf1.resize != bilinear.resize
    assert not np.allclose(tf1.open()(picture()), bilinear.open()(picture()), atol=1e-3)
    monkeypatch.setenv("SHHQ_HS_ASSETS", str(tmp_path))
    assert [one.frechet_name for one in find_networks(None, "tf1")] == OFFLINE  # never called FID
    monkeypatch.setenv("SHHQ_HS_ASSETS", str(weights.parent))
    assert [one.frechet_name for one in find_networks(None, "tf1")] == [*OFFLINE, "FID"]


def test_resizing_by_hand():
    """Two pixels, 0 and 1, made four: TensorFlow 1 asks at 0, 0.5, 1, 1.5; half-pixel centres at -0.25, 0.25, ..."""
    row = torch.tensor([0.0, 1.0]).expand(1, 3, 2, 2)
    assert resized(row, 4, "tf1")[0, 0, 0].tolist() == [0.0, 0.5, 1.0, 1.0]
    assert resized(row, 4, "bilinear")[0, 0, 0].tolist() == [0.0, 0.25, 0.75, 1.0]


def test_clean_resizing_is_pillows_bicubic_in_float(weights: Path):
    """Of pictures made smaller and larger: neither rounded to whole levels nor cut off at 0 and 255."""
    for shape in ((2, 3, 512, 512), (1, 3, 90, 64)):
        image = np.random.default_rng(7).integers(0, 256, shape).astype(np.float32)
        by_hand = np.stack([[Image.fromarray(c, "F").resize((299, 299), Image.BICUBIC) for c in one] for one in image])
        ours = resized(torch.from_numpy(image), 299, "clean").numpy()
        np.testing.assert_array_equal(ours, by_hand)
        assert ours.max() > 255.5 or shape[2] > 299
    clean, tf1 = inception_network(weights, "clean"), inception_network(weights, "tf1")
    assert "clean-fid" in clean.resize
    by_hand = resized(torch.from_numpy(picture()).permute(0, 3, 1, 2).float(), 299, "clean")
    with torch.inference_mode():
        expected = load_inception(weights)((by_hand - 128) / 128).numpy()
    np.testing.assert_allclose(clean.open()(picture()), expected, atol=1e-5)
    assert not np.allclose(clean.open()(picture()), tf1.open()(picture()), atol=1e-3)


def test_other_files_are_refused(weights: Path, tmp_path: Path, caplog):
    state = made_up_state()
    del state["Mixed_6a.branch3x3.conv.weight"]
    torch.save(state, tmp_path / "less.pth")
    with caplog.at_level(logging.WARNING), pytest.raises(AssetError, match=r"missing \(Mixed_6a.branch3x3.conv.weight"):
        inception_network(tmp_path / "less.pth").open()
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(AssetError, match=r"text.pth: not a whole torch checkpoint"):
        inception_network(tmp_path / "text.pth").open()
