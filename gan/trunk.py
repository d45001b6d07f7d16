"""The trunk of U: residual-in-residual dense blocks (nine tenths of U's work), and the same in tiles.

Suffixes: M maps, C channels, H W pixels, I J L of a tiled image (gan.winograd).
"""

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gan.winograd import TILE, Tiling, transform_kernel

SLOPE = 0.2
RESIDUAL = 0.2


def activate(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return leaky ReLU, overwriting x where no gradient needs it."""
    return F.leaky_relu(x, SLOPE, inplace=not torch.is_grad_enabled())


class DenseBlock(nn.Module):
    """Each convolution sees the block's input and what all before it added."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, growth, 3, padding=1)
        self.conv2 = nn.Conv2d(width + growth, growth, 3, padding=1)
        self.conv3 = nn.Conv2d(width + 2 * growth, growth, 3, padding=1)
        self.conv4 = nn.Conv2d(width + 3 * growth, growth, 3, padding=1)
        self.conv5 = nn.Conv2d(width + 4 * growth, width, 3, padding=1)

    def forward(self, x_MCHW: Tensor) -> Tensor:
        dense = [x_MCHW]
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            dense.append(activate(conv(torch.cat(dense, 1))))
        return torch.add(x_MCHW, self.conv5(torch.cat(dense, 1)), alpha=RESIDUAL)


class ResidualBlock(nn.Module):
    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.RDB1 = DenseBlock(width, growth)
        self.RDB2 = DenseBlock(width, growth)
        self.RDB3 = DenseBlock(width, growth)

    def forward(self, x_MCHW: Tensor) -> Tensor:
        return torch.add(x_MCHW, self.RDB3(self.RDB2(self.RDB1(x_MCHW))), alpha=RESIDUAL)


class TiledTrunk:
    """What `blocks` and then `last` compute, with a quarter of the multiplications: float32, CPU, no gradients."""

    @staticmethod
    def fits(maps_MCHW: Tensor) -> bool:
        plain = maps_MCHW.device.type == "cpu" and maps_MCHW.dtype == torch.float32 and not torch.is_grad_enabled()
        return plain and maps_MCHW.shape[2] % TILE == 0 == maps_MCHW.shape[3] % TILE

    def __init__(self, blocks: nn.Sequential, last: nn.Conv2d, like_MCHW: Tensor) -> None:
        self.blocks, self.last = blocks, last
        self.tiling = Tiling(like_MCHW.shape[2], like_MCHW.shape[3], like_MCHW)
        convolutions = [module for module in (*blocks.modules(), last) if isinstance(module, nn.Conv2d)]
        self.kernels = {conv: transform_kernel(conv.weight) for conv in convolutions}
        self.room = self.tiling.room(max(conv.in_channels for conv in convolutions))

    def __call__(self, x_MCHW: Float[Tensor, "m c h w"]) -> Float[Tensor, "m c h w"]:
        out_MCHW = torch.stack([self._one(x_CHW) for x_CHW in x_MCHW])
        return out_MCHW.contiguous(memory_format=torch.channels_last)

    def _one(self, x_CHW: Tensor) -> Tensor:
        x_IJCL = self.tiling.tile(x_CHW)
        for block in self.blocks:
            assert isinstance(block, ResidualBlock)
            inner_IJCL = x_IJCL
            for dense in (block.RDB1, block.RDB2, block.RDB3):
                inner_IJCL = self._dense(dense, inner_IJCL)
            x_IJCL = inner_IJCL.mul_(RESIDUAL).add_(x_IJCL)
        self.tiling.transform(x_IJCL, self.room[:, : len(x_CHW)])
        return self.tiling.untile(self._convolve(self.last))

    def _dense(self, block: DenseBlock, x_IJCL: Tensor) -> Tensor:
        """Coefficients of the growing stack stay in `room`: every channel is transformed once for all who read it."""
        channels = x_IJCL.shape[2]
        self.tiling.transform(x_IJCL, self.room[:, :channels])
        for conv in (block.conv1, block.conv2, block.conv3, block.conv4):
            growth_IJCL = activate(self._convolve(conv))
            self.tiling.transform(growth_IJCL, self.room[:, channels : channels + conv.out_channels])
            channels += conv.out_channels
        return self._convolve(block.conv5).mul_(RESIDUAL).add_(x_IJCL)

    def _convolve(self, conv: nn.Conv2d) -> Tensor:
        return self.tiling.convolve(self.room[:, : conv.in_channels], self.kernels[conv], cast(Tensor, conv.bias))
