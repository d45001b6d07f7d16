"""What this process may use of the machine: cores and memory, as containers limit them."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

WORKER_BYTES = "SHHQ_HS_WORKER_BYTES"  # environment of a worker: the memory it may take
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def cores() -> int:
    return max(1, len(os.sched_getaffinity(0)))


def memory_bytes() -> int:
    """Physical memory, or less where a container may have less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _CGROUP_LIMITS:
        try:
            total = min(total, int(Path(path).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return total


def worker_bytes() -> int:
    """Memory that a worker process may take: its share, or all there is where nobody said."""
    return int(os.environ.get(WORKER_BYTES, memory_bytes()))


def release_freed_memory() -> None:
    """Give what this process has freed back to the system (glibc; elsewhere nothing happens)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def resident_bytes(pid: int | None = None) -> int:
    """Memory that a process (default: this one) holds now; 0 where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(pid: int | None = None) -> float:
    """Processor time that a process (default: this one) has used, all its threads; 0 where the system does not say."""
    try:
        # The name in parentheses may hold anything; user and system time are the 12th and 13th field behind it.
        fields = Path(f"/proc/{pid or 'self'}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0
