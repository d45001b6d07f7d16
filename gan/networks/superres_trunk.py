"""The trunk of U: residual-in-residual dense blocks (four fifths of U's work).

Suffixes: M maps, C channels, H W pixels.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky ReLU, as in ESRGAN
RESIDUAL = 0.2  # what a block adds is scaled so, inside and around (ESRGAN)


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
        *growing, last = self.convolutions()
        dense = [x_MCHW]
        for conv in growing:
            dense.append(activate(conv(torch.cat(dense, 1))))
        return torch.add(x_MCHW, last(torch.cat(dense, 1)), alpha=RESIDUAL)

    def convolutions(self) -> tuple[nn.Conv2d, ...]:
        return self.conv1, self.conv2, self.conv3, self.conv4, self.conv5


class ResidualBlock(nn.Module):
    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.RDB1 = DenseBlock(width, growth)
        self.RDB2 = DenseBlock(width, growth)
        self.RDB3 = DenseBlock(width, growth)

    def forward(self, x_MCHW: Tensor) -> Tensor:
        return torch.add(x_MCHW, self.RDB3(self.RDB2(self.RDB1(x_MCHW))), alpha=RESIDUAL)

    def dense_convolutions(self) -> list[tuple[nn.Conv2d, ...]]:
        """Return the five convolutions of each dense block."""
        return [dense.convolutions() for dense in (self.RDB1, self.RDB2, self.RDB3)]
