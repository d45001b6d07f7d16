"""Winograd's convolution of tiled images (dataprep.kernels.winograd) in machine code, and their pixel shuffle.

A block of tiles is taken from pixels to pixels while it lies in the cache: its coefficients, 36 products with the
kernel's, and what those products make of the pixels. Torch's threads share the blocks.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from dataprep.kernels.machine_code import compiled, share
from dataprep.kernels.vectors import BLOCK, BLOCK_BYTES, LANES, NUMBER_BYTES, ROWS
from dataprep.kernels.winograd_code import (
    AREA,
    AREA_BYTES,
    LINE_BYTES,
    TILE_AREA,
    fetch_tiles,
    more_narrow_product,
    more_narrow_product_of_pairs,
    more_product,
    more_product_of_pairs,
    narrow_product,
    narrow_product_of_pairs,
    product,
    product_of_pairs,
    shuffle_half,
    shuffle_tiles,
    transform_tile_pairs,
    transform_tiles,
    write_pixels,
    write_pixels_onto,
)

GROUPS_AT_ONCE, DEPTH_AT_ONCE = 64 // ROWS, 32  # output channels by ROWS, and input channels: what the cache holds


class TilePlace(NamedTuple):
    """A channel of a tiled image (rows + 2, channels, 16, MARGIN + whole vectors): where its first tile lies.

    `row`, `channel` and `plane` are the bytes from one row of tiles, channel and pixel of a tile to the next.
    """

    address: int
    row: int
    channel: int
    plane: int


class Kernel(NamedTuple):
    """Coefficients of a kernel, in the order in which they are read (`winograd.TiledKernel`), and its bias.

    Attributes:
        address: Of the coefficients.
        pairs: Whether they are pairs of bfloat16 numbers, those of two inputs.
        groups, span: Of ROWS outputs each, and how many of them at once.
        depth, chunk: Inputs or pairs of them, and how many of them at once.
        bias: Its address.
        outputs, inputs: Channels.

    """

    address: int
    pairs: bool
    groups: int
    span: int
    depth: int
    chunk: int
    bias: int
    outputs: int
    inputs: int


class Convolution(NamedTuple):
    """One convolution of tiled images, in addresses and numbers: counting references costs more than some of the work.

    Attributes:
        first, second: The inputs: `first_channels` of one, then as many of the other as the kernel has inputs.
        kernel: See there.
        rows, columns: Of tiles that are worked on, whole vectors of them.
        mask: Address of (2, 16 pixels, columns): 1 in the picture, 0 past its end; for the last row and those before.
        base, out: The result goes to `out`, and `base` is what it is added to.
        slope, gain, add: The result is f(convolution), or base + gain f(convolution); f is leaky ReLU of that slope.

    """

    first: TilePlace
    second: TilePlace
    first_channels: int
    kernel: Kernel
    rows: int
    columns: int
    mask: int
    base: TilePlace
    out: TilePlace
    slope: Any
    gain: Any
    add: bool


def convolve_tiles(job: Convolution) -> None:
    share(functools.partial(_convolve, job), job.rows * (-(-job.columns // BLOCK)))


def at_once(groups: int, depth: int) -> tuple[int, int]:
    """Return how many groups of outputs, and how many inputs or pairs of them, a block is worked on for at once.

    With few outputs its products for all of them stay in the cache, else its coefficients of all inputs.
    """
    few_outputs = groups <= GROUPS_AT_ONCE
    return (groups, min(depth, DEPTH_AT_ONCE)) if few_outputs else (GROUPS_AT_ONCE // 2, depth)


@compiled
def _convolve(job: Any, first: int, last: int) -> None:
    rooms = (
        np.empty(job.kernel.chunk * AREA * BLOCK + LANES, np.float32),
        np.empty(job.kernel.span * ROWS * AREA * BLOCK + LANES, np.float32),
    )
    coefficients, products = _line(rooms[0].ctypes.data), _line(rooms[1].ctypes.data)
    for block in range(first, last):
        kernel = job.kernel.address
        for group in range(0, job.kernel.groups, job.kernel.span):
            until = min(group + job.kernel.span, job.kernel.groups)
            for c in range(0, job.kernel.depth, job.kernel.chunk):
                end = min(c + job.kernel.chunk, job.kernel.depth)
                if group == 0:
                    _transform_block(job, block, c, end, coefficients)
                if end < job.kernel.depth:
                    ahead = block, end, min(end + job.kernel.chunk, job.kernel.depth)
                elif until == job.kernel.groups and block + 1 < last:
                    ahead = block + 1, 0, job.kernel.chunk
                else:
                    ahead = 0, 0, 0
                code = _product_code(job, block, c > 0)
                kernel = _multiply(job, kernel, until - group, code, end - c, coefficients, products, ahead)
            for channel in range(group * ROWS, min(until * ROWS, job.kernel.outputs)):
                _write_channel(job, block, products + (channel - group * ROWS) * AREA_BYTES, channel)
    rooms[0][0] = rooms[1][0] = 0  # they are in use until here


@compiled
def _line(address: int) -> int:
    """Return where the next line of the cache begins."""
    return address + -address % LINE_BYTES


@compiled
def _multiply(
    job: Any, kernel: int, groups: int, code: int, depth: int, coefficients: int, products: int, ahead: Any
) -> int:
    """Write or add to so many groups' products what so many inputs contribute; return the next place in the kernel."""
    for k in range(AREA):
        _fetch_share(job, ahead, k)
        for g in range(groups):
            x, out = coefficients + k * BLOCK_BYTES, products + g * ROWS * AREA_BYTES + k * BLOCK_BYTES
            _run_product(code, kernel, x, out, depth)
            kernel += depth * ROWS * NUMBER_BYTES
    return kernel


