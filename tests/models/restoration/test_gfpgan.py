"""GFPGAN: the published file's keys, the named package's numbers, and a face restored in its place."""

import importlib
import logging
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from dataprep.errors import AssetError
from dataprep.frames import geometry
from dataprep.models.restoration.face_restoring import FaceRestorer, face_alignment, face_mask
from dataprep.models.restoration.gfpgan import load_gfpgan
from dataprep.models.superres.basicsr_compat import compat_imports
from tests.licensed_files import write_gfpgan

SMALL = (8, 8, 4, 4, 2)  # the U-Net of a network for faces of 64 px
# not importorskip: importing is what needs the compat context
needs_gfpgan = pytest.mark.skipif(
    find_spec("gfpgan") is None, reason="the realesrgan extra, which brings it, is not here"
)


def published_class() -> type:
    """GFPGANv1Clean of the named package, whose own start imports a trainer and a downloader."""
    (folder,) = find_spec("gfpgan").submodule_search_locations
    with pytest.MonkeyPatch.context() as patch, compat_imports():
        for name, path in (("gfpgan", folder), ("gfpgan.archs", f"{folder}/archs")):
            module = ModuleType(name)
            module.__path__ = [path]
            patch.setitem(sys.modules, name, module)
        return importlib.import_module("gfpgan.archs.gfpganv1_clean_arch").GFPGANv1Clean


def published(out_size: int = 512, narrow: float = 1, style: int = 512) -> torch.nn.Module:
    """The network as the package builds it for v1.4."""
    return published_class()(
        out_size=out_size, num_style_feat=style, channel_multiplier=2, decoder_load_path=None, fix_decoder=False,
        num_mlp=8, input_is_latent=True, different_w=True, narrow=narrow, sft_half=True,
    )  # fmt: skip


