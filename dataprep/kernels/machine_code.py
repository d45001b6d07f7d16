"""What loops in machine code share: when they may run, how threads divide their work, how numba compiles them.

They are for inference on a CPU in float32: what torch does in many passes or slowly. numba compiles them at their first
call (seconds) and keeps the result on disk.
"""

import functools
import hashlib
import inspect
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dataprep.kernels import guard
from dataprep.kernels.vectors import BFLOAT16_PRODUCTS, LANES, ROWS, WIDE

if guard.ON:
    import numba


def suits(*tensors: Tensor) -> bool:
    """Say whether loops in machine code may stand for what torch would do with these."""
    in_float32 = all(x.device.type == "cpu" and x.dtype == torch.float32 for x in tensors)
    return guard.ON and not torch.is_grad_enabled() and in_float32


def require(fits: Any, what: str, found: object, expected: str) -> None:
    """Raise ValueError unless it fits: machine code reads and writes where it is told, and asserts can be off."""
    if not fits:
        raise ValueError(f"{what}: {found}, expected {expected}")


def share(work: Callable[[int, int], None], count: int) -> None:
    """Call work(first, last + 1) over `count` things, once for each of torch's threads."""
    threads = torch.get_num_threads()
    if threads == 1:
        work(0, count)
        return
    bounds = [count * i // threads for i in range(threads + 1)]
    futures = [_workers(threads).submit(work, *part) for part in itertools.pairwise(bounds)]
    wait(futures)  # whatever happens in one: the others work on memory that the caller would free
    for future in futures:
        future.result()


@functools.cache
def _workers(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="kernels")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.cache_clear)  # threads stay with the parent


def grouped(weight_XOI: Float[Tensor, "*x o i"], pairs: bool) -> Tensor:
    """Return the factors of a product as loops read them: by ROWS outputs, input by input; zeros fill what is missing.

    They are (*x, groups, inputs, ROWS, 1), or of `pairs` of inputs (*x, groups, pairs, ROWS, 2) in bfloat16.
    """
    together = 2 if pairs else 1
    padded_XOI = F.pad(weight_XOI, (0, -weight_XOI.shape[-1] % together, 0, -weight_XOI.shape[-2] % ROWS))
    split_XGRDP = padded_XOI.unflatten(-1, (-1, together)).unflatten(-3, (-1, ROWS))
    return split_XGRDP.transpose(-3, -2).to(torch.bfloat16 if pairs else torch.float32)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile with fused multiply-adds; without a writable cache, every time. Where loops are off nothing is done."""
    if not guard.ON:
        return function
    plain = inspect.unwrap(function)  # without the type checks that tests wrap around every function
    compile_with = functools.partial(numba.njit, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
    try:
        dispatcher = compile_with(cache=True)(plain)
    except RuntimeError:  # nowhere to keep the result
        return compile_with()(plain)
    # numba keeps code until its own file changes; ours is made of several. What another version of numba kept is not
    # even read: so is what other files of ours kept, whose classes may be gone.
    kept: Any = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if not hasattr(kept, "_version"):  # its own affair: a version without it keeps nothing
        return compile_with()(plain)
    kept._version = f"{kept._version} {_sources()}"
    return dispatcher


@functools.cache
def _sources() -> str:
    """Return the sha256 of all that machine code is made from: the files of this folder, and how wide vectors are."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    widths = repr((LANES, ROWS, WIDE, BFLOAT16_PRODUCTS)).encode()  # numba's own key has the processor's widths only
    return hashlib.sha256(b"".join([widths, *(file.read_bytes() for file in files)])).hexdigest()
