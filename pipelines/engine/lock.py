"""One driver at a time on one output folder.

`runs/lock.json` names the process that holds it, which touches it every few seconds. A lock is stale when its
process is gone from this machine, or, seen from another machine or container or after a restart, when nobody has
touched it for two minutes; then it is taken over. Should two drivers run all the same (a network file system without
locks), they write identical bytes, each file by rename.

On an object store the lock is an object that is made only where there is none (a conditional PUT), and touching it is
writing it again. Taking a stale one over is not one step: the driver that writes last has it, which the others see a
moment later.

Not by a lock of the system alone (flock, or a package around it): many network file systems and every object store have
none, and it would not say who holds the folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dataprep.errors import StoreError
from dataprep.files.locations import Location, ObjectPath
from dataprep.files.machine_identity import boot_id, process_space
from dataprep.files.own_files import locked, open_new
from dataprep.files.untrusted import parse_json
from dataprep.tables.store import json_bytes, unwritable, write_json

BEAT_S = 10.0
STALE_S = 120.0  # twelve missed beats: a shared disk that hangs for a minute costs nobody the lock
_SETTLE_S = 1.0  # time for another driver that took the same stale lock to have written, too
_PLACE = ("host", "boot", "space")  # where all are the same, process numbers are those of the same processes


@contextmanager
def run_lock(out: Location) -> Iterator[None]:
    """Hold the lock of `out`; raises StoreError naming the process that has it."""
    path = out / "runs" / "lock.json"
    me = {"token": uuid.uuid4().hex, **_own_identity()}
    _take(path, me)
    ended = threading.Event()
    beat = threading.Thread(target=_keep_touching, args=(path, me, ended), daemon=True)
    beat.start()
    try:
        yield
    finally:
        ended.set()
        beat.join()
        if _read(path).get("token") == me["token"]:
            path.unlink(missing_ok=True)


def _take(path: Location, me: Mapping[str, Any]) -> None:
    if isinstance(path, ObjectPath):
        _take_object(path, me)
        return
    with _guard(path.with_name("lock.guard")):
        _require_free(path)
        write_json(path, me)


def _require_free(path: Location) -> None:
    holder = _read(path)
    if holder and _alive(path, holder):
        silent_s = _silent_s(path)
        raise StoreError(
            f"{path.parent.parent} is in use by process {holder['pid']} on {holder['host']} (last sign of life "
            f"{max(0.0, silent_s):.0f} s ago); wait for it, or end it and run the command again"
        )


def _take_object(path: ObjectPath, me: Mapping[str, Any]) -> None:
    try:
        if path.create(json_bytes(me)):
            return
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EBUSY):  # cannot create conditionally; somebody is doing it now
            raise unwritable(path, error) from error
    _require_free(path)
    write_json(path, me)
    time.sleep(_SETTLE_S)
    if _read(path).get("token") != me["token"]:
        _require_free(path)


@contextmanager
def _guard(path: Path) -> Iterator[None]:
    """Looking and taking are one step among the drivers of a machine (and wherever the file system has locks)."""
    try:
        with locked(path, where_possible=True):
            yield
    except OSError as error:
        raise unwritable(path, error) from error


def _own_identity() -> dict[str, Any]:
    pid = os.getpid()
    return {"host": socket.gethostname(), "boot": boot_id(), "space": process_space(), "pid": pid,
            "started": _started(pid)}  # fmt: skip


def _started(pid: int) -> str | None:
    """When a process started, in clock ticks: a number that comes round again is another process. None when gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def _alive(path: Location, holder: Mapping[str, Any]) -> bool:
    me = _own_identity()
    if all(holder.get(key, me[key]) == me[key] for key in _PLACE) and Path("/proc/self").exists():
        started = _started(holder["pid"])
        return started is not None and holder.get("started", started) == started and holder["pid"] != me["pid"]
    return _silent_s(path) < STALE_S


def _silent_s(path: Location) -> float:
    """Seconds since the lock was touched, by the clock of the file system, whatever the machines' clocks say."""
    probe = path.with_name(f"clock-{uuid.uuid4().hex[:8]}")
    try:
        if isinstance(probe, ObjectPath):
            probe.write_bytes(b"")
        else:
            open_new(probe).close()
        return probe.stat().st_mtime - path.stat().st_mtime
    except OSError:
        return 0.0
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def _keep_touching(path: Location, me: Mapping[str, Any], ended: threading.Event) -> None:
    while not ended.wait(BEAT_S):
        if _read(path).get("token") == me["token"]:
            with contextlib.suppress(OSError, StoreError):
                if isinstance(path, ObjectPath):
                    write_json(path, me)
                else:
                    os.utime(path)


def _read(path: Location) -> dict[str, Any]:
    try:
        content = parse_json(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and {"host", "pid"} <= content.keys() else {}
