"""Matrix products of numbers rounded to fewer digits, summed in float32: what a GPU's tensor cores do.

A sine's argument of 30 rad has steps of 0.25 rad in bfloat16, so only what enters a product is rounded, never its sum.
Without tensor cores the rounding is done by hand: the outcome is the same, nothing is faster.

Suffixes: B batch, N points, I and O channels in and out.
"""

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

Products = Literal["float32", "tf32", "bfloat16"]
TF32_DROPS = 13  # of float32's 23 bits behind the point


def product(x_BNI: Float[Tensor, "b n i"], weight_BIO: Float[Tensor, "b i o"], how: Products) -> Float[Tensor, "b n o"]:
    """Multiply, forwards and backwards, numbers rounded as `how` says."""
    return _Product.apply(x_BNI, weight_BIO, how)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BNI: Tensor, weight_BIO: Tensor, how: Products) -> Tensor:
        x, weight = rounded(x_BNI, how), rounded(weight_BIO, how)
        ctx.save_for_backward(x, weight)
        ctx.how = how
        return _summed(x, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, weight = ctx.saved_tensors
        gradient = rounded(gradients[0], ctx.how)
        of_x = _summed(gradient, weight.mT) if ctx.needs_input_grad[0] else None
        of_weight = _summed(x.mT, gradient) if ctx.needs_input_grad[1] else None
        return of_x, of_weight, None


def rounded(values: Tensor, how: Products) -> Tensor:
    """Return values with as many digits as `how` has; a GPU rounds to TF32 by itself, inside the product."""
    if how == "bfloat16":
        return values.to(torch.bfloat16)
    if how == "float32" or values.dtype != torch.float32 or values.device.type != "cpu":
        return values
    bits = values.contiguous().view(torch.int32)
    return ((bits + (1 << (TF32_DROPS - 1))) >> TF32_DROPS << TF32_DROPS).view(torch.float32)


def _summed(a_BNI: Tensor, b_BIO: Tensor) -> Tensor:
    if a_BNI.is_cuda and a_BNI.dtype == torch.bfloat16:
        return torch.bmm(a_BNI, b_BIO, out_dtype=torch.float32)
    return torch.bmm(a_BNI.float(), b_BIO.float()) if a_BNI.dtype == torch.bfloat16 else torch.bmm(a_BNI, b_BIO)
