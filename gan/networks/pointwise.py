"""Linear layers applied to many points, and heads that read them: every network but U.

Suffixes: B identities or frames, N points, I and O channels in and out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from dataprep.kernels.layer_kernels import Activation, LayerStack, PointLayer
from dataprep.kernels.machine_code import suits
from gan.networks.arithmetic import arithmetic
from gan.networks.products import product

KERNEL_POINTS = 1 << 17  # for one packing of the weights


class Layer(NamedTuple):
    """f(x W^T + b) with one weight a batch element; f overwrites what it is given where no gradient needs it."""

    weight_BOI: Float[Tensor, "b o i"]
    bias_BO: Float[Tensor, "b o"]
    activation: Activation = "none"

    def __call__(self, x_BNI: Float[Tensor, "b n i"]) -> Float[Tensor, "b n o"]:
        how = arithmetic().products
        if how == "float32":
            y_BNO = torch.baddbmm(self.bias_BO[:, None], x_BNI, self.weight_BOI.transpose(1, 2))
        else:
            y_BNO = product(x_BNI, self.weight_BOI.transpose(1, 2), how) + self.bias_BO[:, None]
        if self.activation == "none":
            return y_BNO
        keep = torch.is_grad_enabled()
        if self.activation == "sine":
            return torch.sin(y_BNO) if keep else torch.sin_(y_BNO)
        return torch.relu(y_BNO) if keep else torch.relu_(y_BNO)


def sum_of_heads(
    x_BNI: Float[Tensor, "b n i"],
    layers: Sequence[Layer],
    heads: dict[int, Layer],
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "b n o"]:
    """Send points through layers and return the sum of what the heads make of the outputs of layers 0, 1, ...

    For inference on a CPU in float32 all of it is one loop in machine code (`layer_kernels`), which `dtype` bfloat16
    lets multiply in that type; elsewhere `dtype` changes nothing.
    """
    if len(x_BNI) == 1 and arithmetic().products == "float32" and suits(x_BNI, *layers[0][:2]):
        stack = LayerStack([_of_one(layer) for layer in layers], _of_each(heads), dtype)
        return stack(x_BNI[0])[None]
    total = None
    for i, layer in enumerate(layers):
        x_BNI = layer(x_BNI)
        if i in heads:
            out = heads[i](x_BNI)
            total = out if total is None else total + out
    assert total is not None
    return total


def in_chunks(points_NI: Float[Tensor, "n i"], chunk: int) -> tuple[Float[Tensor, "_ i"], ...]:
    """Split points for `sum_of_heads`; loops in machine code keep activations in the cache by themselves."""
    return points_NI.split(KERNEL_POINTS if suits(points_NI) else chunk)


def each(parameter: Tensor, like: Float[Tensor, "b *rest"]) -> Tensor:
    """Return a parameter for every batch element."""
    return parameter.expand(len(like), *parameter.shape)


def _of_each(heads: dict[int, Layer]) -> dict[int, PointLayer]:
    return {i: _of_one(head) for i, head in heads.items()}


def _of_one(layer: Layer) -> PointLayer:
    return PointLayer(layer.weight_BOI[0], layer.bias_BO[0], layer.activation)
