"""File permissions as ordinary users meet them, also where tests run as root."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_OVERRIDES = (1 << 1) | (1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_VERSION_3 = 0x20080522


@contextmanager
def ordinary_user() -> Iterator[None]:
    """This thread, and threads it starts, without root's right to read and write what permissions deny."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, words = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, words):
        raise OSError(ctypes.get_errno(), "capget")
    before = words[0]
    words[0] = before & ~_OVERRIDES
    if libc.capset(header, words):
        raise OSError(ctypes.get_errno(), "capset")
    try:
        yield
    finally:
        words[0] = before
        libc.capset(header, words)
