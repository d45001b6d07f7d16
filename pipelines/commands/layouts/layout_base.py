"""What every layout is written from and with: a sample, the user's choices, files and archives that appear whole."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataprep.tables.labels import LANDMARKS68
from dataprep.tables.store import atomic_file, unwritable

Sample = tuple[dict[str, Any], dict[str, bytes]]  # row of the shard's twin; PNG by name: portrait, face, alpha
IMAGES = ("portrait", "face", "alpha")
POSITION = ("offset", "size", "sha256")
_POSITIONS = tuple(f"{name}_{what}" for name in (*IMAGES, "json") for what in POSITION)


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


def is_technical(name: str) -> bool:
    """Say whether a column tells where a sample's files lie in the shards."""
    return name in _POSITIONS


def landmarks_px(row: Mapping[str, Any]) -> np.ndarray | None:
    """Return the 68 landmarks in the portrait, (68, 2), from its corner; None where the row has none."""
    found = row.get(LANDMARKS68)
    return None if found is None else np.asarray(found, np.float64).reshape(-1, 2)


@contextmanager
def archive(path: Path) -> Iterator[Callable[[str, bytes], None]]:
    """Open a zip that appears whole, the same bytes for the same files; yields what adds one, stored as it is."""
    with atomic_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as zipped:
        yield lambda name, data: zipped.writestr(zipfile.ZipInfo(name), data)
