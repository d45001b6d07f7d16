"""D_e: moves neutral-pose points to canonical space according to identity and expression.

Suffixes: B batch, N points, K code values.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gan.config import COORDINATE_SCALE, EXPRESSION_CODE, ID_CODE
from gan.networks.film import FiLMLayer, FilmStyle, MappingNet, film_style
from gan.networks.pointwise import Layer, each, sum_of_heads


class ExpressionDeformation(nn.Module):
    """Seven inputs (coordinates, 3DMM reference displacement, confidence), seven outputs of which three are used."""

    def __init__(self, width: int = 128, mapping_width: int | None = None, mapping_layers: int = 4) -> None:
        super().__init__()
        self.network = nn.ModuleList([FiLMLayer(7 if i == 0 else width, width, first=i == 0) for i in range(3)])
        self.final_layer = nn.Linear(width, 7)
        nn.init.zeros_(self.final_layer.weight)
        nn.init.zeros_(self.final_layer.bias)
        codes = ID_CODE + EXPRESSION_CODE
        self.mapping_network = MappingNet(codes, mapping_width or width, 2 * 3 * width, mapping_layers)

    def style(self, z_id_BK: Float[Tensor, "b 80"], z_exp_BK: Float[Tensor, "b 64"]) -> FilmStyle:
        return film_style(self.mapping_network(torch.cat([z_id_BK, z_exp_BK], 1)), 3)

    def forward(
        self,
        points_BN3: Float[Tensor, "b n 3"],
        style: FilmStyle,
        reference_BN4: Float[Tensor, "b n 4"] | None = None,
    ) -> Float[Tensor, "b n 3"]:
        """Return the displacement in *scaled* coordinates (face units x 2 / 0.24) of points in face units.

        `reference_BN4` is the 3DMM displacement (face units) and its confidence; without it both are zero.
        """
        inputs = points_BN3 * COORDINATE_SCALE
        if reference_BN4 is not None:
            scaled_BN4 = torch.cat([reference_BN4[..., :3] * COORDINATE_SCALE, reference_BN4[..., 3:]], -1)
            inputs = torch.cat([inputs, scaled_BN4], -1)
        given = slice(inputs.shape[-1])
        layers = [
            cast(FiLMLayer, layer).modulated(*style.layer(i), slice(None) if i else given)
            for i, layer in enumerate(self.network)
        ]
        head = Layer(each(self.final_layer.weight[:3], inputs), each(self.final_layer.bias[:3], inputs))
        return sum_of_heads(inputs, layers, {len(layers) - 1: head})


def search_coordinates(
    points_BN3: Float[Tensor, "b n 3"], displacement_BN3: Float[Tensor, "b n 3"]
) -> Float[Tensor, "b n 3"]:
    """Return what enters the manifold search.

    D_e's sum is already scaled and M scales it once more, while a hit adds the scaled displacement to the unscaled
    point. Whether the authors meant that or not, the published weights need exactly this.
    """
    return torch.add(displacement_BN3, points_BN3, alpha=COORDINATE_SCALE)
