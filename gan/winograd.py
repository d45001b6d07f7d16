"""3 x 3 convolutions in a quarter of the multiplications, for inference on a CPU (Winograd; Lavin and Gray 2016).

F(4 x 4, 3 x 3): a tile of 4 x 4 outputs needs 6 x 6 inputs. Small fixed matrices take the kernel and those inputs to 36
coefficients, which are multiplied channel by channel (36 matrix products for the whole image); a third one takes the
products back. In float32 the result differs from the direct sum by about 1e-5 of the largest value.

Between convolutions an image lies *tiled*, so that no step gathers single pixels: pixel (4 ty + i, 4 tx + j) of channel
c is element [i, j, c, place of tile (ty, tx)]. Tiles lie row by row with one zero tile between rows, a row of zero
tiles above and below, and one element of slack at either end. So the neighbours of a tile lie at fixed distances, work
runs over long contiguous stretches, and the zero padding of the convolution is already there.

Suffixes: I J rows and columns within a tile, C O channels, T tiles (with those between rows), L T and the margins.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

TILE = 4
# The points of interpolation are 0, 1, -1, 2, -2 and infinity.
KERNEL_MATRIX = (
    *((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6)),
    *((1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1)),
)
EVERYWHERE = 7  # of the 36 coefficients, the one (at point 1, 1) that adds to every pixel of a tile alike
CHANNELS_AT_ONCE = 16  # transformed together, so that what is in between stays in the cache


def transform_kernel(weight_OC33: Float[Tensor, "o c 3 3"]) -> Float[Tensor, "36 o c"]:
    """Return the coefficients G w G^T of a kernel."""
    matrix = torch.tensor(KERNEL_MATRIX, dtype=torch.float64)
    coefficients = torch.einsum("ia,ocab,jb->ijoc", matrix, weight_OC33.double(), matrix)
    return coefficients.flatten(0, 1).to(weight_OC33.dtype)


class Tiling:
    """Tiled images of one size, whose sides are multiples of four, and the scratch memory of their convolutions."""

    def __init__(self, height: int, width: int, like: Tensor) -> None:
        assert height % TILE == 0 == width % TILE
        self.rows, self.columns = height // TILE, width // TILE
        self.pitch = self.columns + 1
        self.tiles = self.rows * self.pitch
        self._start = self.pitch + 1  # place of the first tile: a row of zero tiles and the slack lie before it
        self._like = like
        self._half_in = like.new_empty(6, TILE, CHANNELS_AT_ONCE, self.tiles + 2)
        self._half_out = like.new_empty(TILE, 6, CHANNELS_AT_ONCE, self.tiles)
        self._sums = like.new_empty(2, 6, CHANNELS_AT_ONCE, self.tiles + 2)

    def blank(self, channels: int) -> Float[Tensor, "4 4 c l"]:
        """Return a tiled image of zeros."""
        return self._like.new_zeros(TILE, TILE, channels, self.tiles + 2 * self._start)

    def room(self, channels: int) -> Float[Tensor, "36 c t"]:
        """Return uninitialised room for coefficients."""
        return self._like.new_empty(36, channels, self.tiles)

    def tile(self, image_CHW: Float[Tensor, "c h w"]) -> Float[Tensor, "4 4 c l"]:
        tiled_IJCL = self.blank(len(image_CHW))
        split = image_CHW.unflatten(2, (self.columns, TILE)).unflatten(1, (self.rows, TILE))
        self._grid(tiled_IJCL)[..., : self.columns].copy_(split.permute(2, 4, 0, 1, 3))
        return tiled_IJCL

    def untile(self, tiled_IJCL: Float[Tensor, "4 4 c l"]) -> Float[Tensor, "c h w"]:
        pixels = self._grid(tiled_IJCL)[..., : self.columns]
        return pixels.permute(2, 3, 0, 4, 1).flatten(3, 4).flatten(1, 2)

    def _grid(self, tiled_IJCL: Tensor) -> Tensor:
        """Return a view of the tiles by row and column; the last column lies between the rows."""
        return tiled_IJCL[..., self._start : self._start + self.tiles].unflatten(-1, (self.rows, self.pitch))

    def transform(self, tiled_IJCL: Float[Tensor, "4 4 c l"], out_36CT: Float[Tensor, "36 c t"]) -> None:
        """Write the coefficients B^T d B of every tile d with its surroundings of one pixel."""
        out_IJCT = out_36CT.unflatten(0, (6, 6))
        pieces = tiled_IJCL.split(CHANNELS_AT_ONCE, 2), out_IJCT.split(CHANNELS_AT_ONCE, 2)
        for image, out in zip(*pieces, strict=True):
            channels = image.shape[2]
            half, sums = self._half_in[:, :, :channels], self._sums[:, :, :channels]
            above, here, below = (image[:, :, :, self.pitch * i : self.pitch * i + self.tiles + 2] for i in range(3))
            _to_coefficients((above[3], *here, below[0]), half.unbind(0), sums[:, :TILE])
            left, middle, right = (half[..., i : i + self.tiles].unbind(1) for i in range(3))
            _to_coefficients((left[3], *middle, right[0]), out.unbind(1), sums[..., : self.tiles])

    def convolve(
        self,
        coefficients_36CT: Float[Tensor, "36 c t"],
        kernel_36OC: Float[Tensor, "36 o c"],
        bias_O: Float[Tensor, " o"],
    ) -> Float[Tensor, "4 4 o l"]:
        """Return the tiled convolution (no activation) of the image that has these coefficients."""
        out_IJOL = self.blank(len(bias_O))
        products_36OT = torch.bmm(kernel_36OC, coefficients_36CT)
        products_36OT[EVERYWHERE] += bias_O[:, None]
        products_IJOT = products_36OT.unflatten(0, (6, 6))
        pixels_IJOT = out_IJOL[..., self._start : self._start + self.tiles]
        pieces = products_IJOT.split(CHANNELS_AT_ONCE, 2), pixels_IJOT.split(CHANNELS_AT_ONCE, 2)
        for products, pixels in zip(*pieces, strict=True):
            channels = products.shape[2]
            half, sums = self._half_out[:, :, :channels], self._sums[:, :, :channels, : self.tiles]
            _from_coefficients(products.unbind(0), half.unbind(0), sums)
            _from_coefficients(half.unbind(1), pixels.unbind(1), sums[:, :TILE])
        self._grid(out_IJOL)[..., self.columns].zero_()
        return out_IJOL


def _to_coefficients(d: Sequence[Tensor], out: Sequence[Tensor], scratch: Tensor) -> None:
    """Apply B^T along one axis: six neighbouring samples to six coefficients."""
    even, odd = scratch
    torch.sub(d[4], d[2], alpha=4, out=even)
    torch.sub(d[3], d[1], alpha=4, out=odd)
    torch.add(even, odd, out=out[1])
    torch.sub(even, odd, out=out[2])
    torch.sub(d[4], d[2], out=even)
    torch.sub(d[3], d[1], out=odd)
    torch.add(even, odd, alpha=2, out=out[3])
    torch.sub(even, odd, alpha=2, out=out[4])
    torch.sub(d[0], d[2], out=out[0])
    torch.add(even, out[0], alpha=4, out=out[0])
    torch.sub(d[5], d[3], out=out[5])
    torch.sub(out[5], odd, alpha=4, out=out[5])


def _from_coefficients(m: Sequence[Tensor], out: Sequence[Tensor], scratch: Tensor) -> None:
    """Apply A^T along one axis: six products to four samples."""
    first, second = scratch
    torch.add(m[1], m[2], out=first)
    torch.add(m[3], m[4], out=second)
    torch.add(m[0], first, out=out[0])
    torch.add(out[0], second, out=out[0])
    torch.add(first, second, alpha=4, out=out[2])
    torch.sub(m[1], m[2], out=first)
    torch.sub(m[3], m[4], out=second)
    torch.add(first, second, alpha=2, out=out[1])
    torch.add(m[5], first, out=out[3])
    torch.add(out[3], second, alpha=8, out=out[3])
