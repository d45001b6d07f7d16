"""Where rays meet the level sets of M, the radiance manifolds.

Suffixes: R rays, S samples of a ray, L levels, C channels of whatever is interpolated at a hit.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gan.networks.device_work import fixed_shapes


class Crossings(NamedTuple):
    """For every ray and level: the interval [near, near + 1], how far along it, and whether it is a hit at all."""

    near_RL: Int[Tensor, "r l"]
    fraction_RL: Float[Tensor, "r l"]
    found_RL: Bool[Tensor, "r l"]
    valid_RL: Bool[Tensor, "r l"]


def find_crossings(
    s_RS: Float[Tensor, "r s"], levels_L: Float[Tensor, " l"], guard: float, falling_only: bool
) -> Crossings:
    """Pick for each level the earliest interval in which s falls through it (or, not `falling_only`, changes sign).

    A hit is valid where s falls. A level that is never met takes the ray's last sample and is invalid; so does the far
    end stand for a crossing whose s difference is within `guard`. So a pixel may depend on the last bits of s: a sample
    on a level may end one interval or begin the next, whose far end is a step away. Gradients flow through the
    fractions.
    """
    with torch.no_grad():
        earliest = _earliest_of_all if fixed_shapes(s_RS) else _earliest_intervals
        near_RL, found_RL = earliest(s_RS, levels_L, falling_only)
    s_near, s_far = s_RS.gather(1, near_RL), s_RS.gather(1, near_RL + 1)
    valid_RL = found_RL & (s_near >= levels_L) & (s_far <= levels_L)
    interpolate_RL = valid_RL & ((s_far - s_near).abs() > guard)
    difference = torch.where(interpolate_RL, s_near - s_far, torch.ones_like(s_near))
    fraction_RL = torch.where(interpolate_RL, (s_near - levels_L) / difference, torch.ones_like(s_near))
    return Crossings(near_RL, fraction_RL, found_RL, valid_RL)


def at_crossings(values_RSC: Float[Tensor, "r s c"], crossings: Crossings) -> Float[Tensor, "r l c"]:
    """Interpolate values given at the samples linearly to the crossings."""
    index_RLC = crossings.near_RL[..., None].expand(-1, -1, values_RSC.shape[2])
    near, far = values_RSC.gather(1, index_RLC), values_RSC.gather(1, index_RLC + 1)
    return torch.lerp(near, far, crossings.fraction_RL[..., None])


def _earliest_of_all(s_RS: Tensor, levels_L: Tensor, falling_only: bool) -> tuple[Tensor, Tensor]:
    """Return what `_earliest_intervals` does, from every interval, level by level."""
    near_RI, far_RI = s_RS[:, :-1], s_RS[:, 1:]
    low_RI, high_RI = (far_RI, near_RI) if falling_only else (near_RI.minimum(far_RI), near_RI.maximum(far_RI))
    first, found = [], []
    for level in levels_L.unbind():
        met_RI = ((low_RI <= level) & (level <= high_RI)).view(torch.uint8)
        first.append(met_RI.argmax(1))
        found.append(met_RI.amax(1).bool())
    found_RL = torch.stack(found, 1)
    return torch.where(found_RL, torch.stack(first, 1), s_RS.shape[1] - 2), found_RL


def _earliest_intervals(s_RS: Tensor, levels_L: Tensor, falling_only: bool) -> tuple[Tensor, Tensor]:
    """Count the levels below every sample once, then look only at the intervals that hold a level.

    Both ends belong to an interval: a sample that lies on a level to the last bit has been seen in the published
    renders, as a hit where s only touches the level.
    """
    order = levels_L.argsort()
    below_RS = torch.bucketize(s_RS.contiguous(), levels_L[order], out_int32=True)  # levels < s
    up_to_RS = torch.bucketize(s_RS.contiguous(), levels_L[order], right=True, out_int32=True)  # levels <= s
    low_RS, high_RS = below_RS[:, 1:], up_to_RS[:, :-1]
    if not falling_only:
        low_RS, high_RS = torch.minimum(low_RS, below_RS[:, :-1]), torch.maximum(high_RS, up_to_RS[:, 1:])
    rays, intervals = (low_RS < high_RS).nonzero(as_tuple=True)
    low, high = low_RS[rays, intervals], high_RS[rays, intervals]
    rank_L = torch.arange(len(levels_L), device=s_RS.device)
    met_XL = (rank_L >= low[:, None]) & (rank_L < high[:, None])  # X intervals that hold a level
    never = s_RS.shape[1]
    first_RL = torch.full((len(s_RS), len(levels_L)), never, dtype=torch.int64, device=s_RS.device)
    candidates_XL = torch.where(met_XL, intervals[:, None], never)
    first_RL.scatter_reduce_(0, rays[:, None].expand_as(candidates_XL), candidates_XL, "amin")
    first_RL = first_RL[:, order.argsort()]
    found_RL = first_RL < never
    return torch.where(found_RL, first_RL, s_RS.shape[1] - 2), found_RL
