"""Work counted without doing it: torch's meta device has shapes and no numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class Operation(NamedTuple):
    """One call of a kernel: floating-point operations of its products, and bytes that it reads and writes."""

    flops: int
    bytes: int


class CountedWork(TorchDispatchMode):
    """While entered, notes every operation, backward passes included.

    Products and convolutions count as torch's own `FlopCounterMode` counts them; everything else has bytes alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        count = flop_registry.get(func._overloadpacket)
        flops = int(count(*args, **kwargs, out_val=result)) if count else 0
        if flops or not func.is_view:
            self.operations.append(Operation(flops, _bytes(args, kwargs, result)))
        return result


def work_of(work: Callable[[], Any]) -> list[Operation]:
    """Return what a function asks for; where its result takes gradients, those of its sum, too."""
    with CountedWork() as counted:
        result = work()
        if isinstance(result, Tensor) and result.requires_grad:
            result.sum().backward()
    return counted.operations


def _bytes(*groups: Any) -> int:
    tensors = [leaf for leaf in tree_leaves(groups) if isinstance(leaf, torch.Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
