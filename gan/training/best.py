"""Which checkpoints were the best, by what was measured of them."""

from collections.abc import Sequence
from pathlib import Path

from dataprep.tables.store import unwritable
from gan.training.checkpoints import BEST_FILE, GENERATOR_FILE, numbered, publish
from gan.training.log import SEEN, Row

LEADING = ("FID/portrait", "frechet_span/portrait")  # the first that was measured says which checkpoint is best
COUNTS = ("pictures", "real_pictures")  # that it was measured with: other counts give other numbers


def best_of(metrics: Sequence[Row], count: int) -> list[int]:
    """Return after how many images the best checkpoints were, the best first.

    Those alone are compared that were measured as the latest was. Of equal ones the earlier is the better.
    """
    if not metrics:
        return []
    latest = metrics[-1]
    name = next(name for name in LEADING if name in latest)
    alike = [row for row in metrics if name in row and all(row.get(key) == latest.get(key) for key in COUNTS)]
    return [row[SEEN] for row in sorted(alike, key=lambda row: (row[name], row[SEEN]))[:count]]


def publish_best(folder: Path, metrics: Sequence[Row], count: int) -> None:
    """Let BEST_FILE be the best generator that is still there."""
    for seen in best_of(metrics, count):
        if (path := numbered(folder, GENERATOR_FILE, seen)).is_file():
            try:
                publish(path, folder / BEST_FILE)
            except OSError as error:
                raise unwritable(folder / BEST_FILE, error) from error
            return
