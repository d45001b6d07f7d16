"""Convolutions in tiles against the direct sum."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dataprep.kernels.vectors import BFLOAT16_PRODUCTS
from dataprep.kernels.winograd import TILE, TiledKernel, Tiling
from gan.networks import superres_tiled
from gan.networks.manifold_superres import ManifoldSuperResolution
from gan.networks.superres_tiled import TiledSuperResolution, super_resolution_in_tiles
from gan.rendering.radiance_maps import super_resolve

TYPES = [pytest.param(torch.float32, 1e-5, id="float32")]
if BFLOAT16_PRODUCTS:
    TYPES.append(pytest.param(torch.bfloat16, 0.04, id="bfloat16"))


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).square().mean().sqrt() / expected.square().mean().sqrt())


def kernel_of(conv: nn.Conv2d, dtype: torch.dtype = torch.float32) -> TiledKernel:
    return TiledKernel(conv.weight, conv.bias, dtype)


@torch.no_grad()
@pytest.mark.parametrize(
    ("height", "width", "channels", "out"),
    [(4, 4, 1, 1), (8, 20, 3, 5), (12, 132, 40, 33), (8, 12, 70, 140), (7, 21, 3, 5), (5, 258, 9, 16), (1, 1, 2, 3)],
)
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
def test_a_tiled_convolution_is_the_direct_one(height, width, channels, out, dtype, tolerance):
    """Zero padding at every border included; channels and tiles that do not divide into the pieces worked on, too."""
    random = torch.Generator().manual_seed(channels)
    image = torch.randn(channels, height, width, generator=random)
    conv = nn.Conv2d(channels, out, 3, padding=1)
    tiling, kernel, expected = Tiling(height, width), kernel_of(conv, dtype), conv(image[None])[0]
    tiled, ours = tiling.tile(image), tiling.blank(out)
    tiling.convolve(tiled, kernel, ours)
    assert relative_error(tiling.untile(ours), expected) < tolerance

    for i in range(tiling.rows):
        row = tiling.strip(1, ends=i == tiling.rows - 1)
        strip = row.blank(out)
        row.convolve(tiled, kernel, strip, slope=0.25, row=i)
        part = F.leaky_relu(expected, 0.25)[:, TILE * i : TILE * (i + 1)]
        assert relative_error(row.untile(strip), part) < tolerance


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
def test_channels_may_lie_in_two_images_and_be_added(dtype, tolerance):
    torch.manual_seed(0)
    image, base, tiling = torch.randn(13, 8, 36), torch.randn(6, 8, 36), Tiling(8, 36)
    first, more, out = tiling.tile(image[:8]), tiling.tile(torch.randn(9, 8, 36)), tiling.blank(10)
    tiling.tile(image[8:], more[:, :5])
    conv = nn.Conv2d(13, 6, 3, padding=1)
    tiling.convolve(
        first, kernel_of(conv, dtype), out, slope=0.2, more=more, onto=(tiling.tile(base), 0.5), out_channel=3
    )
    expected = base + 0.5 * F.leaky_relu(conv(image[None])[0], 0.2)
    found = tiling.untile(out)
    assert relative_error(found[3:9], expected) < tolerance
    assert not found[:3].any()
    assert not found[9:].any()


@torch.no_grad()
@pytest.mark.parametrize("size", [(8, 12), (9, 11), (6, 70)])
def test_convolutions_follow_one_another_in_tiles(size):
    """What lies around the tiles, and around the picture in them, is zero whatever bias and neighbours put there."""
    torch.manual_seed(0)
    image, convolutions = torch.randn(2, *size), [nn.Conv2d(2, 2, 3, padding=1) for _ in range(3)]
    tiling, direct = Tiling(*size), image[None]
    tiled, other = tiling.tile(image), tiling.blank(2)
    for conv in convolutions:
        tiling.convolve(tiled, kernel_of(conv), other, slope=0.2)
        tiled, other = other, tiled
        direct = F.leaky_relu(conv(direct), 0.2)
    torch.testing.assert_close(tiling.untile(tiled), direct[0], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_what_does_not_fit_is_refused():
    """Machine code would write anywhere."""
    tiling, conv = Tiling(8, 12), nn.Conv2d(2, 3, 3, padding=1)
    image, out, kernel = tiling.blank(2), tiling.blank(3), kernel_of(conv)
    tiling.convolve(image, kernel, out)
    wrong = [
        {"x": tiling.blank(1)},
        {"out": tiling.blank(2)},
        {"out_channel": 1},
        {"row": 1},
        {"row": -1},
        {"out_channel": -1},
        {"onto": (tiling.blank(2), 1.0)},
        {"x": image.double()},
        {"x": Tiling(8, 140).blank(2)},
        {"out": out.transpose(2, 3).contiguous().transpose(2, 3)},
    ]
    for arguments in wrong:
        with pytest.raises((ValueError, TypeError)):  # the latter by the type checks of tests
            tiling.convolve(**({"x": image, "kernel": kernel, "out": out} | arguments))


@torch.no_grad()
@pytest.mark.parametrize("height", [8, 7, 5])
@pytest.mark.parametrize("width", [16, 66, 72, 127, 128])
def test_four_channels_become_one_of_twice_the_size(height, width):
    image = torch.randn(12, height, width)
    small, large = Tiling(height, width), Tiling(2 * height, 2 * width)
    out = large.blank(3)
    for row in range(2):
        strip = small.strip(1, ends=row == 1)
        strip.shuffle(strip.tile(image[:, 4 * row : 4 * row + 4]), out, 2 * row)
    assert torch.equal(large.untile(out), F.pixel_shuffle(image, 2))
    again = large.blank(3)
    small.shuffle(small.tile(image), again)
    assert torch.equal(again, out)
    assert torch.equal(large.tile(large.untile(out)), out)  # what lies around is zero


def small_network() -> ManifoldSuperResolution:
    torch.manual_seed(0)
    return ManifoldSuperResolution(features=4, width=16, growth=8, blocks=2, code_width=16)


@torch.no_grad()
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("strip", [1, 1 << 17])
def test_super_resolution_in_tiles_is_the_direct_one(threads, strip, monkeypatch):
    torch.set_num_threads(threads)  # a fixture sets it back
    monkeypatch.setattr(superres_tiled, "STRIP", strip)
    net = small_network()
    maps, style = torch.randn(3, 8, 12, 16), net.mapping_network(torch.randn(1, 160))[0]
    tiled = super_resolve(net, maps, style, torch.float32, chunk=2)
    torch.testing.assert_close(tiled, torch.sigmoid(net(maps, style)), atol=1e-6, rtol=1e-5)


def test_tiles_are_left_alone_where_they_do_not_fit():
    net, style = small_network(), torch.randn(48)
    in_tiles = lambda *size, **kind: super_resolution_in_tiles(net, style, torch.zeros(size, **kind), torch.float32)  # noqa: E731
    with torch.no_grad():
        assert isinstance(in_tiles(1, 8, 8, 8), TiledSuperResolution)
        assert in_tiles(1, 8, 8, 6) is None
        assert in_tiles(1, 8, 8, 8, dtype=torch.float64) is None
        assert in_tiles(1, 8, 8, 8, device="meta") is None
    assert in_tiles(1, 8, 8, 8) is None  # gradients
