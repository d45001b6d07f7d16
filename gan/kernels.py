"""Loops over float32 arrays in machine code, for inference on a CPU: what torch does in many passes or slowly.

numba compiles them at their first call (seconds) and keeps the result on disk. One thread runs a sine: it takes a sixth
of the time of torch's, so torch's is the faster one only with many threads.
"""

import functools
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

FEW_THREADS = 4
ONE_OVER_PI = np.float32(1 / np.pi)
PI_PARTS = np.float32(3.1414794921875), np.float32(0.000113159418106079), np.float32(1.984187258941006e-09)
# sin r = r + r^3 (...) for |r| <= pi / 2: the odd polynomial of ninth degree with the least error.
SINE_3, SINE_5, SINE_7, SINE_9 = (
    *(np.float32(-0.166666597127914), np.float32(0.008333078585565090)),
    *(np.float32(-0.000198106907191686), np.float32(2.60831598097866e-06)),
)


def suits(x: Tensor) -> bool:
    """Say whether these kernels may work on x in place, and are faster than torch."""
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and x.is_contiguous()
    return plain and not torch.is_grad_enabled() and torch.get_num_threads() <= FEW_THREADS


def share(work: Callable[[int, int], None], count: int) -> None:
    """Call work(first, last + 1) over `count` things, once for each of torch's threads."""
    threads = torch.get_num_threads()
    if threads == 1:
        work(0, count)
        return
    bounds = [count * i // threads for i in range(threads + 1)]
    list(_workers(threads).map(work, bounds[:-1], bounds[1:]))


@functools.cache
def _workers(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="kernels")


def compiled(function: Callable[..., None]) -> Any:
    """Compile with fused multiply-adds (the sine's reduction counts on them); without a writable cache, every time."""
    plain = inspect.unwrap(function)  # without the type checks that tests wrap around every function
    compile_with = functools.partial(numba.njit, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
    try:
        return compile_with(cache=True)(plain)
    except RuntimeError:  # nowhere to keep the result
        return compile_with()(plain)


@compiled
def sine(x: np.ndarray) -> None:
    """Overwrite a flat array with its sine, within 2e-7 up to |x| = 30,000 (Cody and Waite's reduction by pi)."""
    for i in range(x.size):
        half_turns = np.rint(x[i] * ONE_OVER_PI)
        r = x[i] - half_turns * PI_PARTS[0]
        r = r - half_turns * PI_PARTS[1]
        r = r - half_turns * PI_PARTS[2]
        square = r * r
        series = ((SINE_9 * square + SINE_7) * square + SINE_5) * square + SINE_3
        value = r + r * (square * series)
        pairs = half_turns * np.float32(0.5)
        x[i] = value if pairs == np.floor(pairs) else -value
