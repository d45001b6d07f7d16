"""Hits of deformed camera rays on the manifolds: the search of the final render (what Eq. 8 composites).

Suffixes: R rays, S fine samples, Q coarse samples, N points, L levels.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gan.config import GeneratorConfig
from gan.networks.arithmetic import patch
from gan.networks.expression_deformation import ExpressionDeformation, search_coordinates
from gan.networks.film import FilmStyle
from gan.networks.manifold_predictor import ManifoldPredictor, levels
from gan.networks.pointwise import in_chunks
from gan.rendering.level_sets import at_crossings, find_crossings
from gan.rendering.sparse_gradients import evaluate_for_search


def resample(points_RQ3: Float[Tensor, "r q 3"], index_S: Int[Tensor, " s"], fine: int) -> Float[Tensor, "r s 3"]:
    """Return the given ones of `fine` points linear in the coarse points, end points included."""
    position = index_S.double() * ((points_RQ3.shape[1] - 1) / (fine - 1))
    before = position.long().clamp(max=points_RQ3.shape[1] - 2)
    fraction = (position - before).to(points_RQ3.dtype)[:, None]
    return torch.lerp(points_RQ3[:, before], points_RQ3[:, before + 1], fraction)


class DeformedField:
    """D_e followed by M for one frame."""

    def __init__(self, deform: ExpressionDeformation, field: ManifoldPredictor, style: FilmStyle, chunk: int) -> None:
        self.deform, self.field, self.style, self.chunk = deform, field, style, chunk

    def __call__(self, points_N3: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
        """Return s and the scaled displacement of neutral-pose points."""
        s, displacement = [], []
        for part in in_chunks(points_N3, self.chunk):
            s_of_part, shift = patch(self._of_part, part)
            s.append(s_of_part)
            displacement.append(shift)
        return torch.cat(s), torch.cat(displacement)

    def _of_part(self, points_N3: Tensor) -> tuple[Tensor, Tensor]:
        shift = self.deform(points_N3[None], self.style)
        return self.field(search_coordinates(points_N3[None], shift)[0]), shift[0]


def hit_manifolds(
    neutral_RQ3: Float[Tensor, "r q 3"], field: DeformedField, config: GeneratorConfig
) -> tuple[Float[Tensor, "r l 3"], Float[Tensor, "r l"]]:
    """Return canonical hits of every ray with every level and their validity (0 or 1)."""
    every = torch.arange(config.fine_samples, device=neutral_RQ3.device)
    points_RS3 = resample(neutral_RQ3, every, config.fine_samples)
    levels_L = levels(config.levels, config.level_first, config.level_last, neutral_RQ3)
    s_RS, shift_RS3 = evaluate_for_search(field, points_RS3, levels_L, falling_only=True)
    crossings = find_crossings(s_RS, levels_L, config.guard, falling_only=True)
    # The displacement is in scaled coordinates and is added unscaled: see expression_deformation.search_coordinates.
    hits_RL3 = at_crossings(points_RS3, crossings) + at_crossings(shift_RS3, crossings)
    return hits_RL3, crossings.valid_RL.to(hits_RL3.dtype)
