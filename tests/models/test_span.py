"""SPAN: the shipped weights, equal to another program's reading of them, and better on portraits than animevideov3."""

import io
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from skimage.metrics import structural_similarity

from dataprep.errors import AssetError, ConfigError
from dataprep.models.superres import superres_files
from dataprep.models.superres.enlarging import Upscaler, load_network
from dataprep.models.superres.span import span_from_state, without_ringing
from dataprep.models.superres.superres_files import model_file, shipped_arrays
from dataprep.pictures.codecs import decode_rgb
from dataprep.stages.superres import SuperRes

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module")
def face():
    """The astronaut's face, 48 x 40 px."""
    return cv2.resize(skimage.data.astronaut()[20:212, 150:310], (40, 48), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def span():
    return Upscaler("span", precision="float32", device="cpu")


def test_gives_what_ncnn_gives_for_the_source_files(face):
    """Numbers of ncnn 1.0.20261020 (float32, CPU) with `spanx4_ch48.param` and `.bin`: corners, then inside."""
    image = torch.from_numpy(face).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        big = load_network("span")(image)[0].permute(1, 2, 0).numpy()
    assert big.shape == (192, 160, 3)
    rows, columns = (0, 0, 191, 191, 95, 60, 140), (0, 159, 0, 159, 80, 70, 33)
    theirs = [
        (0.76530, 0.72255, 0.70808), (0.80196, 0.76183, 0.73798), (0.65276, 0.63239, 0.61753),
        (0.89404, 0.84770, 0.83688), (0.70057, 0.57076, 0.44804), (0.66379, 0.51340, 0.36050),
        (0.03341, 0.01572, 0.01226),
    ]  # fmt: skip
    np.testing.assert_allclose(big[rows, columns], theirs, atol=2e-5)


def portraits():
    """The first 20 photographs of the samples whose portrait lies inside: its true square, a multiple of 4 px."""
    for truth in sorted((SAMPLES / "truth").glob("*/p*.json"))[:24]:
        crop = json.loads(truth.read_text())["crop"]
        photo = SAMPLES / "people" / truth.parent.name / truth.stem
        rgb = decode_rgb(photo.read_bytes())
        (x, y), side = crop["centre_px"], int(crop["side_px"]) // 4 * 4
        top, left = int(y - side / 2), int(x - side / 2)
        portrait = rgb[max(top, 0) :, max(left, 0) :][:side, :side]
        if min(top, left) >= 0 and portrait.shape == (side, side, 3):
            yield portrait


def photographed(portrait):
    """The portrait at a quarter of its size, bicubic, after JPEG of quality 90."""
    small = Image.fromarray(portrait).resize((portrait.shape[1] // 4,) * 2, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=90)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_every_portrait_is_nearer_to_its_original_than_by_animevideov3(precision):
    drawn = Upscaler("animevideov3", precision=precision, device="cpu")
    span = Upscaler("span", precision=precision, device="cpu")
    gains = []
    for portrait in list(portraits())[:20]:
        small = photographed(portrait)
        worse, better = (_likeness(portrait, network(small)) for network in (drawn, span))
        gains.append(better - worse)
    assert len(gains) == 20
    assert np.min(gains) > 0  # PSNR and SSIM, each portrait
    assert np.mean(gains, axis=0)[0] > 1.4  # dB


def _likeness(original, picture):
    psnr = -10 * np.log10(np.mean((original / 255 - picture / 255) ** 2))
    return np.array((psnr, structural_similarity(original, picture, channel_axis=2)))


def test_the_filter_takes_ringing_and_leaves_edges():
    step = np.full((32, 32, 3), 40, np.uint8)
    step[:, 16:] = 200
    np.testing.assert_array_equal(without_ringing(step), step)
    ringing = np.clip(step + np.random.default_rng(0).integers(-2, 3, step.shape), 0, 255).astype(np.uint8)
    left = np.abs(without_ringing(ringing).astype(int) - step).mean()
    assert left < 0.75 * np.abs(ringing.astype(int) - step).mean()


def test_bfloat16_stays_close(face, span):
    rough = Upscaler("span", precision="bfloat16", device="cpu")(face).astype(float)
    error = np.mean((rough - span(face)) ** 2)
    assert 0 < error < 255**2 / 10**5  # over 50 dB


def test_tiles_with_enough_padding_equal_the_whole(face, span):
    tiled = Upscaler("span", precision="float32", device="cpu", tile_px=32, tile_pad_px=32)(face)
    assert np.abs(tiled - span(face).astype(int)).max() <= 1


def test_a_checkpoint_of_these_layers_gives_the_same_picture(tmp_path, face, span):
    path = tmp_path / "span.pth"
    torch.save({"params_ema": load_network("span").state_dict()}, path)
    np.testing.assert_array_equal(Upscaler(str(path), precision="float32", device="cpu")(face), span(face))
    state = load_network("span").state_dict()
    del state["block_3.c2_r.bias"]
    with pytest.raises(AssetError, match=r"block_3\.c2_r\.bias"):
        span_from_state(state)


def test_a_spoilt_or_missing_file_is_named_with_what_to_do(tmp_path, monkeypatch):
    known = model_file("span")
    spoilt = tmp_path / known.path.name
    monkeypatch.setitem(superres_files.SHIPPED, "span", replace(known, path=spoilt))
    with pytest.raises(AssetError, match="no such file; it belongs to shhq-hs"):
        shipped_arrays("span")
    spoilt.write_bytes(known.path.read_bytes()[:-1])
    with pytest.raises(AssetError, match=r"span_x4_ch48\.npz: sha256 .*, expected aeeb.*install that again"):
        shipped_arrays("span")


def test_the_named_package_has_no_such_network():
    with pytest.raises(ConfigError, match=r"realesrgan has no network span: take engine native, or one of x4plus"):
        SuperRes(model="span", engine="realesrgan")
    with pytest.raises(ConfigError, match="native, realesrgan"):
        SuperRes(model="span", engine="none")
