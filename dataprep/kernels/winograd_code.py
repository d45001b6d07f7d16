"""The vector instructions of Winograd's convolution: tiles to coefficients, their products, and back (F(4 x 4, 3 x 3)).

Each function is laid down inside the loops of `winograd_kernels`. Its arguments are addresses and distances in bytes.
"""

import functools
from typing import Any

from dataprep.kernels.vectors import BFLOAT16_PRODUCTS, BLOCK, BLOCK_BYTES, LANES, ROWS, WIDE, Code, Vector, emitted

# The points of interpolation are 0, plus and minus these, and infinity. Against 1 and 2, which are the usual ones, they
# need fewer instructions, lower the error in float32 by a third and gain 5 dB in bfloat16 (x4plus, a face of 96 px).
NEAR, FAR = 0.5**0.5, 2**0.5
AREA = 36
TILE_AREA = 16
LINE_BYTES = 64  # of the cache
MARGIN = 1  # zero tiles before every row of tiles; what lies behind it is the next pixel's margin
AREA_BYTES = AREA * BLOCK_BYTES


def _to_coefficients(d: list[Vector]) -> list[Vector]:
    """Apply B^T of F(4, 3): six neighbouring samples to six coefficients."""
    near_even, near_odd = d[4] - 2.0 * d[2], d[3] - 2.0 * d[1]
    far_even, far_odd = d[4] - 0.5 * d[2], d[3] - 0.5 * d[1]
    near = near_even + NEAR * near_odd, near_even - NEAR * near_odd
    far = far_even + FAR * far_odd, far_even - FAR * far_odd
    return [(d[0] + d[4]) - 2.5 * d[2], *near, *far, (d[1] + d[5]) - 2.5 * d[3]]


def _to_samples(m: list[Vector]) -> list[Vector]:
    """Apply A^T of F(4, 3): six products to four samples."""
    even, far_even, odd, far_odd = m[1] + m[2], m[3] + m[4], m[1] - m[2], m[3] - m[4]
    first, second = m[0] + even + far_even, NEAR * odd + FAR * far_odd
    return [first, second, 0.5 * even + 2.0 * far_even, m[5] + (NEAR / 2) * odd + (2 * FAR) * far_odd]


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
def fetch_tiles(code: Code, pixels: Any, plane: Any, row: Any) -> None:
    """Begin to bring the pixels of a block of tiles, and the nearest of those above and below, into the cache."""
    above, below = code.shifted(pixels, row, -1), code.shifted(pixels, row)
    nearest = [(above, pixel) for pixel in range(12, 16)] + [(below, pixel) for pixel in range(4)]
    for place, pixel in [(pixels, pixel) for pixel in range(TILE_AREA)] + nearest:
        for line in range(0, BLOCK_BYTES + LINE_BYTES, LINE_BYTES):
            code.prefetch(code.shifted(code.shifted(place, plane, pixel), line))


@emitted(integers=4)
def transform_tiles(code: Code, pixels: Any, plane: Any, row: Any, out: Any) -> None:
    """Write the coefficients of LANES tiles, a block apart."""
    for i, coefficient in enumerate(_coefficients(code, pixels, plane, row)):
        code.store(coefficient, out, i * BLOCK)


@emitted(integers=5)
def transform_tile_pairs(code: Code, even: Any, odd: Any, plane: Any, row: Any, out: Any) -> None:
    """Write those of two channels as pairs of bfloat16 numbers."""
    pairs = zip(*(_coefficients(code, pixels, plane, row) for pixels in (even, odd)), strict=True)
    for i, (of_even, of_odd) in enumerate(pairs):
        code.store_bfloat16_pairs(of_even, of_odd, code.shifted(out, i * BLOCK_BYTES))


def _emit_product(code: Code, a: Any, x: Any, out: Any, depth: Any, pairs: bool, wide: int, add: bool) -> None:
    """Write the sums over k of a[k, r] x[k], ROWS blocks, or add them; one of AREA blocks is x[k] and is written.

    Of every block only the first `wide` vectors.
    """
    places = [r * AREA * BLOCK + w * LANES for r in range(ROWS) for w in range(wide)]
    start = [code.load(out, place) if add else code.constant(0.0) for place in places]
    sums = code.sum_of_products(start, a, x, depth, AREA_BYTES, pairs)
    for place, total in zip(places, sums, strict=True):
        code.store(total, out, place)


product, more_product, narrow_product, more_narrow_product = (
    emitted(integers=4)(functools.partial(_emit_product, pairs=False, wide=wide, add=add))
    for wide in (WIDE, 1)
    for add in (False, True)
)
product_of_pairs, more_product_of_pairs, narrow_product_of_pairs, more_narrow_product_of_pairs = (
    emitted(integers=4)(functools.partial(_emit_product, pairs=BFLOAT16_PRODUCTS, wide=wide, add=add))
    for wide in (WIDE, 1)
    for add in (False, True)
)


def _emit_pixels(
    code: Code, products: Any, mask: Any, mask_plane: Any, bias: Any, out: Any, plane: Any, *others: Any
) -> None:
    """Write f(A^T m A + bias) of LANES tiles; given the place of a base, and its `plane`, add to that."""
    *base, slope, gain = others
    half = []
    for j in range(6):
        half.append(_to_samples([code.load(products, (6 * i + j) * BLOCK) for i in range(6)]))
    zero, shift = code.constant(0.0), code.load_spread(bias)
    slope, gain = code.spread(slope), code.spread(gain)
    rows = [_to_samples(list(products_of_row)) for products_of_row in zip(*half, strict=True)]
    for pixel, sample in enumerate(sample for row in rows for sample in row):
        value = sample + shift
        value = code.where(code.is_larger(value, zero), value, slope * value)
        if base:
            place, base_plane = base
            value = code.load(code.shifted(place, base_plane, pixel)) + gain * value
        keep = code.load(code.shifted(mask, mask_plane, pixel))
        code.store(keep * value, code.shifted(out, plane, pixel))


write_pixels = emitted(integers=6, numbers=2)(_emit_pixels)
write_pixels_onto = emitted(integers=8, numbers=2)(_emit_pixels)


def _emit_shuffle(
    code: Code, source: Any, channel: Any, plane: Any, out: Any, out_row: Any, out_plane: Any, halves: int
) -> None:
    """Make LANES tiles of four channels two rows of twice as many of one, or their first half.

    Pixel (y, x) of the two by two tiles that one becomes is pixel (y // 2, x // 2) of channel 2 (y % 2) + x % 2.
    """
    for y in range(8):
        for x in range(4):  # and x + 4, which lies in the next tile
            here = code.shifted(code.shifted(source, channel, y % 2 * 2 + x % 2), plane, 4 * (y // 2) + x // 2)
            there = code.shifted(code.shifted(out, out_row, y // 4), out_plane, 4 * (y % 4) + x)
            left, right = code.load(here), code.load(code.shifted(here, plane, 2))
            for i, tiles in enumerate(code.by_turns(left, right)[:halves]):
                code.store(tiles, there, i * LANES)


shuffle_tiles, shuffle_half = (
    emitted(integers=6)(functools.partial(_emit_shuffle, halves=halves)) for halves in (2, 1)
)
