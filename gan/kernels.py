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


def _compiled(function: Callable[..., None]) -> Any:
    """Compile with fused multiply-adds (the sine's reduction counts on them); without a writable cache, every time."""
    plain = inspect.unwrap(function)  # without the type checks that tests wrap around every function
    compile_with = functools.partial(numba.njit, nogil=True, fastmath={"contract", "nsz"})
    try:
        return compile_with(cache=True)(plain)
    except RuntimeError:  # nowhere to keep the result
        return compile_with()(plain)


@_compiled
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


BLOCK = 256  # tiles worked on together: what lies in between stays in the first-level cache


def pixels_of_products(
    products_36OT: Tensor, bias_O: Tensor, slope: float, out_IJOL: Tensor, start: int, onto: tuple[Tensor, float] | None
) -> None:
    """Write f(A^T m A + bias) of all tiles at `start` of tiled images (gan.winograd), f leaky ReLU of that slope.

    With `onto` = (image, gain) the result is image + gain f(...) instead. Torch's threads share the channels.
    """
    number = products_36OT.numpy().dtype.type
    base_IJOL, gain = onto if onto else (out_IJOL, 0.0)
    arrays = products_36OT.numpy(), bias_O.numpy(), base_IJOL.numpy(), out_IJOL.numpy()
    work = functools.partial(_pixels, *arrays, start, number(slope), number(gain), onto is not None)
    channels, threads = products_36OT.shape[1], torch.get_num_threads()
    if threads == 1:
        work(0, channels)
        return
    bounds = [channels * i // threads for i in range(threads + 1)]
    list(_workers(threads).map(work, bounds[:-1], bounds[1:]))


@_compiled
def shuffle_pixels(
    source: Any, start: int, pitch: int, target: Any, target_start: int, target_pitch: int, rows: int, columns: int
) -> None:
    """Make every four channels of tiles (i, j, 4 c, place) one of twice the height and width: pixel shuffle.

    Pixel (y, x) of the two by two tiles that one becomes is pixel (y // 2, x // 2) of channel 4 c + 2 (y % 2) + x % 2.
    """
    for c in range(target.shape[2]):
        for y in range(8):
            for x in range(4):  # and x + 4, which lies in the next tile
                i, j, channel = y // 2, x // 2, 4 * c + y % 2 * 2 + x % 2
                for r in range(rows):
                    here = start + r * pitch
                    there = target_start + (2 * r + y // 4) * target_pitch
                    _interleave(
                        source[i, j, channel, here : here + columns],
                        source[i, j + 2, channel, here : here + columns],
                        target[y % 4, x, c, there : there + 2 * columns],
                    )


@_compiled
def _interleave(even: Any, odd: Any, out: Any) -> None:
    for t in range(even.size):
        out[2 * t] = even[t]
        out[2 * t + 1] = odd[t]


@functools.cache
def _workers(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="tiles")


@_compiled
def _along_one_axis(m0: Any, m1: Any, m2: Any, m3: Any, m4: Any, m5: Any, out: Any) -> None:
    """Apply A^T of F(4, 3): six products to four samples."""
    two, four, eight = m0.dtype.type(2), m0.dtype.type(4), m0.dtype.type(8)
    for t in range(m0.size):
        even, far_even, odd, far_odd = m1[t] + m2[t], m3[t] + m4[t], m1[t] - m2[t], m3[t] - m4[t]
        out[0, t] = m0[t] + even + far_even
        out[1, t] = odd + two * far_odd
        out[2, t] = even + four * far_even
        out[3, t] = m5[t] + odd + eight * far_odd


@_compiled
def _activated(m: Any, bias: Any, slope: Any, out: Any) -> None:
    for t in range(m.size):
        value = m[t] + bias
        out[t] = value if value > 0 else slope * value


@_compiled
def _activated_onto(m: Any, bias: Any, slope: Any, base: Any, gain: Any, out: Any) -> None:
    for t in range(m.size):
        value = m[t] + bias
        out[t] = base[t] + gain * (value if value > 0 else slope * value)


@_compiled
def _pixels(
    products: Any, bias: Any, base: Any, out: Any, start: int, slope: Any, gain: Any, add: bool, first: int, last: int
) -> None:
    half = np.empty((6, 4, BLOCK), products.dtype)
    pixels = np.empty((4, BLOCK), products.dtype)
    tiles = products.shape[2]
    for c in range(first, last):
        for t in range(0, tiles, BLOCK):
            n = min(BLOCK, tiles - t)
            end = t + n
            for j in range(6):  # each slice by itself: numba knows then that it is contiguous
                _along_one_axis(
                    products[j, c, t:end],
                    products[6 + j, c, t:end],
                    products[12 + j, c, t:end],
                    products[18 + j, c, t:end],
                    products[24 + j, c, t:end],
                    products[30 + j, c, t:end],
                    half[j],
                )
            for i in range(4):
                h = half
                _along_one_axis(h[0, i, :n], h[1, i, :n], h[2, i, :n], h[3, i, :n], h[4, i, :n], h[5, i, :n], pixels)
                for j in range(4):
                    here = out[i, j, c, start + t : start + t + n]
                    if add:
                        _activated_onto(
                            pixels[j, :n], bias[c], slope, base[i, j, c, start + t : start + t + n], gain, here
                        )
                    else:
                        _activated(pixels[j, :n], bias[c], slope, here)