def read(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["params_ema"]


def test_the_file_of_the_tests_has_the_published_size(tmp_path: Path) -> None:
    """The published file has 348,632,874 bytes, which these numbers in float32 fill up to its pickled names."""
    state = read(write_gfpgan(tmp_path / "GFPGANv1.4.pth"))
    assert len(state) == 285
    assert sum(value.numel() for value in state.values()) == 87_143_276


@needs_gfpgan
def test_the_file_of_the_tests_has_the_published_schema(tmp_path: Path) -> None:
    with torch.device("meta"):
        theirs = {key: value.shape for key, value in published().state_dict().items()}
    assert {key: value.shape for key, value in read(write_gfpgan(tmp_path / "GFPGANv1.4.pth")).items()} == theirs


@needs_gfpgan
def test_equals_the_named_package(tmp_path: Path) -> None:
    torch.manual_seed(3)
    theirs = published(64, narrow=1 / 8, style=32).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if name.endswith("bias") or parameter.ndim == 1:  # noise, too, which begins without strength
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
    torch.save({"params_ema": theirs.state_dict()}, tmp_path / "net.pth")
    faces = torch.rand(2, 3, 64, 64) * 2 - 1
    noises = [value.expand(2, -1, -1, -1) for key, value in theirs.state_dict().items() if ".noises." in key]
    with torch.inference_mode():
        expected, _ = theirs(faces, return_rgb=False, randomize_noise=False)
        found = load_gfpgan(tmp_path / "net.pth")(faces, noises)
        without = load_gfpgan(tmp_path / "net.pth")(faces, [torch.zeros_like(noise) for noise in noises])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert (without - expected).abs().max() > 0.1  # the noise counts


def test_what_only_training_reads_is_left_out_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        network = load_gfpgan(write_gfpgan(tmp_path / "net.pth", widths=SMALL))
    assert network.side_px == 64
    assert not caplog.records


def test_noise_is_a_face_s_own_and_the_same_every_time(tmp_path: Path) -> None:
    network = load_gfpgan(write_gfpgan(tmp_path / "net.pth", widths=SMALL))
    first, again, other = network.noises(1), network.noises(1), network.noises(2)
    assert [noise.shape[-1] for noise in first] == [4, 8, 8, 16, 16, 32, 32, 64, 64]
    for one, same, another in zip(first, again, other, strict=True):
        assert torch.equal(one, same)
        assert not torch.equal(one, another)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "GFPGANv1.4.pth"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(AssetError, match=r"GFPGANv1\.4\.pth: not a whole torch checkpoint.*TencentARC/GFPGAN"):
        load_gfpgan(path)
    torch.save({"params_ema": {"conv_first.weight": torch.zeros(64, 3, 3, 3)}}, path)
    with pytest.raises(AssetError, match=r"not a state dict of GFPGAN's clean version.*'conv_first\.weight'"):
        load_gfpgan(path)
    state = read(write_gfpgan(path, widths=SMALL))
    torch.save({"params_ema": {key: value for key, value in state.items() if "final_linear" not in key}}, path)
    with pytest.raises(AssetError, match=r"2 missing \(final_linear\.weight, final_linear\.bias\)"):
        load_gfpgan(path)


def landmarks(centre: tuple[float, float], eyes_px: float, roll_rad: float = 0.0) -> np.ndarray:
    """68 points of a plain face: eyes, nose, mouth and jaw where FFHQ's mean face has them."""
    face = np.zeros((68, 2))
    face[:17] = [(-1.1 * np.cos(t), 0.1 + 1.5 * np.sin(t)) for t in np.linspace(0, np.pi, 17)]
    face[17:27] = [(x, -0.35) for x in np.linspace(-0.8, 0.8, 10)]
    face[27:31] = [(0, y) for y in np.linspace(0, 0.588, 4)]
    face[31:36] = [(x, 0.75) for x in np.linspace(-0.25, 0.25, 5)]
    face[36:42], face[42:48] = (-0.5, 0), (0.5, 0)
    face[48:] = (0, 1.043)
    face[48], face[54] = (-0.444, 1.043), (0.444, 1.043)
    turn = np.array([[np.cos(roll_rad), -np.sin(roll_rad)], [np.sin(roll_rad), np.cos(roll_rad)]])
    return eyes_px * face @ turn.T + centre


@pytest.mark.parametrize("roll_rad", [0.0, 0.4])
def test_faces_are_laid_as_in_ffhq(roll_rad: float) -> None:
    points = landmarks((100, 90), 40, roll_rad)
    matrix = face_alignment(points, 512)
    aligned = geometry.transform(matrix, points)
    np.testing.assert_allclose(aligned[36:42].mean(0), (193, 240), atol=3)
    np.testing.assert_allclose(aligned[42:48].mean(0), (319, 240), atol=3)
    np.testing.assert_allclose(aligned[[48, 54]], [(201, 371), (313, 371)], atol=3)
    assert geometry.scale_of(matrix) == pytest.approx(126 / 40, rel=0.02)


def test_the_mask_ends_inside_the_square() -> None:
    """Also where the jaw of a turned or a near face leaves it: a hard edge would show."""
    for moved in (0, 200):
        mask = face_mask(landmarks((256 + moved, 240), 126), 512)
        assert max(mask[0].max(), mask[-1].max(), mask[:, 0].max(), mask[:, -1].max()) <= 1
        assert mask[240, 256 + moved - 60] == 255
        steps = np.abs(np.diff(mask.astype(int), axis=1)).max()
        assert steps < 12  # grey levels from pixel to pixel: no edge to be seen


def test_the_face_is_restored_and_the_rest_is_kept(tmp_path: Path) -> None:
    restorer = FaceRestorer(write_gfpgan(tmp_path / "net.pth", widths=SMALL), "cpu")
    crop = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    points = landmarks((100, 90), 30)
    found = restorer(crop, points, seed=1)
    np.testing.assert_array_equal(found[95:110, 90:110], np.broadcast_to((255, 0, 0), (15, 20, 3)))
    far = np.ones((200, 200), bool)
    far[20:160, 45:155] = False
    np.testing.assert_array_equal(found[far], crop[far])
    np.testing.assert_array_equal(restorer(crop, points, seed=1), found)
