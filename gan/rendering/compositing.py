"""From hits on the manifolds to a picture (Eq. 8).

Suffixes: L level sets, H W pixels, 2 3 4 literal channels.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from dataprep.kernels.compositing_kernels import composited
from dataprep.kernels.machine_code import suits
from gan.config import MAP_CENTRE_Y, GeneratorConfig
from gan.networks.arithmetic import arithmetic, patch

MISS_DISTANCE = 10.0  # face units, behind everything: a miss is sorted last; the released code's
VALID_ABOVE = 0.99  # of validity interpolated between rays: a pixel counts only where all rays about it hit (released)
PATCH_PIXELS = 1 << 15  # composited again at a time for the backward pass: 24 layers of RGBA are 13 MB [assumed]
BAND_PIXELS = 1 << 13  # composited at a time on a CPU: 24 layers of RGBA stay in the cache


class ComposedPicture(NamedTuple):
    """RGB in [-1, 1] over white, expected distance (face units, NaN where nothing is hit), opacity in [0, 1]."""

    image_3HW: Tensor
    depth_HW: Tensor
    opacity_HW: Tensor


def render_hits(
    maps_L4HW: Float[Tensor, "l 4 mh mw"],
    hits_L3HW: Float[Tensor, "l 3 h w"],
    valid_L1HW: Float[Tensor, "l 1 h w"],
    origin_3: Float[Tensor, "3"],
    config: GeneratorConfig,
    size: int,
) -> ComposedPicture:
    """Interpolate hits to `size` pixels, look their colours up in the maps and composite."""
    layers_L4HW = torch.cat([hits_L3HW, valid_L1HW], 1)
    if suits(maps_L4HW) and min(*layers_L4HW.shape[2:], *maps_L4HW.shape[2:], size) > 1:
        window = config.map_half_side, MAP_CENTRE_Y
        return ComposedPicture(*composited(maps_L4HW, layers_L4HW, origin_3, window, VALID_ABOVE, size))

    def of_rows(row: int, maps_L4HW: Tensor, layers_L4HW: Tensor) -> ComposedPicture:
        band = _enlarged(layers_L4HW, size, slice(row, min(row + rows, size)))
        colours_L4HW = sample_maps(maps_L4HW, band[:, :2], config.map_half_side)
        return composite(colours_L4HW, distance(band[:, :3], origin_3), band[:, 3] > VALID_ABOVE)

    small = maps_L4HW.device.type == "cpu" or arithmetic().recompute
    rows = max(1, (BAND_PIXELS if maps_L4HW.device.type == "cpu" else PATCH_PIXELS) // size) if small else size
    bands = [patch(of_rows, row, maps_L4HW, layers_L4HW) for row in range(0, size, rows)]
    return ComposedPicture(*(torch.cat(parts, -2) for parts in zip(*bands, strict=True)))


def _enlarged(layers_LCHW: Tensor, size: int, rows: slice) -> Float[Tensor, "l c h2 w2"]:
    """Return some rows of the layers interpolated to `size` pixels a side, end points aligned."""
    height = layers_LCHW.shape[2]
    if size == height:
        return layers_LCHW[:, :, rows]
    position = torch.arange(rows.start, rows.stop, device=layers_LCHW.device) * ((height - 1) / (size - 1))
    above = position.long().clamp(max=height - 2)
    fraction = (position - above).to(layers_LCHW.dtype)[:, None]
    band = torch.lerp(layers_LCHW[:, :, above], layers_LCHW[:, :, above + 1], fraction)
    return F.interpolate(band, size=(len(above), size), mode="bilinear", align_corners=True)


def distance(points_L3HW: Tensor, origin_3: Tensor) -> Float[Tensor, "l h w"]:
    """Return |point - origin|, coordinate by coordinate: a norm over a dimension that is not the last is slow."""
    x, y, z = ((points - o).square_() for points, o in zip(points_L3HW.unbind(1), origin_3, strict=True))
    return x.add_(y).add_(z).sqrt_()


def sample_maps(
    maps_L4HW: Float[Tensor, "l 4 mh mw"], hits_L2HW: Float[Tensor, "l 2 h w"], half_side: float
) -> Float[Tensor, "l 4 h w"]:
    """Look the radiance maps up at the x, y of canonical hits."""
    x, y = hits_L2HW.unbind(1)
    grid = torch.stack([x / half_side, (y - MAP_CENTRE_Y) / half_side], -1)
    return F.grid_sample(maps_L4HW, grid, mode="bilinear", padding_mode="border", align_corners=False)


def composite(
    rgba_L4HW: Float[Tensor, "l 4 h w"], distance_LHW: Float[Tensor, "l h w"], valid_LHW: Bool[Tensor, "l h w"]
) -> ComposedPicture:
    """C = sum_i T_i alpha_i c_i with T_i = prod_{k<i} (1 - alpha_k), front to back by distance, over white."""
    distance_LHW = torch.where(valid_LHW, distance_LHW, MISS_DISTANCE)
    rgba_L4HW = torch.cat([rgba_L4HW[:, :3], rgba_L4HW[:, 3:] * valid_LHW[:, None]], 1)
    if distance_LHW.device.type != "cpu" or not _front_to_back(distance_LHW, valid_LHW):
        distance_LHW, order_LHW = distance_LHW.sort(dim=0, stable=True)
        rgba_L4HW = rgba_L4HW.gather(0, order_LHW[:, None].expand_as(rgba_L4HW))
    weights_LHW = compositing_weights(rgba_L4HW[:, 3])
    opacity_HW = weights_LHW.sum(0)
    colour_3HW = (weights_LHW[:, None] * rgba_L4HW[:, :3]).sum(0) + (1 - opacity_HW)
    return ComposedPicture(2 * colour_3HW - 1, (weights_LHW * distance_LHW).sum(0) / opacity_HW, opacity_HW)


def compositing_weights(alpha_LHW: Float[Tensor, "l *hw"]) -> Float[Tensor, "l *hw"]:
    """Return T_i alpha_i of layers listed front to back."""
    # 1e-10 as in the released code: behind an opaque layer the product does not become zero.
    passed = torch.cumprod(1 - alpha_LHW[:-1] + 1e-10, 0)
    return alpha_LHW * torch.cat([torch.ones_like(alpha_LHW[:1]), passed])


def _front_to_back(distance_LHW: Tensor, valid_LHW: Tensor) -> bool:
    """Say whether the hits are in order already, as they mostly are: a ray meets falling levels one after another."""
    farthest = torch.zeros_like(distance_LHW[0])
    for distance, valid in zip(distance_LHW, valid_LHW, strict=True):
        if bool((valid & (distance < farthest)).any()):
            return False
        farthest = torch.where(valid, distance, farthest)
    return True
