"""Exact nearest vertices; of several equally near ones the first. Suffixes: N queries, V vertices, C candidates.

Exact matters: the float32 shortcut |v|^2 - 2 q.v picks wrong vertices for a few queries in 100,000, and a wrong vertex
on a shoulder moves single pixels by 0.035. In float64 the shortcut is wrong only where two distances agree to some
fifteen digits, and those are compared again.
"""

import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

SCORES_BYTES = 1 << 28  # of the largest tensor: a block of queries against all vertices, in float64
# |computed - true| <= 8 u (|q| + |v|)^2 for the shortcut, whatever the order of its sums: 4 products and 3 roundings of
# |v|^2. Two scores may each be off, and twice that costs nothing.
ROUNDINGS = 32 * 2.0**-53
TREE_ROUNDING = 1e-15  # of the tree's distances, whose sums are fused or not, as scipy was built


@torch.no_grad()
def nearest_vertex(points_N3: Float[Tensor, "n 3"], vertices_V3: Float[Tensor, "v 3"]) -> Int[Tensor, " n"]:
    """Return the index of the vertex nearest to each point, of equally near ones the lowest."""
    if points_N3.device.type != "cpu":
        return exhaustive_nearest(points_N3, vertices_V3)
    tree = cKDTree(vertices_V3.numpy())
    # The second nearest costs a twentieth more and tells ties, of which the tree returns any.
    distance_N2, nearest_N2 = tree.query(points_N3.numpy(), k=2, workers=torch.get_num_threads())
    nearest_N = torch.as_tensor(nearest_N2[:, 0])
    tied_N = torch.as_tensor(distance_N2[:, 1] <= distance_N2[:, 0] * (1 + TREE_ROUNDING))
    if bool(tied_N.any()):
        nearest_N[tied_N] = exhaustive_nearest(points_N3[tied_N], vertices_V3)
    return nearest_N


@torch.no_grad()
def exhaustive_nearest(points_N3: Float[Tensor, "n 3"], vertices_V3: Float[Tensor, "v 3"]) -> Int[Tensor, " n"]:
    """Compare with every vertex, in blocks of queries: one matrix product each, and no wait for the device."""
    vertices = vertices_V3.double()
    weights_V4 = torch.cat([-2 * vertices, vertices.square().sum(1, keepdim=True)], 1)
    block = max(1, SCORES_BYTES // (8 * len(vertices)))
    return torch.cat([_nearest(points.double(), vertices, weights_V4) for points in points_N3.split(block)])


def _nearest(points_N3: Tensor, vertices_V3: Tensor, weights_V4: Tensor) -> Int[Tensor, " n"]:
    """Compare the lowest score's vertex, and the first and the last of those that rounding may hide, exactly.

    More than three that rounding may hide are in practice equally near, and then the first is right: as where vertices
    coincide.
    """
    scores_NV = torch.nn.functional.pad(points_N3, (0, 1), value=1.0) @ weights_V4.T
    score_N, lowest_N = scores_NV.min(1)
    reach_N = points_N3.norm(dim=1) + vertices_V3.norm(dim=1).max()
    hidden_NV = scores_NV <= (score_N + ROUNDINGS * reach_N.square())[:, None]
    del scores_NV
    first_N = hidden_NV.view(torch.uint8).argmax(1)
    last_N = len(vertices_V3) - 1 - hidden_NV.flip(1).view(torch.uint8).argmax(1)
    candidate_NC = torch.stack([first_N, lowest_N, last_N], 1)
    # Coordinate by coordinate, so that no device adds in another order and equal distances are equal to the last bit.
    x, y, z = (points_N3[:, None] - vertices_V3[candidate_NC]).square_().unbind(2)
    distance_NC = x + y + z
    is_nearest_NC = distance_NC == distance_NC.amin(1, keepdim=True)
    return torch.where(is_nearest_NC, candidate_NC, len(vertices_V3)).amin(1)
