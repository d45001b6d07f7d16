"""Convolutions in tiles against the direct sum."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gan.maps import super_resolve
from gan.superres import ManifoldSuperResolution
from gan.trunk import TiledTrunk
from gan.winograd import Tiling, transform_kernel


@pytest.mark.parametrize(("height", "width", "channels", "out"), [(4, 4, 1, 1), (8, 20, 3, 5), (32, 12, 40, 33)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-12)])
def test_a_tiled_convolution_is_the_direct_one(height, width, channels, out, dtype, tolerance):
    """Zero padding at every border included; channels that do not divide into the pieces worked on, too."""
    random = torch.Generator().manual_seed(channels)
    image = torch.randn(channels, height, width, generator=random, dtype=dtype)
    conv = nn.Conv2d(channels, out, 3, padding=1).to(dtype)
    with torch.no_grad():
        tiling = Tiling(height, width, image)
        room = tiling.room(channels)
        tiling.transform(tiling.tile(image), room)
        ours = tiling.untile(tiling.convolve(room, transform_kernel(conv.weight), conv.bias))
        torch.testing.assert_close(ours, conv(image[None])[0], atol=tolerance, rtol=tolerance)


def test_convolutions_follow_one_another_in_tiles():
    """What lies between the rows of tiles stays zero, whatever bias and neighbours would put there."""
    torch.manual_seed(0)
    image, convolutions = torch.randn(2, 8, 12), [nn.Conv2d(2, 2, 3, padding=1) for _ in range(3)]
    with torch.no_grad():
        tiling, direct = Tiling(8, 12, image), image[None]
        tiled, room = tiling.tile(image), tiling.room(2)
        for conv in convolutions:
            tiling.transform(tiled, room)
            tiled = F.leaky_relu_(tiling.convolve(room, transform_kernel(conv.weight), conv.bias), 0.2)
            direct = F.leaky_relu(conv(direct), 0.2)
        torch.testing.assert_close(tiling.untile(tiled), direct[0], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_super_resolution_in_tiles_is_the_direct_one():
    torch.manual_seed(0)
    net = ManifoldSuperResolution(features=4, width=16, growth=8, blocks=2, code_width=16)
    maps, style = torch.randn(3, 8, 12, 16), net.mapping_network(torch.randn(1, 160))[0]
    tiled = super_resolve(net, maps, style, torch.float32, chunk=2)
    torch.testing.assert_close(tiled, torch.sigmoid(net(maps, style)), atol=1e-6, rtol=1e-5)


def test_tiles_are_left_alone_where_they_do_not_fit():
    net = ManifoldSuperResolution(features=4, width=8, growth=4, blocks=1, code_width=16)
    with torch.no_grad():
        assert isinstance(net.tiled_trunk(torch.zeros(1, 8, 8, 8)), TiledTrunk)
        assert net.tiled_trunk(torch.zeros(1, 8, 8, 6)) is None
        assert net.tiled_trunk(torch.zeros(1, 8, 8, 8, dtype=torch.bfloat16)) is None
    assert net.tiled_trunk(torch.zeros(1, 8, 8, 8)) is None  # gradients
    assert net.tiled_trunk(torch.zeros(1, 8, 8, 8, device="meta")) is None
