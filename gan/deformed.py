"""Hits of deformed camera rays on the manifolds: the search of the final render (spec 2, section 5).

Two searches give hits. `exact` evaluates D_e and M at all 256 samples of a ray, as published. `fast` evaluates every
fourth and then only the intervals in which s could fall through a level; it keeps a margin, but no bound proves it.

Suffixes: R rays, S fine samples, Q coarse samples, N points, L levels, K knots (fine samples evaluated first).
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gan.config import GeneratorConfig
from gan.deform import ExpressionDeformation, search_coordinates
from gan.film import FilmStyle
from gan.levelset import at_crossings, find_crossings
from gan.manifold import ManifoldPredictor, levels
from gan.sparse_gradients import evaluate_for_search

Search = Literal["exact", "fast"]
STRIDE = 4  # fine samples between knots
MARGIN_CURVATURE = 1.0  # of the largest second difference of s among the neighbouring knots
MARGIN_FLOOR = 0.02


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
        for part in points_N3.split(self.chunk):
            shift = self.deform(part[None], self.style)
            s.append(self.field(search_coordinates(part[None], shift)[0]))
            displacement.append(shift[0])
        return torch.cat(s), torch.cat(displacement)


def hit_manifolds(
    neutral_RQ3: Float[Tensor, "r q 3"], field: DeformedField, config: GeneratorConfig, search: Search
) -> tuple[Float[Tensor, "r l 3"], Float[Tensor, "r l"]]:
    """Return canonical hits of every ray with every level and their validity (0 or 1)."""
    every = torch.arange(config.fine_samples, device=neutral_RQ3.device)
    points_RS3 = resample(neutral_RQ3, every, config.fine_samples)
    levels_L = levels(config.levels, config.level_first, config.level_last, neutral_RQ3)
    if search == "exact":
        s_RS, shift_RS3 = evaluate_for_search(field, points_RS3, levels_L, falling_only=True)
    else:
        s_RS, shift_RS3 = _search_knots_first(points_RS3, field, levels_L)
    crossings = find_crossings(s_RS, levels_L, config.guard, falling_only=True)
    # The displacement is in scaled coordinates and is added unscaled: see gan.deform.search_coordinates.
    hits_RL3 = at_crossings(points_RS3, crossings) + at_crossings(shift_RS3, crossings)
    return hits_RL3, crossings.valid_RL.to(hits_RL3.dtype)


def _search_knots_first(
    points_RS3: Tensor, field: DeformedField, levels_L: Tensor
) -> tuple[Float[Tensor, "r s"], Float[Tensor, "r s 3"]]:
    """Return s and displacements, evaluated where a level may be crossed and linear in between elsewhere."""
    rays, samples = points_RS3.shape[:2]
    knots = torch.arange(0, samples - 1, STRIDE, device=points_RS3.device)
    knots_K = torch.cat([knots, knots.new_tensor([samples - 1])])
    s_N, shift_N3 = field(points_RS3[:, knots_K].flatten(0, 1))
    s_RK = s_N.view(rays, -1)
    owner_S = (torch.arange(samples, device=knots.device) // STRIDE).clamp(max=len(knots) - 1)
    is_knot_S = torch.zeros(samples, dtype=torch.bool, device=knots.device).index_fill_(0, knots_K, True)

    width_S = (knots_K[owner_S + 1] - knots_K[owner_S]).to(s_RK.dtype)
    fraction_S = (torch.arange(samples, device=knots.device) - knots_K[owner_S]).to(s_RK.dtype) / width_S
    s_RS = torch.lerp(s_RK[:, owner_S], s_RK[:, owner_S + 1], fraction_S)
    shift_RS3 = points_RS3.new_zeros(points_RS3.shape)
    shift_RS3[:, knots_K] = shift_N3.view(rays, -1, 3)
    s_RS[:, knots_K] = s_RK

    wanted_RS = may_cross(s_RK, levels_L)[:, owner_S] & ~is_knot_S
    s_RS[wanted_RS], shift_RS3[wanted_RS] = field(points_RS3[wanted_RS])
    return s_RS, shift_RS3


def may_cross(s_RK: Float[Tensor, "r k"], levels_L: Float[Tensor, " l"]) -> Tensor:
    """Mark the intervals between knots in which s may fall through a level.

    Between two knots s is taken to leave the straight line by no more than a margin made of the second differences
    around. An interval is safe if no level lies within its range so widened, or if it rises by more than twice that.
    """
    second = (s_RK[:, 2:] - 2 * s_RK[:, 1:-1] + s_RK[:, :-2]).abs()
    padded = torch.nn.functional.pad(second, (2, 2))  # one entry a knot, one more knot on either side
    around = torch.nn.functional.max_pool1d(padded[:, None], 4, 1)[:, 0]
    margin = MARGIN_CURVATURE * around + MARGIN_FLOOR
    near, far = s_RK[:, :-1], s_RK[:, 1:]
    ascending = levels_L.flip(0).contiguous()
    low, high = torch.minimum(near, far) - margin, torch.maximum(near, far) + margin
    holds_level = torch.bucketize(low, ascending) < torch.bucketize(high, ascending, right=True)
    return holds_level & ~(far - near > 2 * margin)
