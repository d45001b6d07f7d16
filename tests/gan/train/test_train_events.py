"""TensorBoard's format, byte by byte."""

import struct

from gan.training.events import crc32c, header, scalars


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


def test_a_number_at_a_step() -> None:
    """step = 300 (varint ac 02), summary { value { tag "a", simple_value 1.0 } }."""
    value = b"\x0a\x01a" + b"\x15\x00\x00\x80\x3f"
    assert unframed(scalars(300, {"a": 1.0})) == b"\x10\xac\x02" + b"\x2a\x0a" + b"\x0a\x08" + value


def test_files_begin_with_their_version() -> None:
    assert unframed(header()) == b"\x1a\x0dbrain.Event:2"
