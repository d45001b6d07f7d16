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

import torch
from jaxtyping import Float
from torch import Tensor

from gan.winograd_kernels import coefficients_of_pixels, pixels_of_products, shuffle_pixels

TILE = 4
# The points of interpolation are 0, 1, -1, 2, -2 and infinity.
KERNEL_MATRIX = (
    *((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6)),
    *((1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1)),
)


def transform_kernel(weight_OC33: Float[Tensor, "o c 3 3"]) -> Float[Tensor, "36 o c"]:
    """Return the coefficients G w G^T of a kernel."""
    matrix = torch.tensor(KERNEL_MATRIX, dtype=torch.float64)
    coefficients = torch.einsum("ia,ocab,jb->ijoc", matrix, weight_OC33.double(), matrix)
    return coefficients.flatten(0, 1).to(weight_OC33.dtype)


class Tiling:
    """Tiled images of one size, whose sides are multiples of four. Work may be done on a strip of their rows of tiles.

    A strip is known by its first row and by the number of tiles that its coefficients are for, those between rows
    counted.
    """

    def __init__(self, height: int, width: int, like: Tensor) -> None:
        assert height % TILE == 0 == width % TILE
        self.rows, self.columns = height // TILE, width // TILE
        self.pitch = self.columns + 1
        self.tiles = self.rows * self.pitch
        self._start = self.pitch + 1  # place of the first tile: a row of zero tiles and the slack lie before it
        self._like = like

    def blank(self, channels: int) -> Float[Tensor, "4 4 c l"]:
        """Return a tiled image of zeros."""
        return self._like.new_zeros(TILE, TILE, channels, self.tiles + 2 * self._start)

    def tile(self, image_CHW: Float[Tensor, "c h w"]) -> Float[Tensor, "4 4 c l"]:
        tiled_IJCL = self.blank(len(image_CHW))
        split = image_CHW.unflatten(2, (self.columns, TILE)).unflatten(1, (self.rows, TILE))
        self._grid(tiled_IJCL)[..., : self.columns].copy_(split.permute(2, 4, 0, 1, 3))
        return tiled_IJCL

    def untile(self, tiled_IJCL: Float[Tensor, "4 4 c l"]) -> Float[Tensor, "c h w"]:
        pixels = self._grid(tiled_IJCL)[..., : self.columns]
        return pixels.permute(2, 3, 0, 4, 1).flatten(3, 4).flatten(1, 2)

    def shuffle(
        self, tiled_IJCL: Float[Tensor, "4 4 c l"], larger: "Tiling", out_IJCL: Float[Tensor, "4 4 c_4 l2"], row: int
    ) -> None:
        """Write the image, four channels made one of twice the size, into `out_IJCL` from twice `row` on."""
        start = larger._start + 2 * row * larger.pitch
        places = self._start, self.pitch, out_IJCL.numpy(), start, larger.pitch, self.rows, self.columns
        shuffle_pixels(tiled_IJCL.numpy(), *places)

    def transform(
        self,
        tiled_IJCL: Float[Tensor, "4 4 c l"],
        out_36CT: Float[Tensor, "36 c_all t"],
        first_channel: int = 0,
        row: int = 0,
    ) -> None:
        """Write the coefficients B^T d B of every tile d of the strip with its surroundings of one pixel."""
        coefficients_of_pixels(tiled_IJCL, out_36CT, first_channel, row * self.pitch, self.pitch)

    def convolve(
        self,
        coefficients_36CT: Float[Tensor, "36 c t"],
        kernel_36OC: Float[Tensor, "36 o c"],
        bias_O: Float[Tensor, " o"],
        out_IJOL: Float[Tensor, "4 4 o l"],
        slope: float = 1.0,
        onto: tuple[Tensor, float] | None = None,
        row: int = 0,
    ) -> None:
        """Write f(convolution) of the image that has these coefficients, f leaky ReLU of that slope.

        With `onto` = (image, gain) the result is image + gain f(convolution) instead.
        """
        products_36OT = torch.bmm(kernel_36OC, coefficients_36CT).to(out_IJOL.dtype)
        pixels_of_products(products_36OT, bias_O, slope, out_IJOL, self._start + row * self.pitch, onto)
        rows = coefficients_36CT.shape[2] // self.pitch
        self._grid(out_IJOL)[..., row : row + rows, self.columns].zero_()

    def _grid(self, tiled_IJCL: Tensor) -> Tensor:
        """Return a view of the tiles by row and column; the last column lies between the rows."""
        return tiled_IJCL[..., self._start : self._start + self.tiles].unflatten(-1, (self.rows, self.pitch))
