"""The two transforms of Winograd's convolutions and the pixel shuffle, on tiled images (gan.winograd), in machine code.

Each reads and writes its arrays once; torch's threads share the channels. Arrays are indexed with integers and one last
slice, so that numba knows that what it gets is contiguous.
"""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan.kernels import compiled, share

BLOCK_OUT, BLOCK_IN = 256, 512  # tiles worked on together: what lies in between stays in the cache


def coefficients_of_pixels(
    tiled_IJCL: Tensor, out_36CT: Tensor, first_channel: int, first_tile: int, pitch: int
) -> None:
    """Write B^T d B of the tiles d from `first_tile` on of tiled images (gan.winograd), from `first_channel` on."""
    number = np.uint16 if out_36CT.dtype == torch.bfloat16 else None
    out = out_36CT.view(torch.uint16).numpy() if number else out_36CT.numpy()
    transform = _rounded_coefficients if number else _coefficients
    share(functools.partial(transform, tiled_IJCL.numpy(), out, first_channel, first_tile, pitch), tiled_IJCL.shape[2])


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
    share(work, products_36OT.shape[1])


@compiled
def _to_coefficients(d0: Any, d1: Any, d2: Any, d3: Any, d4: Any, d5: Any, out: Any) -> None:
    """Apply B^T of F(4, 3): six neighbouring samples to six coefficients."""
    two, four, five = d0.dtype.type(2), d0.dtype.type(4), d0.dtype.type(5)
    for t in range(d0.size):
        even, odd = d4[t] - four * d2[t], d3[t] - four * d1[t]
        near_even, near_odd = d4[t] - d2[t], two * (d3[t] - d1[t])
        out[0, t] = d4[t] + four * d0[t] - five * d2[t]
        out[1, t] = even + odd
        out[2, t] = even - odd
        out[3, t] = near_even + near_odd
        out[4, t] = near_even - near_odd
        out[5, t] = d5[t] + four * d1[t] - five * d3[t]


@compiled
def _row_coefficients(tiled: Any, c: int, t: int, n: int, pitch: int, half: Any) -> None:
    """Transform along the columns of n tiles and of those on either side: half[j, i] of column j."""
    a, b, d = t, t + pitch, t + 2 * pitch  # the rows of tiles above, here and below
    end = n + 2
    for j in range(4):
        _to_coefficients(
            tiled[3, j, c, a : a + end],
            tiled[0, j, c, b : b + end],
            tiled[1, j, c, b : b + end],
            tiled[2, j, c, b : b + end],
            tiled[3, j, c, b : b + end],
            tiled[0, j, c, d : d + end],
            half[j],
        )


@compiled
def _of_row(half: Any, i: int, n: int, out: Any) -> None:
    here = slice(1, n + 1)
    _to_coefficients(
        half[3, i, :n],
        half[0, i, here],
        half[1, i, here],
        half[2, i, here],
        half[3, i, here],
        half[0, i, 2 : n + 2],
        out,
    )


@compiled
def _coefficients(tiled: Any, out: Any, channel: int, start: int, pitch: int, first: int, last: int) -> None:
    half = np.empty((4, 6, BLOCK_IN + 2), tiled.dtype)
    row = np.empty((6, BLOCK_IN), tiled.dtype)
    for c in range(first, last):
        for t in range(0, out.shape[2], BLOCK_IN):
            n = min(BLOCK_IN, out.shape[2] - t)
            _row_coefficients(tiled, c, start + t, n, pitch, half)
            for i in range(6):
                _of_row(half, i, n, row)
                for j in range(6):
                    out[6 * i + j, channel + c, t : t + n] = row[j, :n]


@compiled
def _rounded_coefficients(tiled: Any, out: Any, channel: int, start: int, pitch: int, first: int, last: int) -> None:
    """Do the same into the bits of bfloat16 numbers."""
    half = np.empty((4, 6, BLOCK_IN + 2), tiled.dtype)
    row = np.empty((6, BLOCK_IN), tiled.dtype)
    for c in range(first, last):
        for t in range(0, out.shape[2], BLOCK_IN):
            n = min(BLOCK_IN, out.shape[2] - t)
            _row_coefficients(tiled, c, start + t, n, pitch, half)
            for i in range(6):
                _of_row(half, i, n, row)
                for j in range(6):
                    _round_to_bfloat16(row[j, :n].view(np.uint32), out[6 * i + j, channel + c, t : t + n])


@compiled
def _round_to_bfloat16(bits: Any, out: Any) -> None:
    """Keep the upper half of float32 numbers, to the nearest, ties to even."""
    for t in range(bits.size):
        odd = (bits[t] >> np.uint32(16)) & np.uint32(1)
        out[t] = (bits[t] + np.uint32(0x7FFF) + odd) >> np.uint32(16)


@compiled
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


@compiled
def _interleave(even: Any, odd: Any, out: Any) -> None:
    for t in range(even.size):
        out[2 * t] = even[t]
        out[2 * t + 1] = odd[t]


@compiled
def _along_one_axis(m0: Any, m1: Any, m2: Any, m3: Any, m4: Any, m5: Any, out: Any) -> None:
    """Apply A^T of F(4, 3): six products to four samples."""
    two, four, eight = m0.dtype.type(2), m0.dtype.type(4), m0.dtype.type(8)
    for t in range(m0.size):
        even, far_even, odd, far_odd = m1[t] + m2[t], m3[t] + m4[t], m1[t] - m2[t], m3[t] - m4[t]
        out[0, t] = m0[t] + even + far_even
        out[1, t] = odd + two * far_odd
        out[2, t] = even + four * far_even
        out[3, t] = m5[t] + odd + eight * far_odd


@compiled
def _activated(m: Any, bias: Any, slope: Any, out: Any) -> None:
    for t in range(m.size):
        value = m[t] + bias
        out[t] = value if value > 0 else slope * value


@compiled
def _activated_onto(m: Any, bias: Any, slope: Any, base: Any, gain: Any, out: Any) -> None:
    for t in range(m.size):
        value = m[t] + bias
        out[t] = base[t] + gain * (value if value > 0 else slope * value)


@compiled
def _pixels(
    products: Any, bias: Any, base: Any, out: Any, start: int, slope: Any, gain: Any, add: bool, first: int, last: int
) -> None:
    half = np.empty((6, 4, BLOCK_OUT), products.dtype)
    pixels = np.empty((4, BLOCK_OUT), products.dtype)
    tiles = products.shape[2]
    for c in range(first, last):
        for t in range(0, tiles, BLOCK_OUT):
            n = min(BLOCK_OUT, tiles - t)
            end = t + n
            for j in range(6):
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
