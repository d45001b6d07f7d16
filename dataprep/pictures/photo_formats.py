"""The formats of photographs that are read, and the decoders that some of them need besides Pillow."""

from __future__ import annotations

import importlib.util
from functools import cache

from PIL import features

from dataprep.errors import Rejected
from dataprep.extras import requirement

# Decoders that a file may choose by its content. Others are obscure, and one (EPS) would start another program.
_ALWAYS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF")
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}


def readers_of(data: bytes) -> tuple[str, ...]:
    """Pillow's names of the formats that the file may have; Rejected (missing_decoder) when one must be installed."""
    brands = _brands(data)
    if brands & _AVIF_BRANDS:
        if not features.check("avif"):
            raise _missing("AVIF, which this Pillow cannot read", "pillow>=11.3")
    elif brands & _HEIC_BRANDS:
        if not _register_heif():
            raise _missing("HEIC, which needs the extra heic", requirement("heic"))
        return (*_ALWAYS, "HEIF")
    return _ALWAYS


def _missing(what: str, requirement: str) -> Rejected:
    again = "shhq-hs retry OUT --status rejected --reason missing_decoder"
    return Rejected("missing_decoder", f"the file is {what}; run: pip install '{requirement}', then: {again}")


def _brands(data: bytes) -> set[bytes]:
    """The major and compatible brands of an ISO base media file, else nothing."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4], "big"), 256)
    return {data[8:12]} | {data[i : i + 4] for i in range(16, end, 4)}


@cache
def _register_heif() -> bool:
    """Let Pillow read HEIC by the package pillow-heif; whether it can."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    import pillow_heif

    pillow_heif.register_heif_opener()
    return True
