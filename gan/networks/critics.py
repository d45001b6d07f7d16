"""The critics: one residual CoordConv encoder a view (GRAM's kind), and a patch critic for stage 2.

Their sizes are not published. What is assumed: widths of pi-GAN and GRAM (400 at most, halving as the picture doubles
from 16 pixels), average pooling between blocks, no normalisation (R1 needs per-sample gradients), and a last
convolution over whatever is left of the picture, so that the torso's 1:4 strip needs no padding.

Suffixes: B batch, C channels, H W pixels.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dataprep.errors import ConfigError
from dataprep.settings import number, require_bounds, setting

SLOPE = 0.2
CAMERA = 2  # pitch and yaw


@dataclass(frozen=True)
class CriticConfig:
    """Widths of an encoder; all assumed."""

    max_width: int = number(400, 1, 8192, "widest layer of a critic")
    width_at_128: int = number(64, 1, 8192, "width at 128 px; it doubles as the side halves")
    min_side: int = number(2, 1, 64, "side of the feature map under the last convolution; px")
    regress_camera: bool = setting(
        False, "critics also regress the camera, GRAM's extra head; the paper does not mention it"
    )

    def __post_init__(self) -> None:
        require_bounds(self, "critic.")


class Verdict(NamedTuple):
    """How real a picture looks (a logit), and the camera it seems to be seen from (radians) where regressed."""

    logit_B: Tensor
    camera_B2: Tensor | None

    def to(self, like: Tensor) -> "Verdict":
        """Return the same in the type of `like`."""
        return Verdict(self.logit_B.to(like), None if self.camera_B2 is None else self.camera_B2.to(like))


def torso_rows(portrait_BCHW: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c quarter w"]:
    """Return exactly the last H / 4 rows, what D_torso sees (paper section 4)."""
    height = portrait_BCHW.shape[2]
    if height % 4:
        raise ConfigError(f"a portrait of {height} rows has no lower quarter; its height must be a multiple of 4")
    return portrait_BCHW[:, :, height - height // 4 :]


class CoordConv(nn.Module):
    """A convolution that also sees x and y in [-1, 1], left to right and top to bottom."""

    def __init__(self, dim_in: int, dim_out: int, kernel: int | tuple[int, int], padding: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim_in + 2, dim_out, kernel, padding=padding)
        nn.init.kaiming_normal_(self.conv.weight, a=SLOPE)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        batch, _, height, width = x_BCHW.shape
        y = torch.linspace(-1, 1, height, dtype=x_BCHW.dtype, device=x_BCHW.device)
        x = torch.linspace(-1, 1, width, dtype=x_BCHW.dtype, device=x_BCHW.device)
        grid_2HW = torch.stack([x.expand(height, width), y[:, None].expand(height, width)])
        return self.conv(torch.cat([x_BCHW, grid_2HW.expand(batch, -1, -1, -1)], 1))


class _Block(nn.Module):
    """Two CoordConvs beside a 1x1 shortcut, halved; the sum keeps its variance."""

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.first, self.second = CoordConv(dim_in, dim_out, 3, padding=1), CoordConv(dim_out, dim_out, 3, padding=1)
        self.shortcut = nn.Conv2d(dim_in, dim_out, 1) if dim_in != dim_out else nn.Identity()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW = F.leaky_relu(self.first(x_BCHW), SLOPE)
        y_BCHW = F.avg_pool2d(F.leaky_relu(self.second(y_BCHW), SLOPE), 2)
        return (y_BCHW + self.shortcut(F.avg_pool2d(x_BCHW, 2))) / math.sqrt(2)


class Critic(nn.Module):
    """Encoder of pictures of one size, halved until the shorter side is `min_side`."""

    def __init__(self, height: int, width: int, config: CriticConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CriticConfig()
        self.size = (height, width)
        short = min(height, width)
        blocks = round(math.log2(short / config.min_side))
        if blocks < 1 or config.min_side << blocks != short or width % (1 << blocks) or height % (1 << blocks):
            raise ConfigError(
                f"critic of {height} x {width} pixels: the shorter side must be {config.min_side} times a power of two"
            )
        widths = [_width(max(height, width) >> i, config) for i in range(blocks + 1)]
        self.from_rgb = nn.Conv2d(3, widths[0], 1)
        self.blocks = nn.Sequential(*[_Block(widths[i], widths[i + 1]) for i in range(blocks)])
        left = (height >> blocks, width >> blocks)
        self.last = nn.Conv2d(widths[-1], 1 + CAMERA * config.regress_camera, left)

    def forward(self, image_B3HW: Float[Tensor, "b 3 h w"]) -> Verdict:
        """Judge pictures in [-1, 1]; other sizes than the one it was built for are refused."""
        if image_B3HW.shape[2:] != self.size:
            raise ConfigError(f"critic of {self.size} pixels was shown {tuple(image_B3HW.shape[2:])}")
        out_BK = self.last(self.blocks(F.leaky_relu(self.from_rgb(image_B3HW), SLOPE))).flatten(1)
        return Verdict(out_BK[:, 0], out_BK[:, 1:] if self.config.regress_camera else None)


def _width(side: int, config: CriticConfig) -> int:
    return min(config.max_width, max(4, config.width_at_128 * 128 // side))


class PatchCritic(nn.Module):
    """Judges overlapping patches (PatchGAN): `halvings` stride-2 convolutions, then two of stride 1."""

    def __init__(self, width: int = 64, halvings: int = 3) -> None:
        super().__init__()
        widths = [3, *(min(width << i, 8 * width) for i in range(halvings))]
        layers: list[nn.Module] = []
        for i in range(halvings):
            layers += [nn.Conv2d(widths[i], widths[i + 1], 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        layers += [nn.Conv2d(widths[-1], 2 * widths[-1], 4, padding=1), nn.LeakyReLU(SLOPE)]
        layers += [nn.Conv2d(2 * widths[-1], 1, 4, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, image_B3HW: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b p q"]:
        """Return a logit a patch (70 x 70 pixels with three halvings)."""
        return self.layers(image_B3HW)[:, 0]


@dataclass(frozen=True)
class CriticSizes:
    """Sides in pixels of what the critics see (paper section 6)."""

    portrait_px: int
    face_px: int


class Critics(nn.Module):
    """D_whole on the portrait, D_face on the face camera's render, D_torso on the portrait's lower quarter.

    The ablations leave D_face or D_torso out; the patch critic looks at the whole portrait in stage 2.
    """

    def __init__(
        self,
        sizes: CriticSizes,
        config: CriticConfig | None = None,
        with_face: bool = True,
        with_torso: bool = True,
        patch_width: int = 0,
    ) -> None:
        super().__init__()
        side = sizes.portrait_px
        self.whole = Critic(side, side, config)
        self.face = Critic(sizes.face_px, sizes.face_px, config) if with_face else None
        self.torso = Critic(side // 4, side, config) if with_torso else None
        self.patch = PatchCritic(patch_width) if patch_width else None

    def forward(self, portrait_B3HW: Float[Tensor, "b 3 h w"], face_B3HW: Float[Tensor, "b 3 f f"]) -> "Verdicts":
        """Judge portraits and the face camera's pictures of the same people."""
        return Verdicts(
            self.whole(portrait_B3HW),
            self.face(face_B3HW) if self.face is not None else None,
            self.torso(torso_rows(portrait_B3HW)) if self.torso is not None else None,
            self.patch(portrait_B3HW) if self.patch is not None else None,
        )


class Verdicts(NamedTuple):
    """What each critic says; None where there is no such critic."""

    whole: Verdict
    face: Verdict | None
    torso: Verdict | None
    patch_BPQ: Tensor | None
