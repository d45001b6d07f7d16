"""Frames to files: gif, png grids, depth pictures. Every file appears whole or not at all, the same every time."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from dataprep.errors import Unwritable
from dataprep.pictures.codecs import encode_png
from dataprep.tables.store import atomic_file

GIF_SIDE_MAX = 256
TILE_SIDE_MAX = 256

Pixels = UInt8[np.ndarray, "h w 3"]


def pixels(image_3HW: Float[Tensor, "3 h w"]) -> Pixels:
    """Return a rendered image in [-1, 1] as 8-bit RGB."""
    return ((image_3HW + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy(force=True)


def depth_pixels(depth_HW: Float[Tensor, "h w"], opacity_HW: Float[Tensor, "h w"], near: float, far: float) -> Pixels:
    """Return distances as grey: bright at `near`, dark at `far`, fading to black where nothing is seen."""
    bright_HW = 1 - ((depth_HW - near) / (far - near)).clamp(0, 1)
    grey_HW = (bright_HW * 0.9 + 0.1) * opacity_HW.clamp(0, 1)
    grey = (grey_HW.nan_to_num(0) * 255).round().byte().numpy(force=True)
    return np.repeat(grey[..., None], 3, 2)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path with the same suffix, renamed to `path` when the block ends well."""
    temporary = partial_path(path)
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise Unwritable(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def partial_path(path: Path) -> Path:
    """Where a file lies while it grows, a name that nobody can guess; makes its folder, raises Unwritable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unwritable(f"{path}: cannot be written ({error.strerror or error})") from error
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex}.partial{path.suffix}")


class Gif:
    """An endless gif, at most GIF_SIDE_MAX pixels a side, each frame with its own 256 colours."""

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self._duration_ms = path, max(20, 10 * round(100 / fps))
        self._frames: list[Image.Image] = []

    def add(self, frame: Pixels) -> None:
        self._frames.append(shrink(frame, GIF_SIDE_MAX).quantize(256, Image.Quantize.MEDIANCUT))

    def close(self) -> None:
        first, rest = self._frames[0], self._frames[1:]
        with atomic_file(self.path) as file:
            first.save(
                file, "GIF", save_all=True, append_images=rest, duration=self._duration_ms, loop=0, optimize=False
            )

    def abandon(self) -> None:
        self._frames.clear()


def shrink(frame: Pixels, side_max: int) -> Image.Image:
    """Return the frame, made smaller where it exceeds `side_max`."""
    image = Image.fromarray(frame)
    scale = side_max / max(image.size)
    if scale >= 1:
        return image
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def write_grid(path: Path, rows: Sequence[Sequence[Pixels]]) -> None:
    """Write pictures of one size as a grid, rows by columns, on white."""
    tiles = [[np.asarray(shrink(frame, TILE_SIDE_MAX)) for frame in row] for row in rows]
    columns = max(map(len, tiles))
    blank = np.full_like(tiles[0][0], 255)
    picture = np.concatenate([np.concatenate([*row, *[blank] * (columns - len(row))], 1) for row in tiles])
    with atomic_file(path) as file:
        file.write(encode_png(picture))
