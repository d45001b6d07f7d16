"""What a face-reconstruction network says of a face picture, and what such a network must be to serve Eq. 9.

Suffixes: B batch, H W pixels, K coefficients.
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn


class Coefficients(NamedTuple):
    """3DMM coefficients of a batch: 80 identity, 64 expression and 80 texture in deviations, 27 of light.

    Angles in radians and translation in decimetres are those of `frames.face_frames`. Eq. 9 reads the first two.
    """

    z_id_BK: Tensor
    z_exp_BK: Tensor
    tex_BK: Tensor
    angle_B3: Tensor
    gamma_BK: Tensor
    trans_B3: Tensor


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
