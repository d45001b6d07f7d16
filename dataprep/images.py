"""Decoding and encoding images: upright 8-bit RGB in, lossless PNG out.

Arrays are uint8 RGB (H, W, 3) or uint8 masks (H, W). Decoding applies the EXIF orientation, so every stage sees the
picture as a person does.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from dataprep.errors import Rejected

MAX_PIXELS = 100_000_000  # above this a file is a bomb or a scan of a wall, not a photograph of a person
_OPAQUE_MODES = {"L", "RGB", "CMYK", "YCbCr"}
_ALPHA_MODES = {"LA", "RGBA", "PA", "P"}
# Decoders that a file may choose by its content. Others are obscure, and one (EPS) would start another program.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM", "JPEG2000")


def decode_rgb(data: bytes, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "h w 3"]:
    """Decode the first frame of a photograph, upright; transparent pixels become white.

    Raises Rejected with reason empty_file, undecodable, too_large or unsupported_mode (16-bit, float).
    """
    image = _open(data, max_pixels)
    if image.mode in _ALPHA_MODES:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    elif image.mode not in _OPAQUE_MODES:
        raise Rejected(
            "unsupported_mode", f"the image has mode {image.mode}, expected 8 bits a channel; convert it to 8-bit RGB"
        )
    return np.asarray(image.convert("RGB"))


def decode_mask(data: bytes, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "h w"]:
    """Decode a supplied mask or an alpha blob to 0-255 grey; any 8-bit mode is taken.

    A colour mask counts by its brightest channel, so white-on-black and cut-out figures on black both work.
    """
    image = _open(data, max_pixels)
    if image.mode in ("RGB", "RGBA", "P"):
        return np.asarray(image.convert("RGB")).max(axis=2)
    return np.asarray(image.convert("L"))


def _open(data: bytes, max_pixels: int) -> Image.Image:
    if not data:
        raise Rejected("empty_file", "the file has 0 bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
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
