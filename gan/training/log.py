"""What a run says of itself: losses of every step, measurements and pictures, as JSON lines and TensorBoard events.

log.jsonl              a row a step
metrics.jsonl          a row a measurement: distances between generated and real pictures
events...              both, for TensorBoard
snapshots/events...    the snapshots, for TensorBoard, which shows them as a run of their own

All hold what happened up to where the run stands: what a killed run wrote after its last checkpoint is taken back.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from dataprep.files.own_files import open_to_append
from dataprep.files.untrusted import parse_json
from dataprep.tables.store import atomic_file, unwritable
from gan.training import events

LOG_FILE, METRICS_FILE = "log.jsonl", "metrics.jsonl"
PICTURES = f"snapshots/{events.EVENTS_FILE}"
SEEN = "images_seen"
Row = dict[str, Any]


class Log:
    """Appends below `folder` what comes after `images_seen`; `metrics` are all rows of measurements."""

    def __init__(self, folder: Path, images_seen: int) -> None:
        self._folder = folder
        steps, self.metrics = (_kept(folder / name, images_seen) for name in (LOG_FILE, METRICS_FILE))
        with atomic_file(folder / events.EVENTS_FILE) as file:
            _replay(file, steps, self.metrics)
        with atomic_file(folder / PICTURES) as file:
            _replay_pictures(file, folder, images_seen)

    def add(self, row: Row) -> None:
        """Append a step; `images_seen` says which."""
        self._append(LOG_FILE, f"{json.dumps(row)}\n".encode())
        self._append(events.EVENTS_FILE, _event("loss", row))

    def add_metrics(self, row: Row) -> None:
        """Append a measurement."""
        self.metrics.append(row)
        self._append(METRICS_FILE, f"{json.dumps(row)}\n".encode())
        self._append(events.EVENTS_FILE, _event("metric", row))

    def add_pictures(self, images_seen: int, pngs: Mapping[str, bytes]) -> None:
        """Write PNG files and show them in TensorBoard."""
        for name, png in sorted(pngs.items()):
            with atomic_file(snapshot_file(self._folder, images_seen, name)) as file:
                file.write(png)
            self._append(PICTURES, events.picture(images_seen, f"snapshot/{name}", png))

    def _append(self, name: str, content: bytes) -> None:
        try:
            with open_to_append(self._folder / name) as file:
                file.buffer.write(content)
        except OSError as error:
            raise unwritable(self._folder / name, error) from error


def read_log(path: Path) -> list[Row]:
    """Return the rows of complete lines: a killed process may leave half of one."""
    return [parse_json(line) for line in path.read_text().split("\n")[:-1]] if path.is_file() else []


def snapshot_file(folder: Path, images_seen: int, name: str) -> Path:
    return folder / f"snapshot-{images_seen:09d}-{name}.png"


def _kept(path: Path, images_seen: int) -> list[Row]:
    """Take back the rows after `images_seen`, in the file too; where nothing was measured there is no file."""
    kept = [row for row in read_log(path) if row[SEEN] <= images_seen]
    if kept or path.is_file() or path.name == LOG_FILE:
        with atomic_file(path) as file:
            file.write("".join(json.dumps(row) + "\n" for row in kept).encode())
    return kept


def _replay(file: IO[bytes], steps: list[Row], metrics: list[Row]) -> None:
    """Write the events of a run that got so far, in the order in which they happen."""
    measured = {row[SEEN]: row for row in metrics}
    file.write(events.header())
    for row in steps:
        file.write(_event("loss", row))
        if row[SEEN] in measured:
            file.write(_event("metric", measured[row[SEEN]]))


def _replay_pictures(file: IO[bytes], folder: Path, images_seen: int) -> None:
    file.write(events.header())
    for path in sorted(folder.glob("snapshot-*-*.png")):
        _, seen, name = path.stem.split("-", 2)
        if seen.isdecimal() and int(seen) <= images_seen:
            file.write(events.picture(int(seen), f"snapshot/{name}", path.read_bytes()))


def _event(kind: str, row: Row) -> bytes:
    return events.scalars(row[SEEN], {f"{kind}/{name}": value for name, value in row.items() if name != SEEN})
