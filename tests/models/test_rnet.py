"""R-Net: the checkpoint's keys, the 257 numbers' order, the reference's alignment, and a fit read back from it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dataprep.errors import AssetError, Rejected
from dataprep.fits.face.face_appearance import fit_appearance
from dataprep.fits.face.face_rnet import aligned_face, rnet_fit
from dataprep.frames.face_frames import Alignment, align, head_from_3dmm, project_224
from dataprep.models.face.bfm import lit_colour, load_face
from dataprep.models.regressors.rnet import LAYERS, RNet, load_rnet, regress, split_257
from tests.licensed_files import plain_rnet, write_rnet

PLACEMENT = Alignment(0.93, np.array([251.3, 240.7]))


def landmarks(angle: tuple[float, float, float] = (0.1, -0.3, 0.05)) -> np.ndarray:
    face = load_face()
    return PLACEMENT.to_portrait(project_224(face.mean[face.landmarks] @ head_from_3dmm(np.array(angle)).T))


def test_the_state_has_the_published_keys() -> None:
    state = RNet().state_dict()
    assert sum(key.startswith("backbone.") for key in state) == 318
    final = {key: tuple(value.shape) for key, value in state.items() if key.startswith("final_layers.")}
    assert final == {
        f"final_layers.{i}.{kind}": (n, 2048, 1, 1) if kind == "weight" else (n,)
        for i, n in enumerate((80, 64, 80, 3, 27, 2, 1))
        for kind in ("weight", "bias")
    }


def test_the_257_numbers_are_split_by_meaning() -> None:
    found = split_257(np.arange(257.0))
    parts = (found.identity, found.expression, found.tex, found.angle_rad, found.gamma, found.trans_dm)
    assert [(int(p[0]), len(p)) for p in parts] == [(0, 80), (80, 64), (144, 80), (224, 3), (227, 27), (254, 3)]


def test_layers_come_in_the_order_of_the_numbers() -> None:
    network = RNet().eval()
    with torch.no_grad():
        for i, layer in enumerate(network.final_layers):
            layer.weight.zero_()
            layer.bias.fill_(float(i))
        out = network(torch.rand(1, 3, 224, 224))[0]
    torch.testing.assert_close(out, torch.repeat_interleave(torch.arange(7.0), torch.tensor(LAYERS)))


def test_loads_net_recon_alone_and_a_batch_does_not_mix(tmp_path: Path) -> None:
    loaded, network = load_rnet(write_rnet(tmp_path / "epoch_20.pth")), plain_rnet()
    faces = list(np.random.default_rng(0).integers(0, 255, (2, 224, 224, 3)).astype(np.uint8))
    together, alone = regress(loaded, faces), regress(network, faces[1:])
    np.testing.assert_allclose(together[1].identity, alone[0].identity, atol=1e-5)
    np.testing.assert_allclose(together[0].angle_rad, [0.05, -0.1, 0.02], atol=0.1)
    assert not np.allclose(together[0].identity, together[1].identity, atol=1e-6)
    torch.save({"net_recon": {"conv1.weight": torch.zeros(64, 3, 7, 7)}}, tmp_path / "epoch_20.pth")
    with pytest.raises(AssetError, match=r"epoch_20\.pth: not a state dict of RNet: of \d+ keys, \d+ missing"):
        load_rnet(tmp_path / "epoch_20.pth")


def test_alignment_is_the_references_to_the_pixel() -> None:
    """Whole-pixel resize and crop as published; landmarks land on their targets within the rounding."""
    points = landmarks()
    portrait = np.zeros((512, 512, 3), np.uint8)
    x, y = (int(v) for v in points[45].round())
    portrait[y - 3 : y + 3, x - 3 : x + 3] = 255
    face, alignment = aligned_face(portrait, points)
    assert face.shape == (224, 224, 3)
    wanted = align(points)
    assert alignment.scale == pytest.approx(int(512 * wanted.scale) / 512)
    np.testing.assert_allclose(alignment.centre_px, wanted.centre_px, atol=1.6)
    weight = face[..., 0].astype(float)
    grid = np.arange(224) + 0.5
    spot = np.array([(weight.sum(0) * grid).sum(), (weight.sum(1) * grid).sum()]) / weight.sum()
    u, v_up = alignment.to_224(np.array([[x, y]], float))[0]
    np.testing.assert_allclose(spot, [u, 224 - v_up], atol=0.3)
    with pytest.raises(Rejected):
        aligned_face(portrait, np.full((68, 2), 10.0) + np.random.default_rng(0).normal(0, 1e-4, (68, 2)))


def test_true_coefficients_read_back_give_the_true_face() -> None:
    """Whatever R-Net says is placed as Deep3DFaceRecon renders it: landmarks and skin colours then match."""
    model, rng = load_face(), np.random.default_rng(4)
    row = np.concatenate((rng.normal(size=80), rng.normal(0, 0.5, 64), rng.normal(0, 0.5, 80), [0.1, -0.2, 0.05],
                          rng.normal(0, 0.05, 27), [0.05, -0.02, 0.1]))  # fmt: skip
    found = split_257(row)
    shape = model.shape(found.identity, found.expression)
    rotation = head_from_3dmm(found.angle_rad)
    placed = shape @ rotation.T + found.trans_dm
    points = PLACEMENT.to_portrait(project_224(placed[model.landmarks]))
    colours = lit_colour(model.texture(found.tex), model.normals(shape) @ rotation.T, found.gamma)
    portrait = np.full((512, 512, 3), 128, np.uint8)
    order = np.argsort(placed[:, 2])
    for (x, y), colour in zip(PLACEMENT.to_portrait(project_224(placed[order])), colours[order], strict=True):
        portrait[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = np.clip(colour, 0, 255)
    fit, look = rnet_fit(model, found, PLACEMENT, portrait, points)
    assert fit.rmse_224_px < 1e-4
    assert np.isnan(fit.sigma).all()
    np.testing.assert_allclose(fit.head_from_face, rotation)
    assert look.residual < 12
    wrong = rnet_fit(model, split_257(row * np.where(np.arange(257) < 227, 1, -3)), PLACEMENT, portrait, points)[1]
    assert wrong.residual > 2 * look.residual
    assert fit_appearance(model, fit, portrait).residual < 12


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_same_coefficients() -> None:
    faces = list(np.random.default_rng(0).integers(0, 255, (3, 224, 224, 3)).astype(np.uint8))
    on_cpu, on_gpu = regress(plain_rnet(), faces), regress(plain_rnet().to("cuda"), faces)
    for a, b in zip(on_cpu, on_gpu, strict=True):
        np.testing.assert_allclose(a.identity, b.identity, atol=1e-2)
        np.testing.assert_allclose(a.angle_rad, b.angle_rad, atol=1e-2)
