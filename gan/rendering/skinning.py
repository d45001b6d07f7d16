"""From target space to neutral-pose space: nearest vertex, inverse skinning, smoothing (the paper's D_p, Eq. 11).

Suffixes: B batch, H W pixels, S samples, D = S / 2, V vertices.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from gan.networks.pose_deformation import PoseSmoothing
from gan.rendering.nearest_vertices import nearest_vertex
from gan.rendering.posed_body import PosedBody, apply_affine


def neutral_from_target(
    target_BHWS3: Float[Tensor, "b h w s 3"], body: PosedBody, smoother: PoseSmoothing
) -> Float[Tensor, "b h w s 3"]:
    """Undo the pose at every sample; transforms are looked up at half resolution (samples 0, 2, ...) and smoothed."""
    return apply_field(transform_field(target_BHWS3, body), target_BHWS3, smoother)


def transform_field(target_BHWS3: Float[Tensor, "b h w s 3"], body: PosedBody) -> Float[Tensor, "b 12 d h2 w2"]:
    """Return the inverse skinning transforms at every second sample: what D_p smooths (T of Eq. 11)."""
    half_BDHW3 = target_BHWS3[:, ::2, ::2, ::2].permute(0, 3, 1, 2, 4)
    field = [
        transforms_V34[nearest_vertex(points.reshape(-1, 3), vertices_V3)].view(*points.shape[:-1], 12)
        for points, vertices_V3, transforms_V34 in zip(
            half_BDHW3, body.vertices_BV3, body.canonical_from_posed_BV34, strict=True
        )
    ]
    # The smoothing kernels sum to one, so the bottom row of the 4 x 4 stays (0, 0, 0, 1): twelve channels of sixteen.
    return torch.stack(field).permute(0, 4, 1, 2, 3)


def neutral_from_target_points(target_N3: Float[Tensor, "n 3"], body: PosedBody) -> Float[Tensor, "n 3"]:
    """Undo the pose of the first body at every point by itself: no half resolution, no smoothing."""
    transforms_V34 = body.canonical_from_posed_BV34[0]
    return apply_affine(transforms_V34[nearest_vertex(target_N3, body.vertices_BV3[0])], target_N3)


def apply_field(
    field_BCDHW: Float[Tensor, "b 12 d h2 w2"], target_BHWS3: Float[Tensor, "b h w s 3"], smoother: PoseSmoothing
) -> Float[Tensor, "b h w s 3"]:
    """Smooth the transforms, double their resolution and apply them."""
    smooth_BCDHW = smoother(field_BCDHW)
    smooth_BHWS34 = smooth_BCDHW.permute(0, 3, 4, 2, 1).unflatten(-1, (3, 4))
    return apply_affine(smooth_BHWS34, target_BHWS3)


def carry_with_head(
    points_BHWS3: Float[Tensor, "b h w s 3"], posed_from_canonical_B34: Float[Tensor, "b 3 4"]
) -> Float[Tensor, "b h w s 3"]:
    """Move the face camera's samples along with the posed head joint (paper section 4; the detail is assumed)."""
    matrix_BHWS34 = posed_from_canonical_B34[:, None, None, None].expand(*points_BHWS3.shape[:-1], 3, 4)
    return apply_affine(matrix_BHWS34, points_BHWS3)
