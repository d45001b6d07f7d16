"""A folder of photographs that somebody wants us to stumble over, with healthy ones in between."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.data import astronaut

TURNS = {  # EXIF orientation -> how the stored pixels are turned
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2), 8: lambda a: np.rot90(a, -1),
}  # fmt: skip
LINE_BREAK = "two\nlines and a\ttab.png"
NOT_UTF8 = b"caf\xe9 \\ 100%.png"
LONGEST = "n" * 251 + ".png"


def make_hostile(folder: Path) -> dict[str, str | None]:
    """Fill `folder`; returns text of relative path -> the reason its row must have, None for healthy ones."""
    expected: dict[str, str | None] = dict.fromkeys(_healthy(folder))
    for make in (_damaged, _oversized, _no_files, _unreadable):
        expected |= make(folder)
    return expected


def _healthy(folder: Path) -> list[str]:
    """One person, 256 px, in every kind of file that must be taken."""
    folder.mkdir(parents=True, exist_ok=True)
    photo = np.asarray(Image.fromarray(astronaut()[:320, 64:384]).resize((256, 256), Image.Resampling.LANCZOS))
    for orientation, turn in TURNS.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.ascontiguousarray(turn(photo))).save(folder / f"exif{orientation}.png", exif=exif)
    image = Image.fromarray(photo)
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    image.quantize(255).save(folder / "palette.png")
    frames = [image.convert("L").quantize(200), Image.new("P", image.size)]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:], duration=100)
    _png(folder / LINE_BREAK, photo, 1)
    _png(folder / LONGEST, photo, 2)
    with open(os.path.join(os.fsencode(folder), NOT_UTF8), "wb") as file:
        image.save(file, "PNG", compress_level=3)
    (folder / "folder.jpg").mkdir()
    _png(folder / "folder.jpg" / "inside.png", photo, 4)
    names = [f"exif{orientation}.png" for orientation in TURNS]
    escaped = "caf\\xe9 \\\\ 100%.png"
    return [*names, "cmyk.jpg", "palette.png", "animated.gif", LINE_BREAK, LONGEST, escaped, "folder.jpg/inside.png"]


def _png(path: Path, pixels: np.ndarray, compress_level: int) -> None:
    """Other bytes for the same pixels, so that files are no duplicates."""
    Image.fromarray(pixels).save(path, compress_level=compress_level)


def _damaged(folder: Path) -> dict[str, str | None]:
    good = (folder / "exif1.png").read_bytes()
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "cut.png").write_bytes(good[: len(good) // 2])
    (folder / "cut.jpg").write_bytes((folder / "cmyk.jpg").read_bytes()[:3000])
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0xFF
    (folder / "flipped.png").write_bytes(bytes(flipped))
    (folder / "text.jpg").write_text("<html>404 not found</html>")
    # A file's content chooses its decoder: this one would start Ghostscript.
    (folder / "program.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 300 300\n%%EndComments\nshowpage\n"
    )
    pixels = np.random.default_rng(0).integers(0, 2**16, (200, 200), dtype=np.uint16)
    Image.fromarray(pixels).save(folder / "sixteen.png")
    Image.fromarray(np.zeros((200, 200), np.float32)).save(folder / "floats.tiff")
    Image.fromarray(np.zeros((20000, 1, 3), np.uint8)).save(folder / "thread.png")
    return {
        "empty.jpg": "empty_file", "cut.png": "undecodable", "cut.jpg": "undecodable", "flipped.png": "undecodable",
        "text.jpg": "undecodable", "program.jpg": "undecodable", "sixteen.png": "unsupported_mode",
        "floats.tiff": "unsupported_mode", "thread.png": "too_small",
    }  # fmt: skip


def _oversized(folder: Path) -> dict[str, str | None]:
    """Much in little: pixels in a few bytes, bytes in no disk blocks."""
    (folder / "bomb.png").write_bytes(grey_png(20_000, 10_000))
    (folder / "promise.png").write_bytes(_png_header(60_000, 60_000) + _chunk(b"IDAT", zlib.compress(bytes(9999))))
    (folder / "endless.gif").write_bytes(b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b"\x2c" * 40)
    text = zlib.compress(b"\0" * 200_000_000)
    comment = _chunk(b"zTXt", b"Comment\0\0" + text)
    good = (folder / "exif1.png").read_bytes()
    (folder / "comment.png").write_bytes(good[:33] + comment + good[33:])
    with (folder / "sparse.jpg").open("wb") as file:
        file.truncate(1 << 40)  # 1 TiB
    return {
        "bomb.png": "too_large", "promise.png": "too_large", "endless.gif": "too_large", "comment.png": "undecodable",
        "sparse.jpg": "too_large",
    }  # fmt: skip


def grey_png(width: int, height: int) -> bytes:
    """A black PNG of any size, made without holding its pixels."""
    packer, row = zlib.compressobj(9), bytes(width + 1)
    data = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    return _png_header(width, height) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _no_files(folder: Path) -> dict[str, str | None]:
    (folder / "loop_a.jpg").symlink_to("loop_b.jpg")
    (folder / "loop_b.jpg").symlink_to("loop_a.jpg")
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    (folder / "round").symlink_to(".", target_is_directory=True)
    (folder / "link.png").symlink_to("exif1.png")
    os.mkfifo(folder / "pipe.jpg")
    names = ("loop_a.jpg", "loop_b.jpg", "dangling.jpg", "pipe.jpg")
    return {**dict.fromkeys(names, "unreadable"), "link.png": "duplicate"}


def _unreadable(folder: Path) -> dict[str, str | None]:
    """For whom permissions count (tests.pipelines.ordinary_user)."""
    (folder / "secret.jpg").write_bytes((folder / "cmyk.jpg").read_bytes() + b"secret")
    (folder / "secret.jpg").chmod(0)
    (folder / "closed").mkdir()
    (folder / "closed" / "inside.jpg").write_bytes(b"nobody sees this")
    (folder / "closed").chmod(0)
    return {"secret.jpg": "unreadable", "closed/": "unreadable"}


def make_many(folder: Path, count: int) -> None:
    """`count` files of no bytes, named as images."""
    folder.mkdir(parents=True)
    for i in range(count):
        os.close(os.open(folder / f"{i:06d}.jpg", os.O_CREAT | os.O_WRONLY, 0o644))
