"""What every layout is written from and with: a sample, the user's choices, files and archives that appear whole."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataprep.tables.store import atomic_file, unwritable

Sample = tuple[dict[str, Any], dict[str, bytes]]  # row, PNG by name


@dataclass(frozen=True)
class Choices:
    """What the user chose. camera: one of `trainer_cameras.CAMERAS`, "" for the layout's own; flame: `nerf_layout`."""

    camera: str = ""
    mirror: bool = False
    flame: Path | None = None
    flame_landmarks: Path | None = None


Write = Callable[[Path, Iterator[Sample], Choices], int]


@dataclass(frozen=True)
class TrainerLayout:
    """A layout: its writer, the file that appears last, and the choices that mean something in it."""

    write: Write
    last: str
    choices: frozenset[str] = frozenset()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file and the folders above it; raises Unwritable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def archive(path: Path) -> Iterator[Callable[[str, bytes], None]]:
    """Open a zip that appears whole, the same bytes for the same files; yields what adds one, stored as it is."""
    with atomic_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as zipped:
        yield lambda name, data: zipped.writestr(zipfile.ZipInfo(name), data)
