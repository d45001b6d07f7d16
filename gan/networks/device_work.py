"""What a GPU must not be asked for in a step: numbers from this side, and shapes that depend on its own numbers.

Either makes the program wait until the device has done all that was asked of it before. So constants are carried over
once, and where a CPU looks only at what is hit, other devices look everywhere: more arithmetic, shapes known before.
torch's meta device has no numbers at all: a step that runs there does not wait (tests/gan/train/machine/).
"""

from functools import lru_cache

import torch
from torch import Tensor

WAITING_COSTS_NOTHING = frozenset({"cpu"})  # device types


def fixed_shapes(like: Tensor) -> bool:
    """Say whether shapes must not depend on numbers where this tensor is."""
    return like.device.type not in WAITING_COSTS_NOTHING


def constant(values: tuple, like: Tensor) -> Tensor:
    """Return numbers, nested as in torch.tensor, in the type and on the device of `like`; nobody may change them."""
    return _constant(values, like.dtype, like.device)


@lru_cache(maxsize=256)
def _constant(values: tuple, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # else whoever comes first decides that no graph may hold it
        return torch.tensor(values, dtype=dtype, device=device)


def carried(values: Tensor, to: torch.device) -> Tensor:
    """Return values of this side on a device, without waiting for it.

    From pinned memory, which torch keeps until the device has read it.
    """
    return (values.pin_memory() if to.type == "cuda" else values).to(to, non_blocking=True)
