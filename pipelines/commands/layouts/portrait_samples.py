"""What every layout is given, and how it writes a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dataprep.tables.labels import LANDMARKS68
from dataprep.tables.store import unwritable

Sample = tuple[dict[str, Any], dict[str, bytes]]  # row of the shard's twin; PNG by name: portrait, face, alpha
IMAGES = ("portrait", "face", "alpha")
POSITION = ("offset", "size", "sha256")
_POSITIONS = tuple(f"{name}_{what}" for name in (*IMAGES, "json") for what in POSITION)


def is_technical(name: str) -> bool:
    """Whether a column says where a sample's images lie in the shards."""
    return name in _POSITIONS


def write_file(path: Path, data: bytes) -> None:
    """Write a file and the folders above it; raises Unwritable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise unwritable(path, error) from error


def landmarks_px(row: Mapping[str, Any]) -> np.ndarray | None:
    """The 68 landmarks in the portrait, (68, 2), from its corner; None where the row has none."""
    found = row.get(LANDMARKS68)
    return None if found is None else np.asarray(found, np.float64).reshape(-1, 2)
