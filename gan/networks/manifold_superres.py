"""U: radiance maps from 128 to 512 pixels, all manifolds of one identity with one style (the paper's U).

Suffixes: B identities, M maps (manifolds) of one identity, C channels, H W pixels, K style or code values.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gan.config import ID_CODE, NOISE_CODE
from gan.networks.film import MappingNet
from gan.networks.superres_trunk import ResidualBlock, activate

DEMODULATION_EPSILON = 1e-8  # StyleGAN2's


class ModulatedConv(nn.Module):
    """The style multiplies the weights directly (no + 1); every output channel is scaled back to unit norm."""

    def __init__(self, dim_in: int, dim_out: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(dim_out, dim_in, kernel, kernel) / (dim_in * kernel**2) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(dim_out))

    def modulated(self, style_C: Float[Tensor, " c"]) -> Float[Tensor, "o c kh kw"]:
        weight = self.weight * style_C[:, None, None]
        return weight * torch.rsqrt(weight.square().sum((1, 2, 3), keepdim=True) + DEMODULATION_EPSILON)

    def forward(self, x_MCHW: Tensor, style_C: Float[Tensor, " c"]) -> Tensor:
        weight = self.modulated(style_C).to(x_MCHW.dtype)
        return F.conv2d(x_MCHW, weight, self.bias, padding=self.weight.shape[-1] // 2)


class ManifoldSuperResolution(nn.Module):
    """RRDB trunk, then two pixel-shuffle upsamplings and two convolutions modulated by z_id ++ noise."""

    def __init__(self, features: int = 32, width: int = 64, growth: int = 32, blocks: int = 4, code_width: int = 256):
        super().__init__()
        half = width // 2
        self.conv_first = nn.Conv2d(4 + features, width, 3, padding=1)
        self.RRDB_trunk = nn.Sequential(*[ResidualBlock(width, growth) for _ in range(blocks)])
        self.trunk_conv = nn.Conv2d(width, width, 3, padding=1)
        self.upconvs = nn.ModuleList([ModulatedConv(width, 4 * width, 3), ModulatedConv(width, 4 * half, 3)])
        self.HRconv = ModulatedConv(half, half, 3)
        self.conv_last = ModulatedConv(half, 4, 1)
        self.style_sizes = (width, width, half, half)
        self.mapping_network = MappingNet(ID_CODE + NOISE_CODE, code_width, sum(self.style_sizes))

    def forward(self, maps_MCHW: Float[Tensor, "m c h w"], style_K: Float[Tensor, " k"]) -> Float[Tensor, "m 4 h4 w4"]:
        """Return RGB and alpha before the sigmoid, four times larger."""
        styles = style_K.split(self.style_sizes)
        first = self.conv_first(maps_MCHW)
        x = first + self.trunk_conv(self.RRDB_trunk(first))
        for conv, style in zip(self.upconvs, styles, strict=False):
            x = activate(F.pixel_shuffle(conv(x, style), 2))
        x = activate(self.HRconv(x, styles[2]))
        return self.conv_last(x, styles[3])
