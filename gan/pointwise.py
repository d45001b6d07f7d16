"""One linear layer applied to many points: the inner loop of every network but U.

Suffixes: B identities or frames, N points, I and O channels in and out.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def pointwise(
    x_BNI: Float[Tensor, "b n i"], weight_BOI: Float[Tensor, "b o i"], bias_BO: Float[Tensor, "b o"]
) -> Float[Tensor, "b n o"]:
    """Return x W^T + b with one weight a batch element."""
    batch, points, channels = x_BNI.shape
    if batch == 1 and x_BNI.device.type == "cpu" and not torch.is_grad_enabled() and channels >= 32:
        # A 1x1 convolution over a channels_last row goes to oneDNN, which ran 1.3-1.7 times as fast as the BLAS behind
        # addmm on an AVX-512 AMD processor, and keeps bfloat16 native.
        image_1IN1 = x_BNI.reshape(1, points, 1, channels).permute(0, 3, 1, 2)
        out_1ON1 = F.conv2d(image_1IN1, weight_BOI[0, :, :, None, None], bias_BO[0])
        return out_1ON1.permute(0, 2, 3, 1).reshape(1, points, -1)
    return torch.baddbmm(bias_BO[:, None], x_BNI, weight_BOI.transpose(1, 2))


def sine(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return sin x, overwriting x where no gradient needs it."""
    return torch.sin(x) if torch.is_grad_enabled() else torch.sin_(x)


def rectify(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return max(x, 0), overwriting x where no gradient needs it."""
    return torch.relu(x) if torch.is_grad_enabled() else torch.relu_(x)
