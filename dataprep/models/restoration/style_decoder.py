"""The decoder of GFPGAN: StyleGAN2 (Karras et al. 2020) whose features the U-Net's conditions scale and shift.

Names of layers are those of `GFPGANv1.4.pth`. Styles scale the input of a convolution and what its weights then weigh
is divided out of the output, which is the published modulation of the weights with less to multiply.
Shape suffixes: B batch, C channels, L styles (one a convolution), Z numbers of a style.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

NEGATIVE_SLOPE = 0.2
_GAIN = 2**0.5  # of the activation, which halves the power of what goes through
_EPSILON = 1e-8
FIRST_PX = 4  # side of the learned constant that every face begins as

Condition = tuple[Float[Tensor, "b _ _ _"], Float[Tensor, "b _ _ _"]]  # scale and shift


def twice_as_large(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 2*h 2*w"]:
    """Resize by interpolation."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class ModulatedConvolution(nn.Module):
    """A convolution whose input channels a style weighs; `demodulated`, each output channel keeps its power."""

    def __init__(self, n_in: int, n_out: int, side: int, style: int, *, demodulated: bool) -> None:
        super().__init__()
        self.demodulated = demodulated
        self.modulation = nn.Linear(style, n_in)
        self.weight = nn.Parameter(torch.zeros(1, n_out, n_in, side, side))

    def forward(self, x: Float[Tensor, "b c h w"], style_BZ: Float[Tensor, "b z"]) -> Float[Tensor, "b d h w"]:
        scale_BC = self.modulation(style_BZ)
        weight = self.weight[0]
        convolved = F.conv2d(x * scale_BC[..., None, None], weight, padding=weight.shape[-1] // 2)
        if not self.demodulated:
            return convolved
        power = scale_BC.square() @ weight.square().sum((2, 3)).T
        return convolved * torch.rsqrt(power + _EPSILON)[..., None, None]


class StyledConvolution(nn.Module):
    """Modulated convolution, noise of a learned strength, bias and activation."""

    def __init__(self, n_in: int, n_out: int, style: int) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConvolution(n_in, n_out, 3, style, demodulated=True)
        self.weight = nn.Parameter(torch.zeros(1))  # of the noise
        self.bias = nn.Parameter(torch.zeros(1, n_out, 1, 1))

    def forward(
        self, x: Float[Tensor, "b c h w"], style_BZ: Float[Tensor, "b z"], noise: Float[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b d h w"]:
        convolved = self.modulated_conv(x, style_BZ) * _GAIN
        return F.leaky_relu(convolved + self.weight * noise + self.bias, NEGATIVE_SLOPE)


class ToRgb(nn.Module):
    """What one level adds to the picture."""

    def __init__(self, n_in: int, style: int) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConvolution(n_in, 3, 1, style, demodulated=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Float[Tensor, "b c h w"], style_BZ: Float[Tensor, "b z"]) -> Float[Tensor, "b 3 h w"]:
        return self.modulated_conv(x, style_BZ) + self.bias


class LearnedConstant(nn.Module):
    """Where every picture begins."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, channels, FIRST_PX, FIRST_PX))


class StyleDecoder(nn.Module):
    """`widths` are the channels at 4, 8, 16 ... px; every further level has two convolutions and one sum to RGB."""

    def __init__(self, widths: Sequence[int], style: int) -> None:
        super().__init__()
        self.constant_input = LearnedConstant(widths[0])
        self.style_conv1 = StyledConvolution(widths[0], widths[0], style)
        self.to_rgb1 = ToRgb(widths[0], style)
        convolutions = [
            StyledConvolution(n_in, n_out, style)
            for before, after in pairwise(widths)
            for n_in, n_out in ((before, after), (after, after))
        ]
        self.style_convs = nn.ModuleList(convolutions)
        self.to_rgbs = nn.ModuleList(ToRgb(width, style) for width in widths[1:])

    @property
    def noise_sides_px(self) -> list[int]:
        """Sides of the noises, in the order in which they are used."""
        return [FIRST_PX, *(FIRST_PX << level for level in range(1, len(self.to_rgbs) + 1) for _ in range(2))]

    def forward(
        self,
        styles_BLZ: Float[Tensor, "b l z"],
        conditions: Sequence[Condition],
        noises: Sequence[Float[Tensor, "b 1 _ _"]],
    ) -> Float[Tensor, "b 3 p p"]:
        """Return the picture, about -1..1; a condition a level, which the second half of its channels obeys."""
        styles = styles_BLZ.unbind(1)
        constant = self.constant_input.weight.expand(len(styles_BLZ), -1, -1, -1)
        x = self.style_conv1(constant, styles[0], noises[0])
        picture = self.to_rgb1(x, styles[1])
        for level, ((scale, shift), to_rgb) in enumerate(zip(conditions, self.to_rgbs, strict=True)):
            first, second = 2 * level + 1, 2 * level + 2
            x = self.style_convs[2 * level](twice_as_large(x), styles[first], noises[first])
            kept, led = x.chunk(2, 1)
            x = torch.cat((kept, led * scale + shift), 1)
            x = self.style_convs[2 * level + 1](x, styles[second], noises[second])
            picture = to_rgb(x, styles[second + 1]) + twice_as_large(picture)
        return picture
