"""Winograd's convolution of tiled images (gan.kernels.winograd) in machine code, and their pixel shuffle.

A block of tiles is taken from pixels to pixels while it lies in the cache: its coefficients, 36 products with the
kernel's, and what those products make of the pixels. Torch's threads share the blocks.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from gan.kernels.machine_code import compiled, share
from gan.kernels.vectors import (
    BFLOAT16_PRODUCTS,
    BLOCK,
    BLOCK_BYTES,
    LANES,
    NUMBER_BYTES,
    ROWS,
    WIDE,
    Code,
    Vector,
    emitted,
)

AREA = 36
TILE_AREA = 16
LINE_BYTES = 64  # of the cache
MARGIN = 1  # zero tiles before every row of tiles; what lies behind it is the next pixel's margin
AREA_BYTES = AREA * BLOCK_BYTES
GROUPS_AT_ONCE, DEPTH_AT_ONCE = 64 // ROWS, 32  # output channels by ROWS, and input channels: what the cache holds


def _to_coefficients(d: list[Vector]) -> list[Vector]:
    """Apply B^T of F(4, 3): six neighbouring samples to six coefficients."""
    even, odd = d[4] - 4.0 * d[2], d[3] - 4.0 * d[1]
    near_even, near_odd = d[4] - d[2], 2.0 * (d[3] - d[1])
    first, last = d[4] + (4.0 * d[0] - 5.0 * d[2]), d[5] + (4.0 * d[1] - 5.0 * d[3])
    return [first, even + odd, even - odd, near_even + near_odd, near_even - near_odd, last]


def _to_samples(m: list[Vector]) -> list[Vector]:
    """Apply A^T of F(4, 3): six products to four samples."""
    even, far_even, odd, far_odd = m[1] + m[2], m[3] + m[4], m[1] - m[2], m[3] - m[4]
    return [m[0] + even + far_even, odd + 2.0 * far_odd, even + 4.0 * far_even, m[5] + odd + 8.0 * far_odd]


def _coefficients(code: Code, pixels: Any, plane: Any, row: Any) -> list[Vector]:
    """Return B^T d B of LANES tiles d: `plane` bytes from pixel to pixel of a tile, `row` from tile to tile below."""
    columns = []
    for j, tile in ((3, -1), (0, 0), (1, 0), (2, 0), (3, 0), (0, 1)):
        places = [code.shifted(pixels, plane, 4 * i + j) for i in range(4)]
        places = [code.shifted(places[3], row, -1), *places, code.shifted(places[0], row)]
        columns.append(_to_coefficients([code.load(place, tile) for place in places]))
    rows = [_to_coefficients(list(samples)) for samples in zip(*columns, strict=True)]
    return [coefficient for row_of_six in rows for coefficient in row_of_six]


@emitted(integers=3)
def _fetch_tiles(code: Code, pixels: Any, plane: Any, row: Any) -> None:
    """Begin to bring the pixels of a block of tiles, and the nearest of those above and below, into the cache."""
    above, below = code.shifted(pixels, row, -1), code.shifted(pixels, row)
    nearest = [(above, pixel) for pixel in range(12, 16)] + [(below, pixel) for pixel in range(4)]
    for place, pixel in [(pixels, pixel) for pixel in range(TILE_AREA)] + nearest:
        for line in range(0, BLOCK_BYTES + LINE_BYTES, LINE_BYTES):
            code.prefetch(code.shifted(code.shifted(place, plane, pixel), line))


@emitted(integers=4)
def _transform(code: Code, pixels: Any, plane: Any, row: Any, out: Any) -> None:
    """Write the coefficients of LANES tiles, a block apart."""
    for i, coefficient in enumerate(_coefficients(code, pixels, plane, row)):
        code.store(coefficient, out, i * BLOCK)


@emitted(integers=5)
def _transform_pair(code: Code, even: Any, odd: Any, plane: Any, row: Any, out: Any) -> None:
    """Write those of two channels as pairs of bfloat16 numbers."""
    pairs = zip(*(_coefficients(code, pixels, plane, row) for pixels in (even, odd)), strict=True)
    for i, (of_even, of_odd) in enumerate(pairs):
        code.store_bfloat16_pairs(of_even, of_odd, code.shifted(out, i * BLOCK_BYTES))


def _emit_product(code: Code, a: Any, x: Any, out: Any, depth: Any, pairs: bool, add: bool) -> None:
    """Write the sums over k of a[k, r] x[k], ROWS blocks, or add them; one of AREA blocks is x[k] and is written."""
    places = [r * AREA * BLOCK + w * LANES for r in range(ROWS) for w in range(WIDE)]
    start = [code.load(out, place) if add else code.constant(0.0) for place in places]
    sums = code.sum_of_products(start, a, x, depth, AREA_BYTES, pairs)
    for place, total in zip(places, sums, strict=True):
        code.store(total, out, place)


_product, _more_product, _product_of_pairs, _more_product_of_pairs = (
    emitted(integers=4)(functools.partial(_emit_product, pairs=pairs, add=add))
    for pairs in (False, BFLOAT16_PRODUCTS)
    for add in (False, True)
)


def _emit_pixels(code: Code, products: Any, mask: Any, bias: Any, out: Any, plane: Any, *others: Any) -> None:
    """Write f(A^T m A + bias) of LANES tiles; given the place of a base, and its `plane`, add to that."""
    *base, slope, gain = others
    half = []
    for j in range(6):
        half.append(_to_samples([code.load(products, (6 * i + j) * BLOCK) for i in range(6)]))
    keep, zero, shift = code.load(mask), code.constant(0.0), code.load_spread(bias)
    slope, gain = code.spread(slope), code.spread(gain)
    rows = [_to_samples(list(products_of_row)) for products_of_row in zip(*half, strict=True)]
    for pixel, sample in enumerate(sample for row in rows for sample in row):
        value = sample + shift
        value = code.where(code.is_larger(value, zero), value, slope * value)
        if base:
            place, base_plane = base
            value = code.load(code.shifted(place, base_plane, pixel)) + gain * value
        code.store(keep * value, code.shifted(out, plane, pixel))


_pixels = emitted(integers=5, numbers=2)(_emit_pixels)
_pixels_onto = emitted(integers=7, numbers=2)(_emit_pixels)


class TilePlace(NamedTuple):
    """A channel of a tiled image (rows + 2, channels, 16, MARGIN + whole blocks): where its first tile lies.

    `row`, `channel` and `plane` are the bytes from one row of tiles, channel and pixel of a tile to the next.
    """

    address: int
    row: int
    channel: int
    plane: int


class Kernel(NamedTuple):
    """Coefficients of a kernel, in the order in which they are read (`gan.kernels.winograd.TiledKernel`), and its bias.

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
        blocks_across: Blocks in a row of tiles.
        mask: Address of (columns): 1 in the picture, 0 past its end.
        base, out: The result goes to `out`, and `base` is what it is added to.
        slope, gain, add: The result is f(convolution), or base + gain f(convolution); f is leaky ReLU of that slope.

    """

    first: TilePlace
    second: TilePlace
    first_channels: int
    kernel: Kernel
    blocks_across: int
    mask: int
    base: TilePlace
    out: TilePlace
    slope: Any
    gain: Any
    add: bool


def convolve_tiles(job: Convolution, rows: int) -> None:
    """Do it for so many rows of tiles."""
    share(functools.partial(_convolve, job), rows * job.blocks_across)


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
                kernel = _multiply(job, kernel, until - group, c > 0, end - c, coefficients, products, ahead)
            for channel in range(group * ROWS, min(until * ROWS, job.kernel.outputs)):
                _write_channel(job, block, products + (channel - group * ROWS) * AREA_BYTES, channel)
    rooms[0][0] = rooms[1][0] = 0  # they are in use until here


@compiled
def _line(address: int) -> int:
    """Return where the next line of the cache begins."""
    return address + -address % LINE_BYTES


@compiled
def _multiply(
    job: Any, kernel: int, groups: int, add: bool, depth: int, coefficients: int, products: int, ahead: Any
) -> int:
    """Write or add to so many groups' products what so many inputs contribute; return the next place in the kernel."""
    for k in range(AREA):
        _fetch_share(job, ahead, k)
        for g in range(groups):
            x, out = coefficients + k * BLOCK_BYTES, products + g * ROWS * AREA_BYTES + k * BLOCK_BYTES
            if job.kernel.pairs:
                if add:
                    _more_product_of_pairs(kernel, x, out, depth)
                else:
                    _product_of_pairs(kernel, x, out, depth)
            elif add:
                _more_product(kernel, x, out, depth)
            else:
                _product(kernel, x, out, depth)
            kernel += depth * ROWS * NUMBER_BYTES
    return kernel


