"""U for inference on a CPU: all its 3 x 3 convolutions in tiles (`kernels.winograd`), a quarter of the multiplications.

Suffixes: M maps, C channels, H W pixels.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dataprep.kernels.dense_trunk import DenseTrunk
from dataprep.kernels.machine_code import suits
from dataprep.kernels.winograd import TILE, TiledKernel, Tiling
from gan.networks.manifold_superres import ManifoldSuperResolution
from gan.networks.superres_trunk import RESIDUAL, SLOPE, ResidualBlock

STRIP = 1 << 14  # channels x tiles of a strip: what lies between a convolution and its shuffle stays in the caches


def super_resolution_in_tiles(
    network: ManifoldSuperResolution, style_K: Tensor, like_MCHW: Tensor, dtype: torch.dtype
) -> "TiledSuperResolution | None":
    """Return a faster U for maps like these where there is one; it is for today's weights."""
    fits = suits(like_MCHW) and like_MCHW.shape[2] % TILE == 0 == like_MCHW.shape[3] % TILE
    return TiledSuperResolution(network, style_K, like_MCHW.shape[2:], dtype) if fits else None


class TiledSuperResolution:
    """What `ManifoldSuperResolution.forward` computes for one style.

    With `dtype` bfloat16 that is the type of coefficients and products, if the CPU has such products: without them it
    is slower than float32, which is used then.
    """

    def __init__(
        self, network: ManifoldSuperResolution, style_K: Float[Tensor, " k"], size: torch.Size, dtype: torch.dtype
    ) -> None:
        self.network, (height, width) = network, size
        self.tilings = [Tiling(scale * height, scale * width) for scale in (1, 2, 4)]
        styles = style_K.split(network.style_sizes)
        modulated = dict(zip((*network.upconvs, network.HRconv), styles, strict=False))
        plain = (network.conv_first, *network.RRDB_trunk.modules(), network.trunk_conv)
        weights: dict[nn.Module, Tensor] = {conv: conv.weight for conv in plain if isinstance(conv, nn.Conv2d)}
        weights |= {conv: conv.modulated(style) for conv, style in modulated.items()}
        self.kernels = {conv: TiledKernel(weight, cast(Tensor, conv.bias), dtype) for conv, weight in weights.items()}
        self.last_4C = network.conv_last.modulated(styles[3])[..., 0, 0]

        self.strips = {
            conv: _strip(tiling, self.kernels[conv].outputs)
            for conv, tiling in zip(network.upconvs, self.tilings, strict=False)
        }
        blocks = [cast(ResidualBlock, block).dense_convolutions() for block in network.RRDB_trunk]
        kernels = [[[self.kernels[conv] for conv in dense] for dense in block] for block in blocks]
        self.trunk = DenseTrunk(kernels, SLOPE, RESIDUAL)
        base, width_C = self.tilings[0], network.conv_first.out_channels
        self.input, self.first = base.blank(network.conv_first.in_channels), base.blank(width_C)
        self.rooms = self.trunk.rooms(base)
        self.middle = self.tilings[1].blank(width_C)
        self.large, self.largest = (self.tilings[2].blank(network.HRconv.weight.shape[0]) for _ in range(2))

    def __call__(self, maps_MCHW: Float[Tensor, "m c h w"]) -> Float[Tensor, "m 4 h4 w4"]:
        return torch.stack([self._one(map_CHW) for map_CHW in maps_MCHW])

    def _one(self, map_CHW: Tensor) -> Tensor:
        small, middle, large = self.tilings
        network, kernels = self.network, self.kernels
        small.tile(map_CHW, self.input)
        small.convolve(self.input, kernels[network.conv_first], self.first)
        x = self.trunk(small, self.first, self.rooms)
        small.convolve(x, kernels[network.trunk_conv], self.rooms[0], onto=(self.first, 1.0))
        x = self._upscale(small, self.rooms[0], network.upconvs[0], self.middle)
        x = self._upscale(middle, x, network.upconvs[1], self.large)
        large.convolve(x, kernels[network.HRconv], self.largest, SLOPE)
        return (
            large.untile((self.last_4C @ self.largest.flatten(2)).unflatten(2, self.largest.shape[2:]))
            + network.conv_last.bias[:, None, None]
        )

    def _upscale(self, tiling: Tiling, x: Tensor, conv: nn.Module, out: Tensor) -> Tensor:
        """Convolve, activate and shuffle, as many rows of tiles together as fit the caches."""
        kernel, (strip, wide) = self.kernels[conv], self.strips[conv]
        for row in range(0, tiling.rows, strip.rows):
            strip.convolve(x, kernel, wide, SLOPE, row=row)
            strip.shuffle(wide, out, 2 * row)
        return out


def _strip(tiling: Tiling, channels: int) -> tuple[Tiling, Tensor]:
    most = max(1, STRIP // (tiling.columns * channels))
    strip = tiling.strip(max(n for n in range(1, most + 1) if tiling.rows % n == 0))
    return strip, strip.blank(channels)
