"""M: the scalar field whose level sets are the radiance manifolds. Suffixes: N points."""

import math
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan.config import COORDINATE_SCALE
from gan.networks.device_work import constant
from gan.networks.pointwise import Layer, sum_of_heads

CENTRE = (0.0, 0.0, -1.5)  # of the field, in scaled coordinates: behind the face, about which levels curve (released)


class ManifoldPredictor(nn.Module):
    """Three linear layers with ReLU and a linear head; starts as a sphere-like field that grows with distance."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(3):
            linear = nn.Linear(width if i else 3, width)
            nn.init.normal_(linear.weight, 0, math.sqrt(2 / width) * (1 if i else 0.12))  # assumed
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.ReLU()]
        self.network = nn.Sequential(*layers)
        self.output_layer = nn.Linear(width, 1)
        nn.init.constant_(self.output_layer.weight, 10 * math.sqrt(math.pi / width))
        nn.init.zeros_(self.output_layer.bias)

    def forward(self, points_N3: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Return s; the scale and the shift of the coordinates are folded into the first layer."""
        first, second, third = (cast(nn.Linear, self.network[i]) for i in (0, 2, 4))
        bias_O = first.bias - first.weight @ constant(CENTRE, points_N3)
        layers = [Layer((first.weight * COORDINATE_SCALE)[None], bias_O[None], "relu")]
        layers += [Layer(linear.weight[None], linear.bias[None], "relu") for linear in (second, third)]
        head = Layer(self.output_layer.weight[None], self.output_layer.bias[None])
        return sum_of_heads(points_N3[None], layers, {2: head})[0, :, 0]


def levels(count: int, first: float, last: float, like: Tensor) -> Float[Tensor, " l"]:
    """Return the levels of the manifolds, outermost first."""
    return torch.linspace(first, last, count, dtype=like.dtype, device=like.device)
