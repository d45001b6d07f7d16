"""The losses of every step, as JSON lines and as TensorBoard events.

Both files hold the steps up to where the run stands: what a killed run wrote after its last checkpoint is taken back.
"""

import json
from pathlib import Path
from typing import Any

from dataprep.files.own_files import open_to_append
from dataprep.files.untrusted import parse_json
from dataprep.tables.store import atomic_file, unwritable
from gan.training import events

LOG_FILE = "log.jsonl"


class Log:
    """Appends one row a step below `folder`, after `images_seen`."""

    def __init__(self, folder: Path, images_seen: int) -> None:
        self._lines, self._events = folder / LOG_FILE, folder / events.EVENTS_FILE
        kept = [row for row in read_log(self._lines) if row["images_seen"] <= images_seen]
        with atomic_file(self._lines) as file:
            file.write("".join(json.dumps(row) + "\n" for row in kept).encode())
        with atomic_file(self._events) as file:
            file.write(events.header() + b"".join(map(_event, kept)))

    def add(self, row: dict[str, Any]) -> None:
        """Append a step; `images_seen` says which."""
        try:
            with open_to_append(self._lines) as lines:
                lines.write(json.dumps(row) + "\n")
            with open_to_append(self._events) as file:
                file.buffer.write(_event(row))
        except OSError as error:
            raise unwritable(self._lines, error) from error


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the rows of complete lines: a killed process may leave half of one."""
    return [parse_json(line) for line in path.read_text().split("\n")[:-1]] if path.is_file() else []


def _event(row: dict[str, Any]) -> bytes:
    values = {f"loss/{name}": value for name, value in row.items() if name != "images_seen"}
    return events.scalars(row["images_seen"], values)
