"""What the control groups of this process allow it: containers, batch systems and systemd limit memory and processors.

CgroupLimits nest: a job's group lies in its user's, which lies in the machine's, and the tightest of them counts. Both
versions of the kernel's interface are read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_MEMBERSHIP, _MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_ENDLESS = 1 << 60  # version 1 writes no limit as a number of about this size


class CgroupLimits(NamedTuple):
    """The tightest limits; infinite where there is none."""

    memory_bytes: float
    cores: float


def limits(membership: Path = _MEMBERSHIP, mount: Path = _MOUNT) -> CgroupLimits:
    """Limits of the groups that the process is in, and of those around them."""
    memory_bytes = cores = math.inf
    for folder in _groups(membership, mount):
        memory_bytes = min(memory_bytes, _number(folder / "memory.max"), _number(folder / "memory.limit_in_bytes"))
        cores = min(cores, _quota(folder))
    return CgroupLimits(memory_bytes if memory_bytes < _ENDLESS else math.inf, cores)


def _groups(membership: Path, mount: Path) -> Iterator[Path]:
    """Folders of the process's groups, each with those around it up to the mount."""
    for controllers, path in _memberships(membership):
        names = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
        for hierarchy in (mount, mount / controllers, mount / "unified", *(mount / c for c in controllers.split(","))):
            for depth in range(len(names) + 1):
                yield hierarchy.joinpath(*names[:depth])


def _memberships(file: Path) -> Iterator[tuple[str, str]]:
    """Controllers ("" in version 2) and path of each group; the mount alone where the system does not say."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        lines = []
    found = [tuple(line.split(":", 2)[1:]) for line in lines if line.count(":") >= 2]
    yield from ((controllers, path) for controllers, path in found)
    yield from (("", "/"), ("memory", "/"), ("cpu", "/"))


def _number(file: Path) -> float:
    try:
        return float(int(file.read_text()))
    except (OSError, ValueError):  # no such file, or "max"
        return math.inf


def _quota(folder: Path) -> float:
    """Processor time a period, in periods."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        quota, period = (str(_number(folder / f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
    try:
        allowed, length = float(quota), float(period)
    except ValueError:  # "max"
        return math.inf
    return allowed / length if allowed > 0 and 0 < length < math.inf else math.inf
