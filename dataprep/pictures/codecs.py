"""Decoding and encoding images: upright 8-bit sRGB in, lossless PNG out.

Arrays are uint8 RGB (H, W, 3) or uint8 masks (H, W). Decoding applies the EXIF orientation and the colour profile, so
every stage sees the picture as a person does. Every photograph comes in by `decode_rgb`.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from dataprep.errors import Rejected
from dataprep.pictures import colour_profiles
from dataprep.pictures.photo_formats import readers_of

MAX_PIXELS = 100_000_000  # above this a file is a bomb or a scan of a wall, not a photograph of a person
_OPAQUE_MODES = {"L", "RGB", "CMYK", "YCbCr"}
_ALPHA_MODES = {"LA", "RGBA", "PA", "P"}


def decode_rgb(data: bytes, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "h w 3"]:
    """Decode the first frame of a photograph, upright and in sRGB; transparent pixels become white.

    Raises Rejected with reason empty_file, undecodable, missing_decoder, too_large or unsupported_mode (16-bit, float).
    """
    return decode_photograph(data, max_pixels)[0]


def decode_photograph(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[UInt8[np.ndarray, "h w 3"], str | None]:
    """`decode_rgb`, and the name of the colour profile in the file: see `colours.to_srgb`."""
    image = open_image(data, max_pixels)
    if image.mode not in _ALPHA_MODES | _OPAQUE_MODES:
        raise Rejected(
            "unsupported_mode", f"the image has mode {image.mode}, expected 8 bits a channel; convert it to 8-bit RGB"
        )
    rgb, profile = colour_profiles.to_srgb(image)
    if image.mode in _ALPHA_MODES:
        rgb = Image.composite(rgb, Image.new("RGB", rgb.size, "white"), image.convert("RGBA").getchannel("A"))
    return np.asarray(rgb), profile


def decode_mask(data: bytes, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "h w"]:
    """Decode a mask or an alpha that this program wrote; masks of others are read by `masks.read_mask`."""
    image = open_image(data, max_pixels)
    if image.mode in ("RGB", "RGBA", "P"):
        return np.asarray(image.convert("RGB")).max(axis=2)
    return np.asarray(image.convert("L"))


def open_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The first frame in its own mode, upright; raises Rejected as `decode_rgb` does, but for the mode."""
    if not data:
        raise Rejected("empty_file", "the file has 0 bytes")
    readers = readers_of(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=readers)
            width, height = image.size
            if width * height > max_pixels:
                raise Rejected("too_large", f"the image has {width} x {height} pixels, at most {max_pixels:,} are read")
            image.load()
            return ImageOps.exif_transpose(image)
    except (Rejected, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise Rejected("too_large", f"the image declares more pixels than are read ({MAX_PIXELS:,})") from error
    except UnidentifiedImageError as error:
        raise Rejected("undecodable", "the file is not an image in a format that is read here") from error
    except Exception as error:  # on hostile bytes decoders raise anything: OSError, struct.error, KeyError, ...
        raise Rejected("undecodable", f"the image data are damaged or cut off ({type(error).__name__})") from error


def encode_png(array: UInt8[np.ndarray, "h w *c"]) -> bytes:
    """Lossless PNG of an RGB (H, W, 3) or grey (H, W) array; the same bytes for the same pixels."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
