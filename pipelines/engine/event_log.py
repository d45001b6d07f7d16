"""`runs/<id>/events.jsonl`: one line an event, the only place for times, hosts and tracebacks.

`workers.log` lies beside it.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

from dataprep.files.locations import Location, ObjectPath
from dataprep.files.own_files import open_to_append
from dataprep.tables.store import atomic_file, unwritable

logger = logging.getLogger(__name__)
_KEEP_S = 30.0


class EventLog:
    """Lines appear as they are written. Objects cannot grow: there `events-000000.jsonl` and so on follow each other,
    one every half minute and at `flush`, and a driver that is killed loses the lines after the last.
    """

    def __init__(self, root: Location) -> None:
        stamp = datetime.datetime.now(datetime.UTC)
        self._folder = root / "runs" / f"{stamp:%Y%m%dT%H%M%S}-{socket.gethostname()}-{os.getpid()}"
        self._waiting: list[str] = []
        self._kept, self._kept_s = 0, time.monotonic()
        if not isinstance(self._folder, ObjectPath):
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise unwritable(self._folder / "events.jsonl", error) from error

    @property
    def folder(self) -> Location:
        """Where the run leaves what belongs to it alone."""
        return self._folder

    @property
    def workers_log(self) -> Path | None:
        """File beside the events for what workers leave: stacks, and dask's own lines. None on an object store."""
        return None if isinstance(self._folder, ObjectPath) else self._folder / "workers.log"

    def write(self, event: str, **content: Any) -> None:
        logger.info(
            "%s", " ".join([event, *(f"{key}={value}" for key, value in content.items() if key != "traceback")])
        )
        now = datetime.datetime.now(datetime.UTC)
        line = {"time": now.isoformat(timespec="milliseconds"), "event": event, **content}
        self._waiting.append(json.dumps(line, sort_keys=True) + "\n")
        if not isinstance(self._folder, ObjectPath) or time.monotonic() - self._kept_s > _KEEP_S:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        text, self._waiting, self._kept_s = "".join(self._waiting), [], time.monotonic()
        if not text:
            return
        if isinstance(self._folder, ObjectPath):
            with atomic_file(self._folder / f"events-{self._kept:06d}.jsonl") as file:
                file.write(text.encode())
            self._kept += 1
            return
        path = self._folder / "events.jsonl"
        try:
            with open_to_append(path) as file:
                file.write(text)
        except OSError as error:
            raise unwritable(path, error) from error
