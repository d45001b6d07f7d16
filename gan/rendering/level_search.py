"""Which samples of a ray must be evaluated to know where s first falls through every level.

First the *knots*, every fourth sample; then the samples of those intervals between knots in which s could fall through
a level. Let d be the rise of s over an interval of w steps, so that s rises by d / w a step on average, and let m be
the interval's margin. Suppose that

    (H)  no single step of the interval differs from d / w by more than m / 2.

Then s stays within m of the straight line between the knots (w = 4 and both ends are known), so it meets no level that
is farther than m from the values at both; and if d > 2 m, every step rises, so no level is fallen through. `may_fall`
leaves out only such intervals: under (H) the search finds what evaluating every sample finds.

(H) cannot be known without evaluating. A bound from the weights holds but is no use: the product of the norms of D_e's
layers is some forty times its real slope. So m is taken from the second differences of s around the interval, five
times what a parabola needs, and (H) is *checked* on every interval that is evaluated, one interval in `AUDIT` being
evaluated for this alone. Where it fails anywhere, all margins are doubled; after three times everything is evaluated.

Where shapes must not depend on numbers (`device_work`) every sample is evaluated.

Suffixes: R rays, S samples of a ray, K knots, I intervals between them, W samples inside one, N points, L levels.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gan.networks.device_work import fixed_shapes

Field = Callable[[Tensor], tuple[Tensor, ...]]

STRIDE = 4
MARGIN_OF_CURVATURE = 1.0  # of the largest second difference at knots: five times what a parabola needs
MARGIN_LEAST = 0.02  # in units of s, whose published levels are 0.65 apart
AUDIT = 61  # prime, so that the audited intervals lie at all depths and columns
WIDENINGS = (1, 2, 4)  # factors on all margins while (H) fails somewhere; then everything is evaluated
SAMPLES_WORTH_IT = 128  # of a ray: with longer steps, as in previews, (H) mostly fails


def evaluate_everywhere(
    field: Field, points_RS3: Float[Tensor, "r s 3"], levels_L: Float[Tensor, " l"]
) -> tuple[Tensor, ...]:
    """Return what `field` says of points (N, 3), as (R, S, ...)."""
    return tuple(value.unflatten(0, points_RS3.shape[:2]) for value in field(points_RS3.flatten(0, 1)))


@torch.no_grad()
def evaluate_falls(
    field: Field, points_RS3: Float[Tensor, "r s 3"], levels_L: Float[Tensor, " l"]
) -> tuple[Tensor, ...]:
    """Return what `field` says of points (N, 3), as (R, S, ...), right at the knots and at both ends of first falls.

    Elsewhere its first answer s is linear between the knots and falls through no level; the others are zero.
    """
    rays, samples = points_RS3.shape[:2]
    if samples < SAMPLES_WORTH_IT or fixed_shapes(points_RS3):
        return evaluate_everywhere(field, points_RS3, levels_L)
    whole = (samples - 1) // STRIDE * STRIDE  # steps in intervals of full width; the few after them are all evaluated
    at_knots = field(points_RS3[:, : whole + 1 : STRIDE].flatten(0, 1))
    s_RK = at_knots[0].view(rays, -1)
    values = [
        points_RS3.new_zeros(rays, samples, *value.shape[1:]).index_copy_(
            1, torch.arange(0, whole + 1, STRIDE, device=points_RS3.device), value.unflatten(0, (rays, -1))
        )
        for value in at_knots
    ]
    _fill(values, field, points_RS3, slice(whole + 1, samples))
    inside = [value[:, :whole].unflatten(1, (-1, STRIDE))[:, :, 1:] for value in values]
    points_RIW3 = points_RS3[:, :whole].unflatten(1, (-1, STRIDE))[:, :, 1:]
    steps_W = torch.arange(1, STRIDE, device=s_RK.device) / STRIDE
    inside[0].copy_(torch.lerp(s_RK[:, :-1, None], s_RK[:, 1:, None], steps_W.to(s_RK.dtype)))

    known_RI = torch.zeros_like(s_RK[:, 1:], dtype=torch.bool)
    known_RI.view(-1)[::AUDIT] = True
    evaluated_RI = torch.zeros_like(known_RI)
    curvature_RI = _curvature(s_RK)
    for widening in WIDENINGS:
        margin_RI = widening * MARGIN_OF_CURVATURE * curvature_RI + MARGIN_LEAST
        known_RI = known_RI | may_fall(s_RK, margin_RI, levels_L)
        new_RI = known_RI & ~evaluated_RI
        answers = field(points_RIW3[new_RI].flatten(0, 1))
        for value_RIW, answer in zip(inside, answers, strict=True):
            value_RIW[new_RI] = answer.unflatten(0, (-1, STRIDE - 1))
        evaluated_RI = known_RI
        if not bool((_unevenness(s_RK, inside[0])[known_RI] > margin_RI[known_RI] / 2).any()):
            return tuple(values)
    return evaluate_everywhere(field, points_RS3, levels_L)


def may_fall(
    s_RK: Float[Tensor, "r k"], margin_RI: Float[Tensor, "r i"], levels_L: Float[Tensor, " l"]
) -> Bool[Tensor, "r i"]:
    """Mark the intervals in which s may fall through a level if (H) holds."""
    near_RI, far_RI = s_RK[:, :-1], s_RK[:, 1:]
    ascending_L = levels_L.sort().values
    low_RI, high_RI = torch.minimum(near_RI, far_RI) - margin_RI, torch.maximum(near_RI, far_RI) + margin_RI
    below_RI, up_to_RI = (
        torch.bucketize(low_RI, ascending_L, out_int32=True),
        torch.bucketize(high_RI, ascending_L, right=True, out_int32=True),
    )
    return (below_RI < up_to_RI) & ~(far_RI - near_RI > 2 * margin_RI)


def _curvature(s_RK: Tensor) -> Float[Tensor, "r i"]:
    """Return the largest second difference at the four knots around every interval."""
    second_RK = F.pad((s_RK[:, 2:] - 2 * s_RK[:, 1:-1] + s_RK[:, :-2]).abs(), (2, 2))
    return F.max_pool1d(second_RK[:, None], 4, 1)[:, 0]


def _unevenness(s_RK: Tensor, inside_RIW: Tensor) -> Float[Tensor, "r i"]:
    """Return the largest difference of a single step from the mean step of its interval."""
    ends_RI1 = s_RK[:, :-1, None], s_RK[:, 1:, None]
    steps_RIW = torch.cat([ends_RI1[0], inside_RIW, ends_RI1[1]], 2).diff(dim=2)
    return (steps_RIW - (ends_RI1[1] - ends_RI1[0]) / STRIDE).abs().amax(2)


def _fill(values: list[Tensor], field: Field, points_RS3: Tensor, where: slice) -> None:
    points = points_RS3[:, where]
    if points.shape[1]:
        for value, answer in zip(values, field(points.flatten(0, 1)), strict=True):
            value[:, where] = answer.unflatten(0, points.shape[:2])
