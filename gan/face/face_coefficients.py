"""What a face-reconstruction network says of a face picture, and what such a network must be to serve Eq. 9.

Suffixes: B batch, H W pixels, K coefficients.
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn


class Coefficients(NamedTuple):
    """3DMM coefficients of a batch, in deviations: what Eq. 9 compares with those commanded."""

    z_id_BK: Float[Tensor, "b 80"]
    z_exp_BK: Float[Tensor, "b 64"]


class FaceEstimator(nn.Module):
    """Reads `Coefficients` off renders of the face camera, with gradients to the picture; its weights stay as they are.

    `name` tells people which network it is, `weights_sha256` tells a run which one; `face_sha256` is the hash of the
    face model whose coefficients it speaks: no other may be compared with them.
    """

    name: str
    weights_sha256: str
    face_sha256: str

    def forward(self, face_B3HW: Float[Tensor, "b 3 h w"]) -> Coefficients:
        """Estimate from square pictures in [-1, 1] on white, of any size that training renders."""
        raise NotImplementedError
