"""Convolutions in tiles against the direct sum."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gan import superres_tiled
from gan.maps import super_resolve
from gan.superres import ManifoldSuperResolution
from gan.superres_tiled import TiledSuperResolution, super_resolution_in_tiles
from gan.winograd import Tiling, transform_kernel


@pytest.mark.parametrize(("height", "width", "channels", "out"), [(4, 4, 1, 1), (8, 20, 3, 5), (32, 12, 40, 33)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-12)])
def test_a_tiled_convolution_is_the_direct_one(height, width, channels, out, dtype, tolerance):
    """Zero padding at every border included; channels that do not divide into the pieces worked on, too."""
    random = torch.Generator().manual_seed(channels)
    image = torch.randn(channels, height, width, generator=random, dtype=dtype)
    conv = nn.Conv2d(channels, out, 3, padding=1).to(dtype)
    with torch.no_grad():
        tiling, kernel, expected = Tiling(height, width, image), transform_kernel(conv.weight), conv(image[None])[0]
        tiled, ours = tiling.tile(image), tiling.blank(out)
        for row in range(tiling.rows):  # strips of one row of tiles
            room = image.new_empty(36, channels, tiling.pitch)
            tiling.transform(tiled, room, row=row)
            tiling.convolve(room, kernel, conv.bias, ours, row=row)
        torch.testing.assert_close(tiling.untile(ours), expected, atol=tolerance, rtol=tolerance)

        room, again = image.new_empty(36, channels, tiling.tiles), tiling.blank(out)
        tiling.transform(tiled, room)
        tiling.convolve(room, kernel, conv.bias, again, slope=0.25, onto=(ours, 0.5))
        expected = expected + 0.5 * F.leaky_relu(expected, 0.25)
        torch.testing.assert_close(tiling.untile(again), expected, atol=2 * tolerance, rtol=tolerance)


def test_convolutions_follow_one_another_in_tiles():
    """What lies between the rows of tiles stays zero, whatever bias and neighbours would put there."""
    torch.manual_seed(0)
    image, convolutions = torch.randn(2, 8, 12), [nn.Conv2d(2, 2, 3, padding=1) for _ in range(3)]
    with torch.no_grad():
        tiling, direct = Tiling(8, 12, image), image[None]
        tiled, room = tiling.tile(image), image.new_empty(36, 2, tiling.tiles)
        for conv in convolutions:
            tiling.transform(tiled, room)
            tiling.convolve(room, transform_kernel(conv.weight), conv.bias, tiled, slope=0.2)
            direct = F.leaky_relu(conv(direct), 0.2)
        torch.testing.assert_close(tiling.untile(tiled), direct[0], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_four_channels_become_one_of_twice_the_size():
    image = torch.randn(12, 8, 16)
    small, large = Tiling(8, 16, image), Tiling(16, 32, image)
    out = large.blank(3)
    strip = Tiling(4, 16, image)
    for row in range(2):
        strip.shuffle(strip.tile(image[:, 4 * row : 4 * row + 4]), large, out, row)
    assert torch.equal(large.untile(out), F.pixel_shuffle(image, 2))
    again = large.blank(3)
    small.shuffle(small.tile(image), large, again, 0)
    assert torch.equal(again, out)


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
