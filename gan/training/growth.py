"""Stage 1 with fewer rays at first: what people roughly look like does not need all of them, and they are the cost.

Critics keep their size. Generated pictures of fewer rays are made larger, and real ones are resampled to so few rays
and back, so that they show no more. Half the rays a side are a quarter of the rays; radiance maps keep their size.

Suffixes: B batch, H W pixels.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gan.losses import onto_rays
from gan.presets import Preset


def rays_of(preset: Preset, images_seen: int) -> int:
    """Return the rays a side of the step after so many images, not counting a paired start; doubled part by part."""
    growth, full = preset.growth, preset.portrait_px
    if not growth.first_px:
        return full
    parts = (full // growth.first_px).bit_length() - 1
    part = int(parts * max(0, images_seen - preset.paired.images) / growth.images)
    return growth.first_px << min(part, parts)


def coarse(image_B3HW: Float[Tensor, "b 3 h h"], rays: int) -> Float[Tensor, "b 3 h h"]:
    """Return real pictures as they look when seen by `rays` rays a side."""
    side = image_B3HW.shape[-1]
    if rays >= side:
        return image_B3HW
    down_LH = onto_rays(side, rays, image_B3HW)
    return enlarged(down_LH @ image_B3HW @ down_LH.T, side)


def enlarged(image_B3HW: Float[Tensor, "b 3 l l"], side: int) -> Float[Tensor, "b 3 h h"]:
    """Return pictures with more pixels; the outermost rays stay at the rims."""
    if image_B3HW.shape[-1] == side:
        return image_B3HW
    return F.interpolate(image_B3HW, (side, side), mode="bilinear", align_corners=True)
