"""One linear layer applied to many points: the inner loop of every network but U.

Suffixes: B identities or frames, N points, I and O channels in and out.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from gan import kernels


def pointwise(
    x_BNI: Float[Tensor, "b n i"], weight_BOI: Float[Tensor, "b o i"], bias_BO: Float[Tensor, "b o"]
) -> Float[Tensor, "b n o"]:
    """Return x W^T + b with one weight a batch element."""
    return torch.baddbmm(bias_BO[:, None], x_BNI, weight_BOI.transpose(1, 2))


def sine(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return sin x, overwriting x where no gradient needs it."""
    if torch.is_grad_enabled():
        return torch.sin(x)
    if kernels.suits(x):
        kernels.sine(x.view(-1).numpy())
        return x
    return torch.sin_(x)


def rectify(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return max(x, 0), overwriting x where no gradient needs it."""
    return torch.relu(x) if torch.is_grad_enabled() else torch.relu_(x)
