"""Which checkpoints a run keeps, and which of them to go on from.

state.pt, generator.pt                    the newest; second.pt: the second average, where there is one
best.pt                                   the averaged generator of the best checkpoint, where pictures are measured
checkpoints/state-000000001600.pt, ...    the last few and the best few, by the number of images seen

Those at the top are further names (hard links) of their numbered files and take no space of their own; on a file system
without hard links they are copies. A state that was damaged on disk is passed over for the one before it.
"""

import os
import shutil
import sys
import zipfile
from collections.abc import Collection, Sequence
from pathlib import Path

from dataprep.errors import AssetError
from dataprep.files.own_files import open_new
from dataprep.tables.store import unwritable
from gan.training.log import SEEN, Row

STATE_FILE, GENERATOR_FILE, SECOND_FILE, BEST_FILE = "state.pt", "generator.pt", "second.pt", "best.pt"
FOLDER = "checkpoints"
KEEP = 3
LEADING = ("FID/portrait", "frechet_span/portrait")  # the first that was measured says which checkpoint is best
COUNTS = ("pictures", "real_pictures")  # that it was measured with: other counts give other numbers


def numbered(folder: Path, newest: str, images_seen: int) -> Path:
    """Return the numbered file of STATE_FILE, GENERATOR_FILE or SECOND_FILE; twelve digits sort as numbers do."""
    name = Path(newest)
    return folder / FOLDER / f"{name.stem}-{images_seen:012d}{name.suffix}"


def publish(path: Path, newest: Path) -> None:
    """Let `newest` be the file `path` from now on, at once."""
    if newest.is_file() and newest.samefile(path):  # renaming one name of a file to another leaves both
        return
    temporary = newest.with_name(newest.name + ".partial")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:  # no hard links there
        with path.open("rb") as file, open_new(temporary) as copy:
            shutil.copyfileobj(file, copy)
    temporary.replace(newest)


def forget(folder: Path, keep: int, best: Collection[int] = ()) -> None:
    """Remove numbered checkpoints but for the last `keep` and those after the numbers of images in `best`."""
    for newest in (STATE_FILE, GENERATOR_FILE, SECOND_FILE):
        spared = {numbered(folder, newest, images_seen) for images_seen in best}
        for path in _history(folder, newest)[keep:]:
            if path not in spared:
                path.unlink()


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


def state_to_go_on_from(folder: Path) -> Path | None:
    """Return the newest whole state of a run, None where there is no state; damaged ones are named on stderr.

    Raises AssetError when none of several is whole.
    """
    candidates = [path for path in (folder / STATE_FILE, *_history(folder, STATE_FILE)) if path.is_file()]
    for path in candidates:
        if is_whole(path):
            return path
        print(f"{path} is damaged; the checkpoint before it is looked for", file=sys.stderr)
    if candidates:
        raise AssetError(f"{folder}: none of its {len(candidates)} checkpoints is whole; begin again in another folder")
    return None


def is_whole(path: Path) -> bool:
    """Say whether every byte of a file of torch.save is as it was written; torch itself does not check (torch 2.13)."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile):
        return False


def _history(folder: Path, newest: str) -> list[Path]:
    """The numbered files, the newest first."""
    name = Path(newest)
    return sorted((folder / FOLDER).glob(f"{name.stem}-*{name.suffix}"), reverse=True)
