"""phi: colour, opacity and features at points on the manifolds.

Suffixes: B batch, N points, C channels (3 RGB, 1 sigma, then features), K code values.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan.config import COORDINATE_SCALE, ID_CODE, NOISE_CODE
from gan.networks.device_work import constant
from gan.networks.film import FiLMLayer, FilmStyle, MappingNet, film_style
from gan.networks.pointwise import Layer, each, sum_of_heads

LAYERS = 8
VIEW = (0.0, 0.0, -1.0)  # maps are baked once, so every point is seen along -z


class RadianceGenerator(nn.Module):
    """Eight FiLM layers; layers 1 to 7 each add to running sums of sigma, RGB and features."""

    def __init__(self, width: int = 256, features: int = 32, mapping_layers: int = 4) -> None:
        super().__init__()
        self.network = nn.ModuleList([FiLMLayer(width if i else 3, width, first=i == 0) for i in range(LAYERS)])
        self.color_layer_sine = nn.ModuleList([FiLMLayer(width + 3, width)])
        self.output_sigma = nn.ModuleList([nn.Linear(width, 1) for _ in range(LAYERS - 1)])
        self.output_color = nn.ModuleList([nn.Linear(width, 3) for _ in range(LAYERS - 1)])
        self.output_feature = nn.ModuleList([nn.Linear(width, features) for _ in range(LAYERS - 1)])
        self.mapping_network = MappingNet(ID_CODE + NOISE_CODE, width, 2 * (LAYERS + 1) * width, mapping_layers)

    def style(self, code_BK: Float[Tensor, "b k"]) -> FilmStyle:
        """Modulation for z_id ++ noise."""
        return film_style(self.mapping_network(code_BK), LAYERS + 1)

    def forward(
        self,
        points_BN3: Float[Tensor, "b n 3"],
        style: FilmStyle,
        dtype: torch.dtype = torch.float32,
        features: bool = True,
    ) -> Float[Tensor, "b n c"]:
        """Return RGB in [0, 1], raw sigma and features at points in face units; `dtype`: see `sum_of_heads`.

        Features are what U reads; stage 1, which has no U, leaves them out.
        """
        layers = [cast(FiLMLayer, layer).modulated(*style.layer(i)) for i, layer in enumerate(self.network)]
        layers.append(self._lit(*style.layer(LAYERS)))
        heads = {i: self._heads(i - 1, points_BN3, features, colour=i < LAYERS - 1) for i in range(1, LAYERS)}
        # The last colour head sees the point lit; the others there see what the layer before made of it.
        heads[LAYERS] = self._heads(LAYERS - 2, points_BN3, features, others=False)
        total = sum_of_heads(points_BN3 * COORDINATE_SCALE, layers, heads, dtype)
        return torch.cat([torch.sigmoid(total[..., :3]), total[..., 3:]], -1)

    def _lit(self, frequency_BO: Tensor, phase_BO: Tensor) -> Layer:
        """Return the colour layer for the view direction and what it is given; the view is the same everywhere."""
        layer = cast(FiLMLayer, self.color_layer_sine[0])
        view_3 = constant(VIEW, layer.layer.weight)
        seen_O = layer.layer.weight[:, :3] @ view_3
        return layer.modulated(frequency_BO, phase_BO + frequency_BO * seen_O, slice(3, None))

    def _heads(self, index: int, like: Tensor, features: bool, colour: bool = True, others: bool = True) -> Layer:
        """Return the heads of a layer as one, without that of features where nobody asks; those left out give zero."""
        heads = [(self.output_color[index], colour), (self.output_sigma[index], others)]
        heads += [(self.output_feature[index], others)] * features
        linears = [(cast(nn.Linear, head), float(on)) for head, on in heads]
        weight = torch.cat([linear.weight * on for linear, on in linears])
        bias = torch.cat([linear.bias * on for linear, on in linears])
        return Layer(each(weight, like), each(bias, like))
