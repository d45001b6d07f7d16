"""The network of the stand-in face estimator: it looks for 68 landmarks first, and reads codes off where they lie.

An expression moves a landmark by 1.6 mm on average, a third of a pixel of 64. Heat maps whose centre of mass is taken
resolve that, and each of them is taught where its landmark is.

Suffixes: B batch, C channels, H W pixels, L landmarks, K coefficients, digits literal sizes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gan.face.face_coefficients import Coefficients

STANDIN_PX = 64
LANDMARKS, CODES = 68, (80, 64, 2)  # identity, expression, and the face camera's pitch and yaw
_GROUPS, _WIDTHS, _GLOBAL, _HIDDEN = 4, (16, 32, 48, 64), 32, 128
_SPREAD = 4.0  # brings landmarks about their centre to the size of the other features
_SLOPE = 0.1


class Reading(NamedTuple):
    """All that is read off a face picture; landmarks as `gan.training.face_crop.project` has them, in [-1, 1]."""

    landmark_BL2: Float[Tensor, "b 68 2"]
    coefficients: Coefficients
    camera_B2: Float[Tensor, "b 2"]


class StandinFaceNet(nn.Module):
    """Heat maps of a quarter of the side, and a coarse look at the whole; `mean_K`, `scale_K` are the labels' own."""

    mean_K: Tensor
    scale_K: Tensor

    def __init__(self) -> None:
        super().__init__()
        first, second, fine, coarse = _WIDTHS
        self.fine = nn.Sequential(
            _block(3, first, 2), _block(first, second, 2), _block(second, fine), _block(fine, fine)
        )
        self.coarse = nn.Sequential(_block(fine, coarse, 2), _block(coarse, coarse), _block(coarse, coarse))
        self.raised = nn.Conv2d(coarse, fine, 1)
        self.heat = nn.Sequential(_block(fine, fine), nn.Conv2d(fine, LANDMARKS, 1))
        self.whole = _block(coarse, _GLOBAL, 2)
        self.hidden = nn.Linear(2 * LANDMARKS + _GLOBAL * (STANDIN_PX // 16) ** 2, _HIDDEN)
        self.last = nn.Linear(_HIDDEN, sum(CODES))
        self.register_buffer("mean_K", torch.zeros(sum(CODES)))
        self.register_buffer("scale_K", torch.ones(sum(CODES)))

    def forward(self, face_B3HW: Float[Tensor, "b 3 64 64"]) -> Reading:
        """Read pictures in [-1, 1]."""
        fine = self.fine(face_B3HW)
        coarse = self.coarse(fine)
        raised = F.interpolate(self.raised(coarse), scale_factor=2.0, mode="bilinear", align_corners=False)
        landmark_BL2 = centre_of_mass(self.heat(fine + raised))
        features = [_SPREAD * centred(landmark_BL2).flatten(1), self.whole(coarse).flatten(1)]
        hidden = F.leaky_relu(self.hidden(torch.cat(features, 1)), _SLOPE)
        z_id_BK, z_exp_BK, camera_B2 = (self.last(hidden) * self.scale_K + self.mean_K).split(CODES, 1)
        return Reading(landmark_BL2, Coefficients(z_id_BK, z_exp_BK), camera_B2)


def _block(before: int, after: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 3, stride, padding=1)
    return nn.Sequential(convolution, nn.GroupNorm(_GROUPS, after), nn.LeakyReLU(_SLOPE))


def centre_of_mass(heat_BLHW: Float[Tensor, "b l h w"]) -> Float[Tensor, "b l 2"]:
    """Return where the softmax of each map lies, x rightwards and y downwards, the picture's rims at -1 and 1."""
    mass_BLHW = heat_BLHW.flatten(2).softmax(-1).view_as(heat_BLHW)
    height, width = heat_BLHW.shape[2:]
    x, y = (((2 * torch.arange(side) + 1) / side - 1).to(heat_BLHW) for side in (width, height))
    return torch.stack([mass_BLHW.sum(2) @ x, mass_BLHW.sum(3) @ y], -1)


def centred(point_BL2: Float[Tensor, "b l 2"]) -> Float[Tensor, "b l 2"]:
    """Take the points' mean away: a shift of the face in its picture says nothing of its codes."""
    return point_BL2 - point_BL2.mean(1, keepdim=True)


def resized(image_B3HW: Float[Tensor, "b 3 h w"], side: int) -> Float[Tensor, "b 3 s s"]:
    """Bring pictures to `side` pixels; larger ones are averaged, so that gradients reach every pixel."""
    if image_B3HW.shape[-1] == side:
        return image_B3HW
    return F.interpolate(image_B3HW, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
