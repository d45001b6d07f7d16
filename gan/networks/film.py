"""FiLM-modulated sine layers and the mapping networks that drive them; numbers are the released code's.

Suffixes: B batch, N points, I and O channels in and out, K code values.
"""

import itertools
import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan.networks.pointwise import Layer


class FilmStyle(NamedTuple):
    """Frequencies (already 15 gamma + 30) and phases of a stack of layers, both (B, layers, width)."""

    frequency_BLC: Tensor
    phase_BLC: Tensor

    def layer(self, index: int) -> tuple[Tensor, Tensor]:
        return self.frequency_BLC[:, index], self.phase_BLC[:, index]


def film_style(raw_BK: Float[Tensor, "b k"], layers: int) -> FilmStyle:
    """Split a mapping network's output: its first half is gamma, its second beta; gamma' = 15 gamma + 30."""
    gamma_BLC, beta_BLC = raw_BK.unflatten(1, (2, layers, -1)).unbind(1)
    return FilmStyle(15 * gamma_BLC + 30, beta_BLC)


class MappingNet(nn.Module):
    """Code to modulation: linear layers, four in the released code, leaky ReLU 0.2 between them."""

    def __init__(self, code: int, hidden: int, out: int, depth: int = 4) -> None:
        super().__init__()
        widths = (code, *[hidden] * (depth - 1), out)
        layers: list[nn.Module] = []
        for i, (dim_in, dim_out) in enumerate(itertools.pairwise(widths)):
            linear = nn.Linear(dim_in, dim_out)
            nn.init.kaiming_normal_(linear.weight, a=0.2, mode="fan_in", nonlinearity="leaky_relu")
            layers += [linear, nn.LeakyReLU(0.2)] if i < depth - 1 else [linear]
        self.network = nn.Sequential(*layers)
        with torch.no_grad():
            self.last.weight *= 0.25

    @property
    def last(self) -> nn.Linear:
        layer = self.network[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    def hidden(self, code_BK: Float[Tensor, "b k"]) -> Float[Tensor, "b h"]:
        """Return what enters the last layer (truncation averages U's here)."""
        return self.network[:-1](code_BK)

    def forward(self, code_BK: Float[Tensor, "b k"]) -> Float[Tensor, "b o"]:
        return self.network(code_BK)


class FiLMLayer(nn.Module):
    """sin(gamma' * (W x + b) + beta)."""

    def __init__(self, dim_in: int, dim_out: int, first: bool = False) -> None:
        super().__init__()
        self.layer = nn.Linear(dim_in, dim_out)
        bound = 1 / dim_in if first else math.sqrt(6 / dim_in) / 25  # the usual SIREN start for gamma' near 25-30
        nn.init.uniform_(self.layer.weight, -bound, bound)

    def modulated(
        self, frequency_BO: Float[Tensor, "b o"], phase_BO: Float[Tensor, "b o"], columns: slice = slice(None)
    ) -> Layer:
        """Return the layer of one style: gamma' goes into the weights. `columns` are the inputs there are, if not all.

        The others are zero.
        """
        weight_BOI = frequency_BO[:, :, None] * self.layer.weight[:, columns]
        return Layer(weight_BOI, frequency_BO * self.layer.bias + phase_BO, "sine")
