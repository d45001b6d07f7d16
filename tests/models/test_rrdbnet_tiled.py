"""RRDBNet in tiles against torch: random and real weights, any size, any band, and how much memory it takes."""

import numpy as np
import pytest
import skimage.data
import torch

from dataprep.kernels.vectors import BFLOAT16_PRODUCTS
from dataprep.kernels.winograd import Tiling
from dataprep.models.superres import rrdbnet_tiled
from dataprep.models.superres.enlarging import Upscaler, load_network
from dataprep.models.superres.rrdbnet import RRDBNet
from dataprep.models.superres.rrdbnet_tiled import TiledRRDBNet
from dataprep.models.superres.running import runner, runs_in_loops

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return RRDBNet(num_block=2, num_feat=16, num_grow_ch=8).eval()


@pytest.fixture(scope="module")
def face():
    """(3, 26, 26), an eye of the astronaut."""
    return torch.from_numpy(skimage.data.astronaut()[98:124, 200:226].transpose(2, 0, 1).copy()).float() / 255


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (37, 71), (64, 20), (34, 131)])
def test_any_size_and_band_gives_what_torch_gives(size, network, monkeypatch):
    image = torch.rand(3, *size)
    expected, found = network(image[None])[0], []
    for rows in (1, 3, 100):
        monkeypatch.setattr(rrdbnet_tiled, "BAND_ROWS", rows)
        found.append(TiledRRDBNet(network)(image))
        torch.testing.assert_close(found[-1], expected, atol=1e-6, rtol=1e-5)
        assert torch.equal(found[-1], found[0])


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(threads, network):
    image = torch.rand(3, 30, 150, generator=torch.Generator().manual_seed(1))
    one = TiledRRDBNet(network)(image)
    torch.set_num_threads(threads)  # a fixture sets it back
    assert torch.equal(TiledRRDBNet(network)(image), one)


@torch.no_grad()
def test_the_real_network_is_as_exact_as_in_torch(face):
    """Against float64: most grey levels that differ between the two are torch's own rounding."""
    network = load_network("x4plus")
    in_tiles, in_torch = TiledRRDBNet(network)(face), network(face[None])[0]
    exact = network.double()(face[None].double())[0]
    error = lambda found: float((found - exact).abs().mean())  # noqa: E731
    assert error(in_tiles) < 1.5 * error(in_torch) < 1e-6
    grey = [(255 * found.clamp(0, 1)).round() for found in (in_tiles, in_torch)]
    assert (grey[0] - grey[1]).abs().max() <= 1
    assert (grey[0] != grey[1]).float().mean() < 3e-4


@pytest.mark.skipif(not BFLOAT16_PRODUCTS, reason="this CPU does not multiply bfloat16 numbers")
def test_bfloat16_is_as_good_as_torch_s(face):
    network = load_network("x4plus")
    exact, rounded = (TiledRRDBNet(network, dtype)(face) for dtype in (torch.float32, torch.bfloat16))
    in_torch = network.to(torch.bfloat16)
    in_torch.conv_last.float()
    with torch.no_grad():
        errors = [float((found - exact).square().mean()) for found in (rounded, in_torch(face[None])[0])]
    assert 0 < errors[0] < 1.2 * errors[1]


def test_working_memory_grows_with_the_small_picture_not_with_the_large_one(monkeypatch):
    """387 numbers for every pixel of the small picture and its margins, 66,000 for one of its width: 0.33 GB at 384 px.

    Torch holds about 3,600 a pixel (2.1 GB).
    """
    network, taken, blank = TiledRRDBNet(RRDBNet(num_block=1)), [], Tiling.blank

    def counted(tiling: Tiling, channels: int) -> torch.Tensor:
        taken.append(blank(tiling, channels))
        return taken[-1]

    monkeypatch.setattr(Tiling, "blank", counted)
    for height, width in ((64, 128), (192, 128), (64, 256)):
        taken.clear()
        network(torch.rand(3, height, width))
        with_margins = 387 * (height + 8) * (width + 4)
        assert with_margins < sum(image.numel() for image in taken) < with_margins + 66_000 * (width + 4)


def test_loops_are_for_what_they_are_faster_at(network, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert runs_in_loops(CPU, torch.float32)
    assert runs_in_loops(CPU, torch.bfloat16) == BFLOAT16_PRODUCTS
    assert not runs_in_loops(torch.device("cuda"), torch.float16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert not runs_in_loops(CPU, torch.bfloat16)
    assert runs_in_loops(CPU, torch.float32)


def test_tiles_of_an_image_are_those_of_torch(face, monkeypatch):
    """The whole way: windows, their padding, and the loops switched off."""
    rgb = np.tile((255 * face.permute(1, 2, 0)).round().byte().numpy(), (1, 2, 1))
    make = lambda: Upscaler("anime6b", precision="float32", device="cpu", tile_px=32, tile_pad_px=8)  # noqa: E731
    in_loops = make()(rgb)
    monkeypatch.setattr("dataprep.models.superres.running.runs_in_loops", lambda device, dtype: False)
    in_torch = make()(rgb)
    assert np.abs(in_loops.astype(int) - in_torch).max() <= 1
    assert (in_loops != in_torch).mean() < 3e-4


def test_several_pictures_are_run_one_after_the_other(network):
    images = torch.rand(2, 3, 8, 12)
    found = runner(network, CPU, torch.float32)(images)
    assert torch.equal(found[1], TiledRRDBNet(network)(images[1]))