@compiled
def _fetch_share(job: Any, ahead: Any, k: int) -> None:
    block, first, last = ahead
    row, tile = block // job.blocks_across, block % job.blocks_across * BLOCK
    if job.kernel.pairs:
        first, last = 2 * first, min(2 * last, job.kernel.inputs)
    for c in range(first + (last - first) * k // AREA, first + (last - first) * (k + 1) // AREA):
        pixels, plane, down = _channel(job, c, row, tile)
        _fetch_tiles(pixels, plane, down)


@compiled
def _transform_block(job: Any, block: int, first: int, last: int, out: int) -> None:
    """Write the coefficients of a block of tiles of some channels, or pairs of channels."""
    row, tile = block // job.blocks_across, block % job.blocks_across * BLOCK
    for c in range(first, last):
        for lane in range(0, BLOCK, LANES):
            if job.kernel.pairs:
                even, plane, down = _channel(job, 2 * c, row, tile + lane)
                odd, _, _ = _channel(job, min(2 * c + 1, job.kernel.inputs - 1), row, tile + lane)
                _transform_pair(even, odd, plane, down, out + NUMBER_BYTES * lane)
            else:
                pixels, plane, down = _channel(job, c, row, tile + lane)
                _transform(pixels, plane, down, out + NUMBER_BYTES * lane)
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
    row, first = block // job.blocks_across, block % job.blocks_across * BLOCK
    bias = job.kernel.bias + NUMBER_BYTES * channel
    for tile in range(first, first + BLOCK, LANES):
        source = products + NUMBER_BYTES * (tile - first)
        mask, out = job.mask + NUMBER_BYTES * tile, _at(job.out, row, channel, tile)
        if job.add:
            base = _at(job.base, row, channel, tile)
            _pixels_onto(source, mask, bias, out, job.out.plane, base, job.base.plane, job.slope, job.gain)
        else:
            _pixels(source, mask, bias, out, job.out.plane, job.slope, job.gain)


@emitted(integers=6)
def _shuffle_tiles(code: Code, source: Any, channel: Any, plane: Any, out: Any, out_row: Any, out_plane: Any) -> None:
    """Make LANES tiles of four channels two rows of twice as many of one.

    Pixel (y, x) of the two by two tiles that one becomes is pixel (y // 2, x // 2) of channel 2 (y % 2) + x % 2.
    """
    for y in range(8):
        for x in range(4):  # and x + 4, which lies in the next tile
            here = code.shifted(code.shifted(source, channel, y % 2 * 2 + x % 2), plane, 4 * (y // 2) + x // 2)
            there = code.shifted(code.shifted(out, out_row, y // 4), out_plane, 4 * (y % 4) + x)
            left, right = code.load(here), code.load(code.shifted(here, plane, 2))
            for i, tiles in enumerate(code.by_turns(left, right)):
                code.store(tiles, there, i * LANES)


@compiled
def shuffle_pixels(source: Any, out: Any, rows: int, channels: int, columns: int) -> None:
    """Make every four channels of a tiled image one of twice the height and width; both are `TilePlace`s."""
    for row in range(rows):
        for c in range(channels):
            for tile in range(0, columns, LANES):
                here, there = _at(source, row, 4 * c, tile), _at(out, 2 * row, c, 2 * tile)
                _shuffle_tiles(here, source.channel, source.plane, there, out.row, out.plane)
