"""A folder that a command fills: its files appear together, and a command that fails leaves nothing in the way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dataprep.errors import ConfigError
from dataprep.files.own_files import HeldFolder, remove_abandoned
from dataprep.tables.store import unwritable

_UNFINISHED = ".unfinished-"


@contextmanager
def new_folder(target: Path, last: str) -> Iterator[Path]:
    """A place to write to; what is there moves into `target` when the block ends well, the file `last` after the rest.

    Nobody else can write to the place. Raises ConfigError when `target` is a file, holds anything or is being filled;
    what a killed command left there is removed.
    """
    require_new(target)
    made = not target.exists()
    try:
        target.mkdir(parents=True, exist_ok=True)
        place = HeldFolder(target, _UNFINISHED)
    except OSError as error:
        raise unwritable(target, error) from error
    try:
        yield place.path
        for name in sorted(os.listdir(place.path), key=lambda name: (name == last, name)):
            os.rename(place.path / name, target / name)
    finally:
        place.remove()
        with suppress(OSError):
            if made:
                target.rmdir()  # unless there is something in it


def require_new(target: Path, option: str = "--out") -> None:
    """Raise ConfigError unless a new or an empty folder is named; remove what a killed command left in it."""
    require_folder(target, option)
    try:
        content = list(target.iterdir()) if target.exists() else []
    except OSError as error:
        raise ConfigError(f"{option} {str(target)!r} cannot be listed ({error.strerror}); give a new folder") from error
    for path in content:
        if not path.name.startswith(_UNFINISHED):
            raise ConfigError(f"{option} {str(target)!r} is not empty; give a new folder")
        if not remove_abandoned(path):
            raise ConfigError(f"{option} {str(target)!r} is being filled by another command; give a new folder")


def require_folder(target: Path, option: str = "--out") -> None:
    """Raise ConfigError when a file has the name of a folder, or of one above it."""
    for path in (target, *target.absolute().parents):
        if path.exists() and not path.is_dir():
            which = "" if path == target else f", since {path} is one"
            raise ConfigError(
                f"{option} {str(target)!r} is {'a file' if not which else 'below a file'}{which}; give a folder"
            )
