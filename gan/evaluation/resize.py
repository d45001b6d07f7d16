"""The two ways in which published FID code brings pictures to the network's size; they give different numbers.

    tf1        TensorFlow 1's bilinear without half-pixel centres: torch-fidelity, so GRAM and its followers
    bilinear   half-pixel centres, no anti-aliasing: pytorch-fid

Suffixes: B batch, H W pixels.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Resize = Literal["tf1", "bilinear"]
RESIZES: tuple[Resize, ...] = ("tf1", "bilinear")


def resized(image_B3HW: Float[Tensor, "b 3 h w"], side_px: int, how: Resize) -> Float[Tensor, "b 3 s s"]:
    """Resample square or other pictures to a square."""
    if how == "bilinear":
        return F.interpolate(image_B3HW, size=(side_px, side_px), mode="bilinear", align_corners=False)
    return _along(_along(image_B3HW, 2, side_px), 3, side_px)


def _along(image_B3HW: Tensor, axis: int, side_px: int) -> Tensor:
    """Interpolate at i * size / side, without the half pixel."""
    size = image_B3HW.shape[axis]
    at = torch.arange(side_px, dtype=image_B3HW.dtype, device=image_B3HW.device) * (size / side_px)
    low = at.floor().long().clamp(max=size - 1)
    shape = [1, 1, 1, 1]
    shape[axis] = side_px
    share = (at - low).view(shape)
    below, above = image_B3HW.index_select(axis, low), image_B3HW.index_select(axis, (low + 1).clamp(max=size - 1))
    return below + (above - below) * share
