"""phi: colour, opacity and features at points on the manifolds.

Suffixes: B batch, N points, C channels (3 RGB, 1 sigma, then features), K code values.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan.config import COORDINATE_SCALE, ID_CODE, NOISE_CODE
from gan.film import FiLMLayer, FilmStyle, MappingNet, film_style
from gan.pointwise import pointwise

LAYERS = 8
VIEW = (0.0, 0.0, -1.0)  # maps are baked once, so every point is seen along -z


class RadianceGenerator(nn.Module):
    """Eight FiLM layers; layers 1 to 7 each add to running sums of sigma, RGB and features."""

    def __init__(self, width: int = 256, features: int = 32) -> None:
        super().__init__()
        self.network = nn.ModuleList([FiLMLayer(width if i else 3, width, first=i == 0) for i in range(LAYERS)])
        self.color_layer_sine = nn.ModuleList([FiLMLayer(width + 3, width)])
        self.output_sigma = nn.ModuleList([nn.Linear(width, 1) for _ in range(LAYERS - 1)])
        self.output_color = nn.ModuleList([nn.Linear(width, 3) for _ in range(LAYERS - 1)])
        self.output_feature = nn.ModuleList([nn.Linear(width, features) for _ in range(LAYERS - 1)])
        self.mapping_network = MappingNet(ID_CODE + NOISE_CODE, width, 2 * (LAYERS + 1) * width)

    def style(self, code_BK: Float[Tensor, "b k"]) -> FilmStyle:
        """Modulation for z_id ++ noise."""
        return film_style(self.mapping_network(code_BK), LAYERS + 1)

    def forward(self, points_BN3: Float[Tensor, "b n 3"], style: FilmStyle) -> Float[Tensor, "b n c"]:
        """Return RGB in [0, 1], raw sigma and features at points in face units."""
        hidden = points_BN3 * COORDINATE_SCALE
        total = None
        for i, layer in enumerate(self.network):
            hidden = layer(hidden, *style.layer(i))
            if i:
                out = self._heads(hidden, i - 1, with_colour=i < LAYERS - 1)
                total = out if total is None else total + out
        lit = self._lit(hidden, *style.layer(LAYERS))
        last = cast(nn.Linear, self.output_color[-1])
        colour = pointwise(lit, _batched(last.weight, lit), _batched(last.bias, lit))
        assert total is not None
        return torch.cat([torch.sigmoid(total[..., :3] + colour), total[..., 3:]], -1)

    def _lit(self, hidden_BNI: Tensor, frequency_BO: Tensor, phase_BO: Tensor) -> Tensor:
        """Apply the colour layer to the view direction and `hidden`; the view is the same everywhere: a phase."""
        layer = cast(FiLMLayer, self.color_layer_sine[0])
        view_3 = hidden_BNI.new_tensor(VIEW)
        seen_O = layer.layer.weight[:, :3] @ view_3.to(layer.layer.weight.dtype)
        return layer(hidden_BNI, frequency_BO, phase_BO + frequency_BO * seen_O, columns=slice(3, None))

    def _heads(self, hidden_BNC: Tensor, index: int, with_colour: bool) -> Tensor:
        """One product for the three heads of a layer; the last colour head sees other inputs and stays zero here."""
        colour, sigma, feature = (
            cast(nn.Linear, heads[index]) for heads in (self.output_color, self.output_sigma, self.output_feature)
        )
        keep = 1.0 if with_colour else 0.0
        weight = torch.cat([colour.weight * keep, sigma.weight, feature.weight])
        bias = torch.cat([colour.bias * keep, sigma.bias, feature.bias])
        return pointwise(hidden_BNC, _batched(weight, hidden_BNC), _batched(bias, hidden_BNC))


def _batched(parameter: Tensor, like: Tensor) -> Tensor:
    return parameter.expand(len(like), *parameter.shape)
