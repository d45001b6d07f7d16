"""3 x 3 convolutions in a quarter of the multiplications, for inference on a CPU (Winograd; Lavin and Gray 2016).

F(4 x 4, 3 x 3): a tile of 4 x 4 outputs needs 6 x 6 inputs. Small fixed matrices take the kernel and those inputs to 36
coefficients, which are multiplied channel by channel; a third one takes the products back. In float32 the result
differs from the direct sum by about 1e-5 of the largest value.

Between convolutions an image lies *tiled*, so that no step gathers single pixels: pixel (4 ty + i, 4 tx + j) of channel
c is element [ty + 1, c, 4 i + j, MARGIN + tx]. There is a row of zero tiles above and one below, a zero before the
tiles of every row, and zeros behind them up to a whole vector. So the neighbours of a tile lie at fixed distances
(behind the last tile of a row comes the margin of the next pixel), and the zero padding of the convolution is there.

Suffixes: C O channels, H W pixels, G groups of R outputs, D inputs or pairs of them. In shapes: r rows of tiles and the
two around them, c channels, 16 pixels of a tile, p the margin and the tiles of a row.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dataprep.kernels.machine_code import grouped, require
from dataprep.kernels.vectors import BFLOAT16_PRODUCTS, LANES, NUMBER_BYTES
from dataprep.kernels.winograd_code import FAR, MARGIN, NEAR
from dataprep.kernels.winograd_kernels import Convolution, Kernel, TilePlace, at_once, convolve_tiles, shuffle_pixels

TILE = 4
KERNEL_MATRIX = (
    *((1, 0, 0), (-2 / 3, -2 * NEAR / 3, -1 / 3), (-2 / 3, 2 * NEAR / 3, -1 / 3)),
    *((1 / 6, FAR / 6, 1 / 3), (1 / 6, -FAR / 6, 1 / 3), (0, 0, 1)),
)


def transform_kernel(weight_OC33: Float[Tensor, "o c 3 3"]) -> Float[Tensor, "36 o c"]:
    """Return the coefficients G w G^T of a kernel."""
    matrix = torch.tensor(KERNEL_MATRIX, dtype=torch.float64)
    coefficients = torch.einsum("ia,ocab,jb->ijoc", matrix, weight_OC33.double(), matrix)
    return coefficients.flatten(0, 1).to(weight_OC33.dtype)


class TiledKernel:
    """A 3 x 3 kernel and its bias, as the loops of dataprep.kernels.winograd_kernels read them.

    `dtype` bfloat16 rounds coefficients of kernel and image to that type, where the CPU multiplies it
    (`dataprep.kernels.vectors.BFLOAT16_PRODUCTS`); sums stay in float32.
    """

    def __init__(self, weight_OC33: Tensor, bias_O: Tensor, dtype: torch.dtype = torch.float32) -> None:
        outputs, inputs = weight_OC33.shape[:2]
        kinds = weight_OC33.dtype, bias_O.dtype
        require(kinds == (torch.float32, torch.float32), "kernel and bias", kinds, "float32")
        require(len(bias_O) == outputs, "numbers of the bias", len(bias_O), str(outputs))
        pairs = dtype == torch.bfloat16 and BFLOAT16_PRODUCTS
        grouped_36GDRP = grouped(transform_kernel(weight_OC33.detach()), pairs)
        groups, depth = grouped_36GDRP.shape[1:3]
        span, chunk = at_once(groups, depth)
        parts = (part for span_36SDRP in grouped_36GDRP.split(span, 1) for part in span_36SDRP.split(chunk, 2))
        self._packed, self._bias_O = torch.cat([part.flatten() for part in parts]), bias_O.detach().contiguous()
        self.outputs = outputs
        places = self._packed.data_ptr(), self._bias_O.data_ptr()
        self.numbers = Kernel(places[0], pairs, groups, span, depth, chunk, places[1], outputs, inputs)


class Tiling:
    """Tiled images of one size, in float32; pixels of the last tiles that lie past its end are zero."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.rows, self.columns = math.ceil(height / TILE), math.ceil(width / TILE)
        self.pitch = MARGIN + LANES * math.ceil(self.columns / LANES)
        self._mask = torch.stack([self._inside(TILE), self._inside(height - TILE * (self.rows - 1))])

    def _inside(self, height: int) -> Float[Tensor, "16 _"]:
        """Return one for every pixel of a row of tiles that is in the picture, `height` of it."""
        mask = torch.zeros(TILE, TILE, self.pitch - MARGIN)
        is_inside = (torch.arange(TILE * self.columns) < self.width).unflatten(0, (self.columns, TILE)).T
        mask[:height, :, : self.columns] = is_inside.float()
        return mask.flatten(0, 1)

    def blank(self, channels: int) -> Float[Tensor, "r c 16 p"]:
        """Return a tiled image of zeros."""
        return torch.zeros(self.rows + 2, channels, TILE * TILE, self.pitch)

    def tile(self, image_CHW: Float[Tensor, "c h w"], out: Float[Tensor, "r c 16 p"] | None = None) -> Tensor:
        """Return a picture as a tiled image, `out` or a new one."""
        out = self.blank(len(image_CHW)) if out is None else out
        whole = F.pad(image_CHW, (0, TILE * self.columns - self.width, 0, TILE * self.rows - self.height))
        split = whole.unflatten(2, (self.columns, TILE)).unflatten(1, (self.rows, TILE))
        self._pixels(out).unflatten(2, (TILE, TILE)).copy_(split.permute(1, 0, 2, 4, 3))
        return out

    def untile(self, tiled: Float[Tensor, "r c 16 p"]) -> Float[Tensor, "c h w"]:
        pixels = self._pixels(tiled).unflatten(2, (TILE, TILE))
        return pixels.permute(1, 0, 2, 4, 3).flatten(3, 4).flatten(1, 2)[:, : self.height, : self.width]

    def strip(self, rows: int, ends: bool = False) -> "Tiling":
        """Return the tiling of so many rows of tiles, the last ones of the picture if it `ends` there."""
        return Tiling(TILE * rows - (-self.height % TILE if ends else 0), self.width)

    def shuffle(self, tiled: Float[Tensor, "r c 16 p"], out: Float[Tensor, "r2 c_4 16 p2"], row: int = 0) -> None:
        """Write the image, four channels made one of twice the size, into `out` from that row of tiles on.

        Raises:
            ValueError: Machine code would write elsewhere.

        """
        twice = Tiling(2 * self.height, 2 * self.width)
        require(row >= 0, "row", row, "at least 0")
        self._require_image(tiled, self.rows, 4)
        twice._require_image(out, row + twice.rows, tiled.shape[1] // 4)
        require(tiled.shape[1] % 4 == 0, "channels", tiled.shape[1], "a multiple of four")
        widths = self.pitch - MARGIN, twice.pitch - MARGIN
        shuffle_pixels(_place(tiled), _place(out, row), self.rows, tiled.shape[1] // 4, *widths)

    def convolve(
        self,
        x: Float[Tensor, "r_x c1 16 p"],
        kernel: TiledKernel,
        out: Float[Tensor, "r o_all 16 p"],
        slope: float = 1.0,
        *,
        more: Float[Tensor, "r_x c2 16 p"] | None = None,
        onto: tuple[Tensor, float] | None = None,
        out_channel: int = 0,
        row: int = 0,
    ) -> None:
        """Write f(convolution) into channels of a tiled image, f leaky ReLU of that slope; they are none of the inputs.

        Args:
            x: The image, or one of more rows of tiles: those from `row` on are read.
            kernel: It reads the channels of `x`, then as many of `more` as it has inputs.
            out: Tiled image of this tiling; channels from `out_channel` on are written.
            slope: Of f.
            more: Further channels of the image.
            onto: (image, gain): the result is image + gain f(convolution) instead.
            out_channel: See `out`.
            row: See `x`.

        Raises:
            ValueError: Machine code would read or write elsewhere.

        """
        base, gain = onto or (out, 0.0)
        self._check(x, kernel.numbers, out, more, base, out_channel, row)
        job = Convolution(
            first=_place(x, row),
            second=_place(x if more is None else more, row),
            first_channels=x.shape[1],
            kernel=kernel.numbers,
            rows=self.rows,
            columns=self.pitch - MARGIN,
            mask=self._mask.data_ptr(),
            base=_place(base),
            out=_place(out, 0, out_channel),
            slope=np.float32(slope),
            gain=np.float32(gain),
            add=onto is not None,
        )
        convolve_tiles(job)

    def _check(
        self, x: Tensor, kernel: Kernel, out: Tensor, more: Tensor | None, base: Tensor, out_channel: int, row: int
    ) -> None:
        inputs = [x] if more is None else [x, more]
        for image in inputs:
            self._require_image(image, row + self.rows, image.shape[1])
        self._require_image(base, self.rows, kernel.outputs)
        self._require_image(out, self.rows, out_channel + kernel.outputs)
        require(row >= 0 <= out_channel, "row and out_channel", (row, out_channel), "at least 0")
        given = sum(image.shape[1] for image in inputs)
        require(kernel.inputs <= given, "channels of the image", given, f"at least {kernel.inputs}")
        split = kernel.pairs and more is not None and x.shape[1] % 2
        require(not split, "channels of the first image", x.shape[1], "an even number, as pairs lie in one image")

    def _require_image(self, image: Tensor, rows: int, channels: int) -> None:
        fits = (
            image.dtype == torch.float32
            and image.device.type == "cpu"
            and image.ndim == 4
            and image.shape[2:] == (TILE * TILE, self.pitch)
            and image.stride()[2:] == (self.pitch, 1)
        )
        require(fits, "tiled image", (image.dtype, *image.shape), f"float32 (rows, channels, 16, {self.pitch})")
        least = rows + 2, channels
        require(image.shape[0] >= least[0] and image.shape[1] >= least[1], "tiled image", image.shape, f"{least}")

    def _pixels(self, tiled: Tensor) -> Tensor:
        return tiled[1:-1, ..., MARGIN : MARGIN + self.columns]


def _place(tiled: Tensor, row: int = 0, channel: int = 0) -> TilePlace:
    return TilePlace(
        tiled[row + 1, channel, 0, MARGIN:].data_ptr(), *(NUMBER_BYTES * step for step in tiled.stride()[:3])
    )