@compiled
def _product_code(job: Any, block: int, add: bool) -> int:
    """Return which product a block needs; one of a single vector of tiles, at the end of a row, is narrow."""
    narrow = _position(job, block)[1] + LANES == job.columns
    return 4 * int(job.kernel.pairs) + 2 * int(narrow) + int(add)


@compiled
def _run_product(code: int, a: int, x: int, out: int, depth: int) -> None:
    if code == 0:
        product(a, x, out, depth)
    elif code == 1:
        more_product(a, x, out, depth)
    elif code == 2:
        narrow_product(a, x, out, depth)
    elif code == 3:
        more_narrow_product(a, x, out, depth)
    elif code == 4:
        product_of_pairs(a, x, out, depth)
    elif code == 5:
        more_product_of_pairs(a, x, out, depth)
    elif code == 6:
        narrow_product_of_pairs(a, x, out, depth)
    else:
        more_narrow_product_of_pairs(a, x, out, depth)


@compiled
def _position(job: Any, block: int) -> Any:
    """Return the row of a block and its first tile there."""
    across = -(-job.columns // BLOCK)
    return block // across, block % across * BLOCK


@compiled
def _fetch_share(job: Any, ahead: Any, k: int) -> None:
    block, first, last = ahead
    row, tile = _position(job, block)
    if job.kernel.pairs:
        first, last = 2 * first, min(2 * last, job.kernel.inputs)
    for c in range(first + (last - first) * k // AREA, first + (last - first) * (k + 1) // AREA):
        pixels, plane, down = _channel(job, c, row, tile)
        fetch_tiles(pixels, plane, down)


@compiled
def _transform_block(job: Any, block: int, first: int, last: int, out: int) -> None:
    """Write the coefficients of a block of tiles of some channels, or pairs of channels."""
    row, tile = _position(job, block)
    for c in range(first, last):
        for lane in range(0, min(BLOCK, job.columns - tile), LANES):
            if job.kernel.pairs:
                even, plane, down = _channel(job, 2 * c, row, tile + lane)
                odd, _, _ = _channel(job, min(2 * c + 1, job.kernel.inputs - 1), row, tile + lane)
                transform_tile_pairs(even, odd, plane, down, out + NUMBER_BYTES * lane)
            else:
                pixels, plane, down = _channel(job, c, row, tile + lane)
                transform_tiles(pixels, plane, down, out + NUMBER_BYTES * lane)
        out += AREA_BYTES


@compiled
def _channel(job: Any, c: int, row: int, tile: int) -> Any:
    """Return where a tile of an input channel lies, and the distances of pixels and rows."""
    if c < job.first_channels:
        return _at(job.first, row, c, tile), job.first.plane, job.first.row
    return _at(job.second, row, c - job.first_channels, tile), job.second.plane, job.second.row


@compiled
def _at(image: Any, row: int, channel: int, tile: int) -> int:
    return image.address + row * image.row + channel * image.channel + NUMBER_BYTES * tile


@compiled
def _write_channel(job: Any, block: int, products: int, channel: int) -> None:
    """Write the pixels of a block of tiles that these products make."""
    row, first = _position(job, block)
    bias, mask_plane = job.kernel.bias + NUMBER_BYTES * channel, NUMBER_BYTES * job.columns
    of_row = job.mask + (TILE_AREA * mask_plane if row == job.rows - 1 else 0)
    for tile in range(first, min(first + BLOCK, job.columns), LANES):
        source, mask = products + NUMBER_BYTES * (tile - first), of_row + NUMBER_BYTES * tile
        out = _at(job.out, row, channel, tile)
        if job.add:
            base = _at(job.base, row, channel, tile)
            write_pixels_onto(
                source, mask, mask_plane, bias, out, job.out.plane, base, job.base.plane, job.slope, job.gain
            )
        else:
            write_pixels(source, mask, mask_plane, bias, out, job.out.plane, job.slope, job.gain)


@compiled
def shuffle_pixels(source: Any, out: Any, rows: int, channels: int, columns: int, out_columns: int) -> None:
    """Make every four channels of a tiled image one of twice the height and width.

    Both are `TilePlace`s, with so many tiles in a row, whole vectors of them.
    """
    for row in range(rows):
        for c in range(channels):
            for tile in range(0, columns, LANES):
                here, there = _at(source, row, 4 * c, tile), _at(out, 2 * row, c, 2 * tile)
                if 2 * tile + LANES < out_columns:
                    shuffle_tiles(here, source.channel, source.plane, there, out.row, out.plane)
                else:
                    shuffle_half(here, source.channel, source.plane, there, out.row, out.plane)
