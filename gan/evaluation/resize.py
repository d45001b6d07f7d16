"""The three ways in which published FID code brings pictures to the network's size; they give different numbers.

    tf1        TensorFlow 1's bilinear without half-pixel centres: torch-fidelity, so GRAM and its followers
    bilinear   half-pixel centres, no anti-aliasing: pytorch-fid
    clean      Pillow's bicubic, anti-aliased, every channel in float32, neither rounded nor cut off: clean-fid

Suffixes: B batch, H W pixels.
"""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

Resize = Literal["tf1", "bilinear", "clean"]
RESIZES: tuple[Resize, ...] = ("tf1", "bilinear", "clean")


def resized(image_B3HW: Float[Tensor, "b 3 h w"], side_px: int, how: Resize) -> Float[Tensor, "b 3 s s"]:
    """Resample square or other pictures to a square."""
    if how == "bilinear":
        return F.interpolate(image_B3HW, size=(side_px, side_px), mode="bilinear", align_corners=False)
    if how == "clean":
        return _bicubic(image_B3HW, side_px)
    return _along(_along(image_B3HW, 2, side_px), 3, side_px)


def _bicubic(image_B3HW: Tensor, side_px: int) -> Tensor:
    """Resample by Pillow itself: its anti-aliased bicubic is what makes the numbers clean-fid's."""
    channels_KHW = image_B3HW.flatten(0, 1).float().cpu().numpy()
    size = (side_px, side_px)
    resampled = [
        np.asarray(Image.fromarray(channel).resize(size, Image.Resampling.BICUBIC)) for channel in channels_KHW
    ]
    return torch.from_numpy(np.stack(resampled)).to(image_B3HW).unflatten(0, image_B3HW.shape[:2])


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
