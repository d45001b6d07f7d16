"""Residual-in-residual dense blocks (Wang et al. 2018, figure 4) in tiles: nine tenths of ESRGAN's work, and of U's."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dataprep.kernels.winograd import TiledKernel, Tiling

DenseKernels = Sequence[TiledKernel]  # five: each but the last grows what all after it read


class DenseTrunk:
    """x + residual * (three dense blocks of x), block after block.

    Args:
        blocks: The kernels of every block's three dense blocks.
        slope: Of leaky ReLU, after all kernels but the fifth.
        residual: What a dense block, and a block of three, are scaled by before they are added to their input.

    """

    def __init__(self, blocks: Sequence[Sequence[DenseKernels]], slope: float, residual: float) -> None:
        self.blocks, self.slope, self.residual = blocks, slope, residual
        first = blocks[0][0]
        self.width, self.grown_width = first[4].outputs, sum(kernel.outputs for kernel in first[:4])

    def rooms(self, tiling: Tiling) -> list[Tensor]:
        """Return images to work in, for pictures of one size: two, the result, and what dense blocks add."""
        return [*(tiling.blank(self.width) for _ in range(3)), tiling.blank(self.grown_width)]

    def __call__(self, tiling: Tiling, x: Tensor, rooms: Sequence[Tensor]) -> Tensor:
        """Return the trunk's output of a tiled image, which is one of the rooms; `x` is left as it is."""
        a, b, result, grown = rooms
        for first, second, third in self.blocks:
            self._dense(tiling, first, x, a, grown)
            self._dense(tiling, second, a, b, grown)
            self._dense(tiling, third, b, a, grown)
            x = torch.add(x, a, alpha=self.residual, out=result)
        return x

    def _dense(self, tiling: Tiling, kernels: DenseKernels, x: Tensor, out: Tensor, grown: Tensor) -> None:
        channel = 0
        for kernel in kernels[:4]:
            tiling.convolve(x, kernel, grown, self.slope, more=grown, out_channel=channel)
            channel += kernel.outputs
        tiling.convolve(x, kernels[4], out, more=grown, onto=(x, self.residual))
