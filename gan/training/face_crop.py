"""The face cut out of the portrait: Table 2's ablation of the face camera, and only that (paper section 4).

Suffixes: B batch, H W pixels.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gan.networks.device_work import constant
from gan.rendering.cameras import ViewCamera, project
from gan.rendering.posed_body import apply_affine

_UP = 0.01  # face units: far enough from the centre to give a direction


def crop_face(
    portrait_B3HW: Float[Tensor, "b 3 h w"],
    camera_B2: Float[Tensor, "b 2"],
    posed_from_canonical_head_B34: Float[Tensor, "b 3 4"],
    portrait: ViewCamera,
    face: ViewCamera,
    side_px: int,
) -> Float[Tensor, "b 3 f f"]:
    """Cut the window that the face camera sees at the head's centre, upright with the head, and resample it.

    How the paper cut is not published: this frames as `face.png` is framed [assumed]. The portrait's rim goes on.
    """
    canonical_23 = constant(((0.0, 0.0, 0.0), (0.0, _UP, 0.0)), portrait_B3HW)
    head_B234 = posed_from_canonical_head_B34[:, None].expand(-1, 2, -1, -1)
    at_B22, depth_B2 = project(
        apply_affine(head_B234, canonical_23.expand(len(camera_B2), -1, -1)), camera_B2, portrait
    )
    centre_B2, up_B2 = at_B22[:, 0], F.normalize(at_B22[:, 1] - at_B22[:, 0], dim=-1)
    right_B2 = torch.stack([-up_B2[:, 1], up_B2[:, 0]], -1)
    half_B1 = face.radius / depth_B2[:, :1]  # both cameras have one field of view

    across = torch.linspace(-1, 1, side_px, device=portrait_B3HW.device).to(portrait_B3HW.dtype)
    v, u = torch.meshgrid(across, across, indexing="ij")
    offset_BHW2 = torch.einsum("hw,bc->bhwc", u, half_B1 * right_B2) - torch.einsum("hw,bc->bhwc", v, half_B1 * up_B2)
    grid_BHW2 = centre_B2[:, None, None] + offset_BHW2
    return F.grid_sample(portrait_B3HW, grid_BHW2, mode="bilinear", padding_mode="border", align_corners=True)
