"""Which machine is this? Host names repeat: machines are copied, containers are called alike."""

from __future__ import annotations

import hashlib
import os
import socket
from functools import cache
from pathlib import Path


@cache
def boot_id() -> str:
    """Differs between machines and between their starts; "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@cache
def process_space() -> str:
    """Two containers of a machine can share a host name, but not this; process numbers mean nothing across."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def this_machine() -> str:
    """Host name and eight digits: where the same text stands, a process number means the same process."""
    return f"{socket.gethostname()}-{hashlib.sha256((boot_id() + process_space()).encode()).hexdigest()[:8]}"
