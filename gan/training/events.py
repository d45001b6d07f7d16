"""TensorBoard's event files, written without TensorBoard: length-framed records of a few protobuf fields.

A record is: length (u64), its masked CRC32C (u32), content, the content's masked CRC32C (u32), all little-endian. The
content is an `Event`: wall_time = 1, step = 2, file_version = 3, summary = 5, which holds values: tag = 1 and a number
(simple_value = 2) or a picture (image = 4).
`wall_time` stays zero: two runs that did the same have the same bytes; TensorBoard shows them by step.

Not by tensorboardX or torch's writer: both put the clock and the host into the file's name and header and write from a
thread of their own, so that a resumed run could not have the bytes of one that was never stopped.
"""

import struct
from collections.abc import Mapping

EVENTS_FILE = "events.out.tfevents.0.shhq-hs"


def header() -> bytes:
    """Return the record that an event file begins with."""
    return _record(_field(3, b"brain.Event:2"))


def scalars(step: int, values: Mapping[str, float]) -> bytes:
    """Return the record of some numbers at a step."""
    summary = b"".join(
        _field(1, _field(1, tag.encode()) + b"\x15" + struct.pack("<f", value)) for tag, value in values.items()
    )
    return _record(b"\x10" + _varint(step) + _field(5, summary))


def picture(step: int, tag: str, png: bytes) -> bytes:
    """Return the record of an RGB picture at a step; image = 4 holds height, width, colour space and the PNG."""
    width, height = struct.unpack(">II", png[16:24])  # of the IHDR chunk, which comes first
    size = b"\x08" + _varint(height) + b"\x10" + _varint(width) + b"\x18\x03"
    value = _field(1, _field(1, tag.encode()) + _field(4, size + _field(4, png)))
    return _record(b"\x10" + _varint(step) + _field(5, value))


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + _checksum(length) + content + _checksum(content)


def _field(number: int, content: bytes) -> bytes:
    """Length-delimited (wire type 2)."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # CRC32C, reflected
        table.append(byte)
    return table


_TABLE = _crc_table()


def crc32c(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _checksum(content: bytes) -> bytes:
    crc = crc32c(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
