"""RRDBNet, the generator of ESRGAN and Real-ESRGAN (Wang et al. 2018, 2021), x4, with basicsr's state-dict keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dataprep.errors import AssetError
from dataprep.models.superres.ncnn import WeightedLayer

_CONVS_PER_BLOCK = 15  # three residual dense blocks of five convolutions
_CONVS_OUTSIDE = 6  # conv_first, conv_body, conv_up1, conv_up2, conv_hr, conv_last
_TAIL = ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")
NEGATIVE_SLOPE = 0.2
RESIDUAL_SCALE = 0.2


class ResidualDenseBlock(nn.Module):
    """Five convolutions, each reading everything before it; the last is added to the input, scaled by 0.2."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.conv1 = _conv(features, growth)
        self.conv2 = _conv(features + growth, growth)
        self.conv3 = _conv(features + 2 * growth, growth)
        self.conv4 = _conv(features + 3 * growth, growth)
        self.conv5 = _conv(features + 4 * growth, features)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        *growing, last = self.convolutions()
        known = x
        for conv in growing:
            known = torch.cat((known, _lrelu(conv(known))), 1)
        return last(known) * RESIDUAL_SCALE + x

    def convolutions(self) -> tuple[nn.Conv2d, ...]:
        return self.conv1, self.conv2, self.conv3, self.conv4, self.conv5


class RRDB(nn.Module):
    """Three dense blocks in a row inside one more scaled residual."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = ResidualDenseBlock(features, growth)
        self.rdb2 = ResidualDenseBlock(features, growth)
        self.rdb3 = ResidualDenseBlock(features, growth)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return self.rdb3(self.rdb2(self.rdb1(x))) * RESIDUAL_SCALE + x

    def dense_blocks(self) -> tuple[ResidualDenseBlock, ...]:
        return self.rdb1, self.rdb2, self.rdb3


class RRDBNet(nn.Module):
    """RGB in 0..1 -> RGB of four times the size, about 0..1 (not clipped)."""

    def __init__(self, num_block: int = 23, num_feat: int = 64, num_grow_ch: int = 32) -> None:
        super().__init__()
        self.num_block, self.num_feat, self.num_grow_ch = num_block, num_feat, num_grow_ch
        self.conv_first = _conv(3, num_feat)
        self.body = nn.Sequential(*(RRDB(num_feat, num_grow_ch) for _ in range(num_block)))
        self.conv_body = _conv(num_feat, num_feat)
        self.conv_up1 = _conv(num_feat, num_feat)
        self.conv_up2 = _conv(num_feat, num_feat)
        self.conv_hr = _conv(num_feat, num_feat)
        self.conv_last = _conv(num_feat, 3)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 4*h 4*w"]:
        shallow = self.conv_first(x.to(self.conv_first.weight.dtype))
        deep = shallow + self.conv_body(self.body(shallow))
        for conv in (self.conv_up1, self.conv_up2):
            deep = _lrelu(conv(F.interpolate(deep, scale_factor=2, mode="nearest")))
        detail = _lrelu(self.conv_hr(deep))
        return self.conv_last(detail.to(self.conv_last.weight.dtype))

    def lower(self, dtype: torch.dtype) -> None:
        """Compute in `dtype`, the output layer in float32: eight bits of mantissa band a picture."""
        self.to(dtype)
        self.conv_last.to(torch.float32)


def rrdbnet_from_state(state: Mapping[str, Tensor]) -> RRDBNet:
    """Build the network that a basicsr-style state dict describes and load it strictly."""
    blocks = {int(key.split(".")[1]) for key in state if key.startswith("body.") and key.split(".")[1].isdigit()}
    first, growth = state["conv_first.weight"], state.get("body.0.rdb1.conv1.weight")
    if first.ndim != 4 or first.shape[1] != 3 or growth is None:
        raise AssetError(f"RRDBNet: conv_first is {tuple(first.shape)}; only the x4 network of RGB input is known")
    with torch.device("meta"):  # no initial values: all are assigned
        net = RRDBNet(len(blocks), first.shape[0], growth.shape[0])
    try:
        net.load_state_dict(dict(state), strict=True, assign=True)
    except RuntimeError as error:
        raise AssetError(f"RRDBNet: the state dict does not fit the network: {str(error)[:300]}") from None
    return net


def rrdbnet_state_from_ncnn(layers: Sequence[WeightedLayer]) -> dict[str, Tensor]:
    """Name the convolutions of an ncnn RRDBNet as basicsr does."""
    n_blocks, rest = divmod(len(layers) - _CONVS_OUTSIDE, _CONVS_PER_BLOCK)
    if rest or n_blocks < 1 or any(layer.kind != "Convolution" for layer in layers):
        raise AssetError(f"{len(layers)} weighted layers are no RRDBNet (6 convolutions + 15 for each block)")
    names = ["conv_first"]
    for block in range(n_blocks):
        names += [f"body.{block}.rdb{dense}.conv{conv}" for dense in (1, 2, 3) for conv in (1, 2, 3, 4, 5)]
    names += _TAIL
    state = {}
    for name, layer in zip(names, layers, strict=True):
        _check_activation(name, layer)
        if layer.bias is None:
            raise AssetError(f"ncnn layer {layer.name}: a convolution of RRDBNet has a bias")
        state[f"{name}.weight"] = torch.from_numpy(layer.weight)
        state[f"{name}.bias"] = torch.from_numpy(layer.bias)
    return state


def _check_activation(name: str, layer: WeightedLayer) -> None:
    linear = name in ("conv_first", "conv_body", "conv_last") or name.endswith("conv5")
    expected = None if linear else NEGATIVE_SLOPE
    slope = layer.negative_slope
    if (slope is None) != (expected is None) or (slope is not None and abs(slope - NEGATIVE_SLOPE) > 1e-6):
        raise AssetError(f"ncnn layer {layer.name} ({name}): LeakyReLU slope {slope}, expected {expected}")


def _conv(n_in: int, n_out: int) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, 3, 1, 1)


def _lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, NEGATIVE_SLOPE, inplace=True)
