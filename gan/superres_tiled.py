"""U for inference on a CPU: all its 3 x 3 convolutions in tiles (gan.winograd), a quarter of the multiplications.

Suffixes: M maps, C O channels, H W pixels, I J L of a tiled image, T tiles of a strip.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan.superres import ManifoldSuperResolution
from gan.trunk import RESIDUAL, SLOPE, DenseBlock, ResidualBlock
from gan.winograd import TILE, Tiling, transform_kernel

STRIP = 1 << 17  # channels x tiles of a strip: more memory is no faster


def super_resolution_in_tiles(
    network: ManifoldSuperResolution, style_K: Tensor, like_MCHW: Tensor, dtype: torch.dtype
) -> "TiledSuperResolution | None":
    """Return a faster U for maps like these where there is one; it keeps today's weights."""
    plain = like_MCHW.device.type == "cpu" and like_MCHW.dtype == torch.float32 and not torch.is_grad_enabled()
    fits = plain and like_MCHW.shape[2] % TILE == 0 == like_MCHW.shape[3] % TILE
    return TiledSuperResolution(network, style_K, like_MCHW, dtype) if fits else None


class TiledSuperResolution:
    """What `ManifoldSuperResolution.forward` computes for one style; `dtype` is that of coefficients and products."""

    def __init__(
        self, network: ManifoldSuperResolution, style_K: Float[Tensor, " k"], like_MCHW: Tensor, dtype: torch.dtype
    ) -> None:
        self.network, (height, width) = network, like_MCHW.shape[2:]
        self.tilings = [Tiling(scale * height, scale * width, like_MCHW) for scale in (1, 2, 4)]
        styles = style_K.split(network.style_sizes)
        modulated = dict(zip((*network.upconvs, network.HRconv), styles, strict=False))
        plain = (network.conv_first, *network.RRDB_trunk.modules(), network.trunk_conv)
        weights: dict[nn.Module, Tensor] = {conv: conv.weight for conv in plain if isinstance(conv, nn.Conv2d)}
        weights |= {conv: conv.modulated(style) for conv, style in modulated.items()}
        self.kernels = {conv: transform_kernel(weight).to(dtype) for conv, weight in weights.items()}
        self.last_4C = network.conv_last.modulated(styles[3])[..., 0, 0]

        base, width_C = self.tilings[0], network.conv_first.out_channels
        growth_C = cast(ResidualBlock, network.RRDB_trunk[0]).RDB1.conv1.out_channels
        self.stack = like_MCHW.new_empty(36, width_C + 4 * growth_C, base.tiles, dtype=dtype)
        self.first, *self.buffers = (base.blank(width_C) for _ in range(4))
        self.middle = self.tilings[1].blank(width_C)
        self.large, self.largest = (self.tilings[2].blank(network.HRconv.weight.shape[0]) for _ in range(2))
        self.growths = [base.blank(growth_C) for _ in range(4)]

    def __call__(self, maps_MCHW: Float[Tensor, "m c h w"]) -> Float[Tensor, "m 4 h4 w4"]:
        return torch.stack([self._one(map_CHW) for map_CHW in maps_MCHW])

    def _one(self, map_CHW: Tensor) -> Tensor:
        small, middle, large = self.tilings
        network = self.network
        self._convolve(small, small.tile(map_CHW), network.conv_first, self.first)
        x = self._trunk(self.first)
        self._convolve(small, x, network.trunk_conv, self.buffers[0], onto=(self.first, 1.0))
        x = self._upscale(small, self.buffers[0], network.upconvs[0], middle, self.middle)
        x = self._upscale(middle, x, network.upconvs[1], large, self.large)
        self._convolve(large, x, network.HRconv, self.largest, SLOPE)
        return large.untile(self.last_4C @ self.largest) + network.conv_last.bias[:, None, None]

    def _trunk(self, x: Tensor) -> Tensor:
        a, b, result = self.buffers
        for block in self.network.RRDB_trunk:
            assert isinstance(block, ResidualBlock)
            self._dense(block.RDB1, x, a)
            self._dense(block.RDB2, a, b)
            self._dense(block.RDB3, b, a)
            x = torch.add(x, a, alpha=RESIDUAL, out=result)
        return x

    def _dense(self, block: DenseBlock, x: Tensor, out: Tensor) -> None:
        """Coefficients of the growing stack stay: every channel is transformed once for all who read it."""
        tiling, channels = self.tilings[0], x.shape[2]
        tiling.transform(x, self.stack)
        for conv, growth in zip((block.conv1, block.conv2, block.conv3, block.conv4), self.growths, strict=True):
            bias = cast(Tensor, conv.bias)
            tiling.convolve(self.stack[:, :channels], self.kernels[conv], bias, growth, SLOPE)
            tiling.transform(growth, self.stack, channels)
            channels += growth.shape[2]
        bias = cast(Tensor, block.conv5.bias)
        tiling.convolve(self.stack, self.kernels[block.conv5], bias, out, onto=(x, RESIDUAL))

    def _upscale(self, tiling: Tiling, x: Tensor, conv: nn.Module, larger: Tiling, out: Tensor) -> Tensor:
        """Convolve, activate and shuffle strip by strip."""
        strip, kernel = self._strip(tiling, conv), self.kernels[conv]
        wide = strip.blank(kernel.shape[1])
        for row in range(0, tiling.rows, strip.rows):
            coefficients = self._coefficients(tiling, strip, x, kernel, row)
            strip.convolve(coefficients, kernel, cast(Tensor, conv.bias), wide, SLOPE)
            strip.shuffle(wide, larger, out, row)
        return out

    def _convolve(
        self,
        tiling: Tiling,
        x: Tensor,
        conv: nn.Module,
        out: Tensor,
        slope: float = 1.0,
        onto: tuple[Tensor, float] | None = None,
    ) -> None:
        strip, kernel = self._strip(tiling, conv), self.kernels[conv]
        for row in range(0, tiling.rows, strip.rows):
            coefficients = self._coefficients(tiling, strip, x, kernel, row)
            tiling.convolve(coefficients, kernel, cast(Tensor, conv.bias), out, slope, onto, row)

    def _coefficients(self, tiling: Tiling, strip: Tiling, x: Tensor, kernel: Tensor, row: int) -> Tensor:
        coefficients_36CT = x.new_empty(36, x.shape[2], strip.tiles, dtype=kernel.dtype)
        tiling.transform(x, coefficients_36CT, row=row)
        return coefficients_36CT

    def _strip(self, tiling: Tiling, conv: nn.Module) -> Tiling:
        """Return the tiling of as many rows as fit the caches."""
        most = max(1, STRIP // (tiling.pitch * max(self.kernels[conv].shape[1:])))
        rows = max(n for n in range(1, most + 1) if tiling.rows % n == 0)
        return Tiling(TILE * rows, TILE * tiling.columns, self.first)
