"""SRVGGNetCompact, the small x4 network of Real-ESRGAN (animevideov3, general-x4v3), with basicsr's state-dict keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dataprep.errors import AssetError
from dataprep.models.superres.ncnn import WeightedLayer

_SCALE = 4
_RGB_PER_PIXEL = 3 * _SCALE * _SCALE


class SRVGGNetCompact(nn.Module):
    """RGB in 0..1 -> RGB of four times the size: a residual on the nearest-neighbour enlargement."""

    def __init__(self, num_conv: int = 16, num_feat: int = 64) -> None:
        super().__init__()
        self.num_conv, self.num_feat = num_conv, num_feat
        layers: list[nn.Module] = [nn.Conv2d(3, num_feat, 3, 1, 1), nn.PReLU(num_feat)]
        for _ in range(num_conv):
            layers += [nn.Conv2d(num_feat, num_feat, 3, 1, 1), nn.PReLU(num_feat)]
        layers.append(nn.Conv2d(num_feat, _RGB_PER_PIXEL, 3, 1, 1))
        self.body = nn.ModuleList(layers)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 4*h 4*w"]:
        features = x.to(_dtype(self.body[0]))
        for layer in self.body[:-1]:
            features = layer(features)
        last = self.body[-1]
        residual = F.pixel_shuffle(last(features.to(_dtype(last))), _SCALE)
        return residual + F.interpolate(x, scale_factor=_SCALE, mode="nearest")

    def lower(self, dtype: torch.dtype) -> None:
        """Compute in `dtype`, the output layer and the sum in float32: eight bits of mantissa band a picture."""
        self.to(dtype)
        self.body[-1].to(torch.float32)


def _dtype(layer: nn.Module) -> torch.dtype:
    return next(layer.parameters()).dtype


def srvgg_from_state(state: Mapping[str, Tensor]) -> SRVGGNetCompact:
    """Build the network that a basicsr-style state dict describes and load it strictly."""
    convs = [key for key, value in state.items() if key.endswith(".weight") and value.ndim == 4]
    n_feat, n_last = state["body.0.weight"].shape[0], state[convs[-1]].shape[0]
    if n_last != _RGB_PER_PIXEL or len(convs) < 3:
        raise AssetError(f"SRVGGNetCompact: the last layer has {n_last} channels, the x4 network has {_RGB_PER_PIXEL}")
    with torch.device("meta"):  # no initial values: all are assigned
        net = SRVGGNetCompact(len(convs) - 2, n_feat)
    try:
        net.load_state_dict(dict(state), strict=True, assign=True)
    except RuntimeError as error:
        raise AssetError(f"SRVGGNetCompact: the state dict does not fit the network: {str(error)[:300]}") from None
    return net


def srvgg_state_from_ncnn(layers: Sequence[WeightedLayer]) -> dict[str, Tensor]:
    """Name the layers of an ncnn SRVGGNetCompact as basicsr does."""
    state = {}
    for i, layer in enumerate(layers):
        if layer.kind != ("PReLU" if i % 2 else "Convolution") or layer.negative_slope is not None:
            raise AssetError(f"ncnn layer {layer.name}: SRVGGNetCompact alternates plain convolutions and PReLUs")
        state[f"body.{i}.weight"] = torch.from_numpy(layer.weight)
        if layer.bias is not None:
            state[f"body.{i}.bias"] = torch.from_numpy(layer.bias)
    return state
