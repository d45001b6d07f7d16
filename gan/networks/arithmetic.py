"""How the generator's networks compute while they train: what is kept for the backward pass, how products are rounded.

One setting for the whole process, not an argument of thirty functions, and no context variable: on a GPU what is
computed again for the backward pass is computed in a thread of torch's own, which has no context of ours.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from dataprep.kernels import processor
from gan.networks.products import Products


@dataclass(frozen=True)
class Arithmetic:
    """`recompute`: phi, U, M, D_e and compositing keep their inputs alone, patch by patch, and compute the rest again.

    `products` says how phi, M and D_e multiply (`gan.networks.products`); sums and sines stay in float32.
    """

    recompute: bool = False
    products: Products = "float32"


PLAIN = Arithmetic()
_now = PLAIN


def arithmetic() -> Arithmetic:
    """Return how networks compute now."""
    return _now


@contextmanager
def computing(how: Arithmetic) -> Iterator[None]:
    """Let networks compute so, forwards and backwards."""
    global _now
    before, _now = _now, how
    tf32, torch.backends.cuda.matmul.allow_tf32 = torch.backends.cuda.matmul.allow_tf32, how.products != "float32"
    try:
        yield
    finally:
        _now, torch.backends.cuda.matmul.allow_tf32 = before, tf32


def reduced(device: str, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Let torch choose `dtype` where it holds that safe; the meta device knows no such choice and counts float32."""
    if dtype == torch.float32 or device == "meta":
        return nullcontext()
    return torch.autocast(device, dtype)


def reduced_twice(device: str, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Do as `reduced` where gradients of gradients will be taken, as R1 does; a CPU with AMX then stays in float32.

    Its bfloat16 gradient of a 3x3 convolution's gradient is wrong in torch 2.13: 100% off at 32 channels and 64 px,
    0.1% with the same CPU's vectors. R1's gradients of small critics were 25 to 58% off, and 2 to 7% with vectors.
    """
    return nullcontext() if device == "cpu" and processor.has_amx() else reduced(device, dtype)


def patch(function: Callable[..., Any], *given: Any) -> Any:
    """Call a function of tensors; with `recompute`, what it keeps for the backward pass is made again there.

    This is GRAM's split into patches, one gradient checkpoint each. Nothing random may happen inside.
    """
    if not (_now.recompute and torch.is_grad_enabled()):
        return function(*given)
    return checkpoint(function, *given, use_reentrant=False, preserve_rng_state=False)
