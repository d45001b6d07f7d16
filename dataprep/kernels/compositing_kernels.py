"""What `gan.rendering.compositing.render_hits` computes, pixel by pixel, in machine code: for inference on a CPU.

A pixel looks only the manifolds up that it meets, and nothing between hits and colours is written down. In torch the
same takes five times as long. Layers at equal distances stay in their order.

Arrays: layers (L, 4: x y z validity, h, w), maps (L, 4, mh, mw), image (3, size, size), depth and opacity (size, size).
"""

import functools
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dataprep.kernels.machine_code import compiled, require, share

ZERO, HALF, ONE, TINY = np.float32(0), np.float32(0.5), np.float32(1), np.float32(1e-10)


def composited(
    maps_L4HW: Float[Tensor, "l 4 mh mw"],
    layers_L4HW: Float[Tensor, "l 4 h w"],
    origin_3: Float[Tensor, "3"],
    window: tuple[float, float],
    valid_above: float,
    size: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return image, depth and opacity of `size` pixels a side; `window` is half side and centre y of the maps.

    Raises:
        ValueError: The loops would read or write elsewhere.

    """
    _require_shapes(maps_L4HW, layers_L4HW, origin_3, size)
    image, depth, opacity = (layers_L4HW.new_empty(*channels, size, size) for channels in ((3,), (), ()))
    tensors = maps_L4HW, layers_L4HW, origin_3, image, depth, opacity
    arrays = [tensor.contiguous().numpy() for tensor in tensors]
    numbers = np.float32(window[0]), np.float32(window[1]), np.float32(valid_above)
    share(functools.partial(_rows, *arrays, *numbers), size)
    return image, depth, opacity


def _require_shapes(maps: Tensor, layers: Tensor, origin: Tensor, size: int) -> None:
    for what, tensor in (("maps", maps), ("layers", layers)):
        found = tensor.dtype, *tensor.shape
        fits = tensor.dtype == torch.float32 and tensor.ndim == 4 and tensor.shape[1] == 4 and min(tensor.shape[2:]) > 1
        require(fits, what, found, "float32 (levels, 4, at least 2, at least 2)")
    require(len(maps) == len(layers), "levels of maps and layers", (len(maps), len(layers)), "equal numbers")
    place = origin.dtype, *origin.shape
    require(place == (torch.float32, 3), "origin", place, "float32 (3)")
    require(size > 1, "size", size, "at least 2")


@compiled
def _rows(
    maps: Any,
    layers: Any,
    origin: Any,
    image: Any,
    depth: Any,
    opacity: Any,
    half_side: Any,
    centre_y: Any,
    valid_above: Any,
    first: int,
    last: int,
) -> None:
    size, count = image.shape[1], len(layers)
    step_y, step_x = (layers.shape[2] - 1) / (size - 1), (layers.shape[3] - 1) / (size - 1)
    distances, places = np.empty(count, np.float32), np.empty((count, 2), np.float32)
    order, rgba = np.empty(count, np.int64), np.empty(4, np.float32)
    for row in range(first, last):
        y = min(int(row * step_y), layers.shape[2] - 2)
        v = np.float32(row * step_y - y)
        for column in range(size):
            x = min(int(column * step_x), layers.shape[3] - 2)
            u = np.float32(column * step_x - x)
            hits = 0
            for level in range(count):
                if _between(layers, level, 3, y, x, v, u) <= valid_above:
                    continue
                places[level, 0] = _between(layers, level, 0, y, x, v, u)
                places[level, 1] = _between(layers, level, 1, y, x, v, u)
                a = places[level, 0] - origin[0]
                b = places[level, 1] - origin[1]
                c = _between(layers, level, 2, y, x, v, u) - origin[2]
                distances[level] = np.sqrt(a * a + b * b + c * c)
                rank = hits  # front to back; they mostly come in that order
                while rank > 0 and distances[order[rank - 1]] > distances[level]:
                    order[rank] = order[rank - 1]
                    rank -= 1
                order[rank] = level
                hits += 1
            passed, red, green, blue, total, far = ONE, ZERO, ZERO, ZERO, ZERO, ZERO
            for rank in range(hits):
                level = order[rank]
                _look_up(maps, level, places[level, 0] / half_side, (places[level, 1] - centre_y) / half_side, rgba)
                weight = passed * rgba[3]
                red, green, blue = red + weight * rgba[0], green + weight * rgba[1], blue + weight * rgba[2]
                total, far = total + weight, far + weight * distances[level]
                passed = passed * (ONE - rgba[3] + TINY)
            white = ONE - total
            image[0, row, column] = np.float32(2) * (red + white) - ONE
            image[1, row, column] = np.float32(2) * (green + white) - ONE
            image[2, row, column] = np.float32(2) * (blue + white) - ONE
            depth[row, column] = far / total if total != ZERO else np.nan
            opacity[row, column] = total


@compiled
def _between(layers: Any, level: int, channel: int, y: int, x: int, v: Any, u: Any) -> Any:
    """Interpolate at (y + v, x + u)."""
    plane = layers[level, channel]
    above = plane[y, x] + u * (plane[y, x + 1] - plane[y, x])
    below = plane[y + 1, x] + u * (plane[y + 1, x + 1] - plane[y + 1, x])
    return above + v * (below - above)


@compiled
def _look_up(maps: Any, level: int, across: Any, down: Any, out: Any) -> None:
    """Sample a map at coordinates from -1 to 1 (its outer edges): bilinear, the border beyond it."""
    height, width = maps.shape[2:]
    x = min(max(((across + ONE) * width - ONE) * HALF, ZERO), np.float32(width - 1))
    y = min(max(((down + ONE) * height - ONE) * HALF, ZERO), np.float32(height - 1))
    left, top = min(int(x), width - 2), min(int(y), height - 2)
    u, v = np.float32(x - left), np.float32(y - top)
    for channel in range(4):
        plane = maps[level, channel]
        above = plane[top, left] + u * (plane[top, left + 1] - plane[top, left])
        below = plane[top + 1, left] + u * (plane[top + 1, left + 1] - plane[top + 1, left])
        out[channel] = above + v * (below - above)
