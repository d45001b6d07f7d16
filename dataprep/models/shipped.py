"""Reading the npz files that come with the code: plain arrays, and meta data as JSON under `meta`."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SHIPPED_FOLDER = Path(__file__).parent / "data"
NOT_SUCH_A_FILE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)  # what reading a wrong file raises


class Shipped(NamedTuple):
    """What a file holds."""

    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]
    sha256: str


def read_shipped(path: Path) -> Shipped:
    """Read one file; raises `NOT_SUCH_A_FILE`, which the caller puts into words. Pickles are refused."""
    data = path.read_bytes()
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    meta = json.loads(str(arrays.pop("meta")))
    return Shipped(arrays, meta, hashlib.sha256(data).hexdigest())
