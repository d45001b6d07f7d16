"""Temporary files that killed processes left behind."""

from __future__ import annotations

import os
import re
import socket
import time
from pathlib import Path

from dataprep.files.locations import Location
from dataprep.files.machine_identity import this_machine
from dataprep.tables.input_rows import ARCHIVES_FOLDER, CLIPS_FOLDER, FETCHED_FOLDER, INPUTS_FOLDER
from dataprep.tables.shard_folders import SHARDS

_TEMPORARY = re.compile(r"\..*\.(?P<pid>\d+)\.[0-9a-f]{8}\.tmp")
_OLD_S = 3600.0  # another machine's process cannot be looked up: no file takes an hour to write


def sweep(out: Location) -> int:
    """Remove what `atomic_file` left: of dead processes of this machine at once, of others after an hour.

    A bare host name in a temporary name is of an earlier version of this program, on this machine.

    Call with the run lock held, so that no other driver's workers are writing here. Returns how many were removed.
    An object store has no temporary files.
    """
    if not isinstance(out, Path):
        return 0
    folders = [out, *(out / name for name in (SHARDS, "report", "runs", "stages")), *(out / "stages").glob("*/"),
               out / INPUTS_FOLDER, out / ARCHIVES_FOLDER,
               *(out / CLIPS_FOLDER).glob("*/"), *(out / FETCHED_FOLDER).glob("*/")]  # fmt: skip
    return sum(_sweep_folder(folder) for folder in folders if folder.is_dir())


def _sweep_folder(folder: Path) -> int:
    removed = 0
    for name in os.listdir(folder):
        match = _TEMPORARY.fullmatch(name)
        if match and _abandoned(folder / name, int(match["pid"])):
            (folder / name).unlink(missing_ok=True)
            removed += 1
    return removed


def _abandoned(path: Path, pid: int) -> bool:
    if any(f".{name}.{pid}." in path.name for name in (this_machine(), socket.gethostname())):
        return not _running(pid)
    try:
        return time.time() - path.stat().st_mtime > _OLD_S
    except OSError:
        return False


def _running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
