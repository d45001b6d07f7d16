"""What this process may use of the machine: cores and memory, as containers limit them."""

from __future__ import annotations

import ctypes
import os
import resource
from pathlib import Path

from dataprep.errors import ConfigError
from pipelines.machine.cgroups import limits

WORKER_BYTES = "SHHQ_HS_WORKER_BYTES"  # environment of a worker: the memory it may take
_SHARED_MEMORY = Path("/dev/shm")
_SHARED_BYTES = 1 << 20  # processes that work together keep locks there, of a few bytes each
_HANDLES, _HANDLES_A_WORKER = 64, 16  # files and connections of the driver, and those for each of its workers


def cores() -> int:
    """Processors this process may use: those it is bound to, or fewer where its groups have less time."""
    allowed = len(os.sched_getaffinity(0))
    return max(1, int(min(allowed, limits().cores)))


def memory_bytes() -> int:
    """Physical memory, or less where a container, a job or a service may have less."""
    return int(min(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), limits().memory_bytes))


def require_room(workers: int, shared_memory: Path = _SHARED_MEMORY) -> None:
    """Raise ConfigError where `workers` processes could not be started: what they would say is hard to understand.

    As many open files are allowed to this process as the system lets it have.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    needed = _HANDLES + _HANDLES_A_WORKER * workers
    if most != resource.RLIM_INFINITY and most < needed:
        raise ConfigError(f"this process may open {most} files, {workers} workers need {needed}; allow more "
                          "(ulimit -n 4096), or take --workers 1 or --cluster serial")  # fmt: skip
    if shared_memory.is_dir():
        state = os.statvfs(shared_memory)
        if state.f_bavail * state.f_frsize < _SHARED_BYTES:
            raise ConfigError(f"{shared_memory} is full, and processes that work together need room there; delete what "
                              "others left in it, mount it larger, or take --cluster serial")  # fmt: skip


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
