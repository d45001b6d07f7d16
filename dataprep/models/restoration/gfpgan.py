"""GFPGAN (Wang et al. 2021), the version without custom CUDA code: a bad face of 512 px to a good one.

Own code for the key names of `GFPGANv1.4.pth` (v1.3's and v1.2's, too). A U-Net reads the face; its smallest features
become the styles of a StyleGAN2 decoder, and its growing ones scale and shift the decoder's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dataprep.errors import AssetError
from dataprep.models.restoration.style_decoder import FIRST_PX, NEGATIVE_SLOPE, Condition, StyleDecoder
from dataprep.models.torch_checkpoints import load_weights, read_checkpoint

SOURCE = "github.com/TencentARC/GFPGAN (GFPGANv1.4.pth)"
WIDTHS = (256, 256, 256, 256, 256, 128, 64, 32)  # channels of the published U-Net at 4, 8 ... 512 px
STYLE = 512

# What only training reads: pictures of the U-Net's levels, styles from random numbers, and noise that never changes.
_UNUSED = ("toRGB.", "stylegan_decoder.style_mlp.", "stylegan_decoder.noises.")


class ResizingBlock(nn.Module):
    """Two convolutions with a resize between them, beside a resized shortcut."""

    def __init__(self, n_in: int, n_out: int, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.conv1 = nn.Conv2d(n_in, n_in, 3, 1, 1)
        self.conv2 = nn.Conv2d(n_in, n_out, 3, 1, 1)
        self.skip = nn.Conv2d(n_in, n_out, 1, bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d _ _"]:
        deep = _lrelu(self.conv2(self._resized(_lrelu(self.conv1(x)))))
        return deep + self.skip(self._resized(x))

    def _resized(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=False)


class Gfpgan(nn.Module):
    """RGB in -1..1 to RGB, about -1..1, of the same `side_px`. The decoder is twice as wide as the U-Net."""

    def __init__(self, widths: Sequence[int] = WIDTHS, style: int = STYLE) -> None:
        super().__init__()
        self.side_px = FIRST_PX << (len(widths) - 1)
        falling = widths[::-1]
        self.conv_body_first = nn.Conv2d(3, falling[0], 1)
        self.conv_body_down = nn.ModuleList(ResizingBlock(*pair, 0.5) for pair in pairwise(falling))
        self.final_conv = nn.Conv2d(falling[-1], widths[0], 3, 1, 1)
        self.conv_body_up = nn.ModuleList(ResizingBlock(*pair, 2.0) for pair in pairwise(widths))
        self.final_linear = nn.Linear(widths[0] * FIRST_PX**2, 2 * len(widths) * style)
        self.stylegan_decoder = StyleDecoder([2 * width for width in widths], style)
        self.condition_scale = nn.ModuleList(_condition(width) for width in widths[1:])
        self.condition_shift = nn.ModuleList(_condition(width) for width in widths[1:])

    def forward(
        self, faces: Float[Tensor, "b 3 p p"], noises: Sequence[Float[Tensor, "b 1 _ _"]]
    ) -> Float[Tensor, "b 3 p p"]:
        x = _lrelu(self.conv_body_first(faces))
        seen: list[Tensor] = []
        for down in self.conv_body_down:
            x = down(x)
            seen.append(x)
        x = _lrelu(self.final_conv(x))
        styles_BLZ = self.final_linear(x.flatten(1)).unflatten(1, (2 * len(seen) + 2, -1))
        conditions: list[Condition] = []
        for up, to_scale, to_shift in zip(self.conv_body_up, self.condition_scale, self.condition_shift, strict=True):
            x = up(x + seen.pop())
            conditions.append((to_scale(x), to_shift(x)))
        return self.stylegan_decoder(styles_BLZ, conditions, noises)

    def noises(self, seed: int) -> list[Float[Tensor, "1 1 _ _"]]:
        """Draw the decoder's noise for one face; the same numbers on every device."""
        random = torch.Generator().manual_seed(seed)
        device, sides_px = self.final_linear.weight.device, self.stylegan_decoder.noise_sides_px
        return [torch.randn(1, 1, side, side, generator=random).to(device) for side in sides_px]


def load_gfpgan(path: Path) -> Gfpgan:
    """Read a checkpoint ('params_ema' or a bare state dict); AssetError says what is wrong with it."""
    state = read_checkpoint(path, "params_ema", SOURCE)
    widths, style = _sizes(state, path.name)
    with torch.device("meta"):  # no initial values: all are filled
        network = Gfpgan(widths, style)
    network.to_empty(device="cpu")
    load_weights(network, {key: value for key, value in state.items() if not key.startswith(_UNUSED)}, path.name)
    return network.eval()


def _sizes(state: Mapping[str, Tensor], name: str) -> tuple[list[int], int]:
    """The widths of the U-Net from 4 px upwards, and the numbers of a style."""
    levels = sum(key.startswith("condition_scale.") and key.endswith(".0.weight") for key in state)
    keys = ["final_conv.weight", *(f"condition_scale.{level}.0.weight" for level in range(levels))]
    style = state.get("stylegan_decoder.style_conv1.modulated_conv.modulation.weight")
    if not levels or style is None or style.ndim != 2 or not all(key in state for key in keys):
        raise AssetError(
            f"weights {name}: not a state dict of GFPGAN's clean version (v1.2 to v1.4); its first key is "
            f"{next(iter(state))!r}; see {SOURCE}"
        )
    return [state[key].shape[0] for key in keys], style.shape[1]


def _condition(width: int) -> nn.Sequential:
    return nn.Sequential(_conv(width), nn.LeakyReLU(NEGATIVE_SLOPE), _conv(width))


def _conv(width: int) -> nn.Conv2d:
    return nn.Conv2d(width, width, 3, 1, 1)


def _lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, NEGATIVE_SLOPE)
