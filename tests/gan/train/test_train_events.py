"""TensorBoard's format, byte by byte."""

import struct

import numpy as np

from dataprep.pictures.codecs import encode_png
from gan.training.events import crc32c, header, picture, scalars


def test_checksum_has_its_published_check_value() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


def unframed(record: bytes) -> bytes:
    (length,) = struct.unpack("<Q", record[:8])
    assert len(record) == 8 + 4 + length + 4
    content = record[12:-4]
    for part, stored in ((record[:8], record[8:12]), (content, record[-4:])):
        crc = crc32c(part)
        rotated = (crc >> 15) | (crc << 17) & 0xFFFFFFFF
        assert struct.unpack("<I", stored)[0] == (rotated + 0xA282EAD8) % 2**32
    return content


def records(content: bytes) -> list[bytes]:
    """The contents of a file's records, checked."""
    found = []
    while content:
        size = 16 + struct.unpack("<Q", content[:8])[0]
        found.append(unframed(content[:size]))
        content = content[size:]
    return found


def test_a_picture_at_a_step() -> None:
    """Image: height = 1, width = 2, colorspace = 3 (RGB), encoded_image_string = 4."""
    png = encode_png(np.zeros((2, 5, 3), np.uint8))
    image = b"\x08\x02\x10\x05\x18\x03\x22" + bytes([len(png)]) + png
    value = b"\x0a\x01a\x22" + bytes([len(image)]) + image
    assert unframed(picture(7, "a", png)) == b"\x10\x07\x2a" + bytes([len(value) + 2, 0x0A, len(value)]) + value


def test_a_number_at_a_step() -> None:
    """step = 300 (varint ac 02), summary { value { tag "a", simple_value 1.0 } }."""
    value = b"\x0a\x01a" + b"\x15\x00\x00\x80\x3f"
    assert unframed(scalars(300, {"a": 1.0})) == b"\x10\xac\x02" + b"\x2a\x0a" + b"\x0a\x08" + value


def test_files_begin_with_their_version() -> None:
    assert unframed(header()) == b"\x1a\x0dbrain.Event:2"
