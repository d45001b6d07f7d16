"""Gradients through level-set searches at the cost of the hits alone.

A hit depends on the field at the two ends of its interval and nowhere else, but finding that interval takes the field
at every sample of the ray. So everything is evaluated without a graph first, and then the ends again with one: the same
gradients for a small part of the memory and time (GRAM-sized networks do not fit a GPU otherwise). Where shapes must
not depend on numbers (`device_work`), those of all levels are evaluated again, hit or not.

Suffixes: R rays, S samples of a ray, L levels, N points, C channels.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gan.networks.device_work import fixed_shapes
from gan.rendering.level_search import Field, evaluate_everywhere, evaluate_falls
from gan.rendering.level_sets import find_crossings


def evaluate_for_search(
    field: Field, points_RS3: Float[Tensor, "r s 3"], levels_L: Float[Tensor, " l"], falling_only: bool
) -> tuple[Tensor, ...]:
    """Return what `field` says of points (N, 3), its first answer s (N), at all samples, as (R, S, ...).

    With `falling_only` it is evaluated where a level may be fallen through; `level_search` says what stands elsewhere.
    Where gradients are wanted they flow through the ends of the intervals that `find_crossings` picks.
    """
    with torch.no_grad():
        search = evaluate_falls if falling_only else evaluate_everywhere
        values = search(field, points_RS3, levels_L)
    if not torch.is_grad_enabled():
        return values
    if fixed_shapes(points_RS3):
        return _with_ends_of_all(field, points_RS3, values, levels_L, falling_only)
    ends_RS = _ends_of_hits(values[0], levels_L, falling_only)
    again = field(points_RS3[ends_RS])
    return tuple(value.index_put((ends_RS,), new) for value, new in zip(values, again, strict=True))


def _with_ends_of_all(
    field: Field, points_RS3: Tensor, values: tuple[Tensor, ...], levels_L: Tensor, falling_only: bool
) -> tuple[Tensor, ...]:
    """Evaluate both ends of every ray's and level's interval again, E of them; only valid crossings have gradients.

    A sample may be an end of several intervals: its gradient is shared out among them.
    """
    with torch.no_grad():
        crossings = find_crossings(values[0], levels_L, 0.0, falling_only)
        end_RE = torch.cat([crossings.near_RL, crossings.near_RL + 1], 1)
        counts_RE = crossings.valid_RL.to(points_RS3.dtype).repeat(1, 2)
        users_RS = torch.zeros_like(values[0]).scatter_add_(1, end_RE, counts_RE)
        share_RE = counts_RE / users_RS.gather(1, end_RE).clamp(min=1)
    points_RE3 = points_RS3.gather(1, end_RE[..., None].expand(-1, -1, 3))
    again = [new.unflatten(0, end_RE.shape) for new in field(points_RE3.flatten(0, 1))]
    shares = [share_RE.view(*share_RE.shape, *[1] * (new.ndim - 2)) for new in again]
    index = [end_RE.view(shared.shape).expand_as(new) for new, shared in zip(again, shares, strict=True)]
    shared = [new.detach() + share * (new - new.detach()) for new, share in zip(again, shares, strict=True)]
    return tuple(value.scatter(1, at, new) for value, at, new in zip(values, index, shared, strict=True))


@torch.no_grad()
def _ends_of_hits(s_RS: Tensor, levels_L: Tensor, falling_only: bool) -> Bool[Tensor, "r s"]:
    """Mark the samples at either end of a valid crossing; other crossings are not interpolated (`level_sets`)."""
    crossings = find_crossings(s_RS, levels_L, 0.0, falling_only)
    ray_N, level_N = crossings.valid_RL.nonzero(as_tuple=True)
    near_N = crossings.near_RL[ray_N, level_N]
    ends_RS = torch.zeros_like(s_RS, dtype=torch.bool)
    ends_RS[ray_N, near_N] = True
    ends_RS[ray_N, near_N + 1] = True
    return ends_RS
