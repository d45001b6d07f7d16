"""RRDBNet for inference on a CPU: all its 3 x 3 convolutions in tiles, a quarter of the multiplications.

Enlarging by two and convolving 3 x 3 is, for each of the four pixels that one becomes, a convolution of the small image
with a kernel whose weights are summed where they meet the same pixel: so it is one convolution to four times the
channels, and a shuffle of pixels. What follows the first enlargement is done band by band, since an image of 64
channels and sixteen times the pixels would be most of the memory; how it is cut into bands changes no bit.

Suffixes: C O channels, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dataprep.kernels.dense_trunk import DenseTrunk
from dataprep.kernels.winograd import TILE, TiledKernel, Tiling
from dataprep.models.superres.rrdbnet import NEGATIVE_SLOPE, RESIDUAL_SCALE, RRDB, RRDBNet

SCALE = 4
BAND_ROWS = 4  # of tiles of the small image: 16 px. Two more are enlarged for their neighbours: 2% more work in all


class TiledRRDBNet:
    """What RRDBNet computes, for one picture at a time.

    With `dtype` bfloat16 that is the type of coefficients and products where the CPU has such products, but for the
    first and the last convolution; sums and images stay in float32.
    """

    def __init__(self, network: RRDBNet, dtype: torch.dtype = torch.float32) -> None:
        def pack(conv: nn.Conv2d) -> TiledKernel:
            return TiledKernel(conv.weight, cast(Tensor, conv.bias), dtype)

        blocks = [
            [[pack(conv) for conv in dense.convolutions()] for dense in block.dense_blocks()]
            for block in cast(Iterable[RRDB], network.body)
        ]
        self.width = network.num_feat
        self.first, self.last = (
            TiledKernel(conv.weight, cast(Tensor, conv.bias)) for conv in (network.conv_first, network.conv_last)
        )
        self.trunk = DenseTrunk(blocks, NEGATIVE_SLOPE, RESIDUAL_SCALE)
        self.body, self.detail = pack(network.conv_body), pack(network.conv_hr)
        self.enlargements = [
            TiledKernel(enlarging(conv.weight), cast(Tensor, conv.bias).repeat_interleave(4), dtype)
            for conv in (network.conv_up1, network.conv_up2)
        ]

    @torch.no_grad()
    def __call__(self, image_CHW: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 4*h 4*w"]:
        """Return the picture enlarged four times; its values are about 0 to 1."""
        height, width = image_CHW.shape[1:]
        small = Tiling(height, width)
        enlarger = _Enlarger(self, small, self._deep(small, image_CHW))
        out = torch.empty(3, SCALE * height, SCALE * width)
        for first in range(0, small.rows, BAND_ROWS):
            enlarger.write(range(first, min(first + BAND_ROWS, small.rows)), out)
        return out

    def _deep(self, small: Tiling, image_CHW: Tensor) -> Tensor:
        shallow, rooms = small.blank(self.width), self.trunk.rooms(small)
        small.convolve(small.tile(image_CHW), self.first, shallow)
        deep = self.trunk(small, shallow, rooms)
        small.convolve(deep, self.body, rooms[0], onto=(shallow, 1.0))
        return rooms[0]


def enlarging(weight_OC33: Float[Tensor, "o c 3 3"]) -> Float[Tensor, "4*o c 3 3"]:
    """Return kernels of the small image: 4 o + 2 y + x is what o sees of an image twice as large at pixel (y, x)."""
    of_rows = (_halved(weight_OC33, 2, y) for y in (0, 1))
    return torch.stack([_halved(rows, 3, x) for rows in of_rows for x in (0, 1)], 1).flatten(0, 1)


def _halved(weight: Tensor, dim: int, odd: int) -> Tensor:
    """Sum what meets the same small pixel: the even one has a neighbour before it, the odd one after."""
    before, here, after = weight.unbind(dim)
    nothing = torch.zeros_like(here)
    return torch.stack((nothing, before + here, after) if odd else (before, here + after, nothing), dim)


class Band(NamedTuple):
    """Rows of tiles of a tiled image, those from `first` on, between two of neighbours (zeros at the image's ends)."""

    tiled: Tensor
    first: int


class _Enlarger:
    """Makes the large picture of the small image's features, a band at a time, in the same memory."""

    def __init__(self, network: TiledRRDBNet, small: Tiling, deep: Tensor) -> None:
        self.network, self.deep = network, Band(deep, 0)
        self.tilings = small, *(Tiling(scale * small.height, scale * small.width) for scale in (2, SCALE))
        rows, width = min(BAND_ROWS, small.rows), network.width
        self.middle = self.tilings[1].strip(2 * rows + 4).blank(width)
        self.large, self.detailed = (self.tilings[2].strip(4 * rows + 4).blank(width) for _ in range(2))
        self.shuffled = [tiling.strip(1).blank(4 * width) for tiling in self.tilings[:2]]
        self.picture = self.tilings[2].strip(4 * rows).blank(3)

    def write(self, rows: range, out: Float[Tensor, "3 large_h large_w"]) -> None:
        """Write the pixels that those rows of tiles become into the large picture."""
        small, middle, large = self.tilings
        network = self.network
        # A row of neighbours on either side is enough for all that follows, but for the large image's own.
        wide = _around(rows, small)
        band = self._enlarge(0, self.deep, wide, self.middle)
        band = self._enlarge(1, band, _around(_twice(rows, middle), middle), self.large)
        target = _twice(_twice(rows, middle), large)
        band = self._convolve(large, band, network.detail, _around(target, large), self.detailed, NEGATIVE_SLOPE)
        band = self._convolve(large, band, network.last, target, self.picture, 1.0)
        pixels = _strip(large, target).untile(band.tiled)
        out[:, TILE * target.start : TILE * target.start + pixels.shape[1]] = pixels

    def _enlarge(self, step: int, band: Band, rows: range, out: Tensor) -> Band:
        """Return what those rows become: twice as many, convolved and activated."""
        tiling, larger = self.tilings[step : step + 2]
        for row in rows:
            strip = _strip(tiling, range(row, row + 1))
            kernel, shuffled = self.network.enlargements[step], self.shuffled[step]
            strip.convolve(band.tiled, kernel, shuffled, NEGATIVE_SLOPE, row=row - band.first)
            strip.shuffle(shuffled, out, 2 * (row - rows.start))
        return _band(out, _twice(rows, larger))

    def _convolve(
        self, tiling: Tiling, band: Band, kernel: TiledKernel, rows: range, out: Tensor, slope: float
    ) -> Band:
        _strip(tiling, rows).convolve(band.tiled, kernel, out, slope, row=rows.start - band.first)
        return _band(out, rows)


def _band(room: Tensor, rows: range) -> Band:
    """Return what was written to the first rows of a room; the row below it may be left from another band."""
    room[len(rows) + 1].zero_()
    return Band(room[: len(rows) + 2], rows.start)


def _strip(tiling: Tiling, rows: range) -> Tiling:
    return tiling.strip(len(rows), ends=rows.stop == tiling.rows)


def _around(rows: range, tiling: Tiling) -> range:
    return range(max(rows.start - 1, 0), min(rows.stop + 1, tiling.rows))


def _twice(rows: range, larger: Tiling) -> range:
    return range(2 * rows.start, min(2 * rows.stop, larger.rows))
