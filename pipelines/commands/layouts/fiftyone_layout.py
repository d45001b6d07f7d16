"""FiftyOne: `data/ID.png`, `fields/alpha/ID.png`, `samples.json` and `metadata.json`, as its importers read them.

    fiftyone.Dataset.from_dir("DIR", dataset_type=fiftyone.types.FiftyOneDataset)

The samples are what `Sample.to_dict` gives: plain JSON, which no version of its database has to be migrated for.
Scores, flags, angles and cameras are fields under the manifest's names; landmarks are Keypoints, in parts of the
image's sides; the matte is a Segmentation; the split and every flag that is raised are tags.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dataprep import __version__
from dataprep.tables.labels import LANDMARKS68
from dataprep.tables.store import atomic_file
from pipelines.commands.layouts.layout_base import (
    Choices,
    Sample,
    TrainerLayout,
    is_technical,
    landmarks_px,
    write_bytes,
)

SAMPLES_FILE = "samples.json"
_OWN = {"sample_id", "split", "selected", "status", "shard", "shard_row", LANDMARKS68}  # said in another way, or by all
_TAKEN = {"id", "filepath", "tags", "metadata", "created_at", "last_modified_at"}  # names of FiftyOne's own


def write_fiftyone(target: Path, samples: Iterator[Sample], choices: Choices) -> int:
    """Write images, then what is known of them; returns how many samples there were."""
    metadata = {"media_type": "image", "info": {"made_by": f"shhq-hs {__version__}"}}
    write_bytes(target / "metadata.json", json.dumps(metadata).encode())
    written = 0
    with atomic_file(target / SAMPLES_FILE) as file:
        file.write(b'{"samples": [')
        for row, pngs in samples:
            sample = _sample(row, pngs["portrait"])
            write_bytes(target / sample["filepath"], pngs["portrait"])
            write_bytes(target / sample["alpha"]["mask_path"], pngs["alpha"])
            file.write((b",\n" if written else b"\n") + json.dumps(sample, allow_nan=False).encode())
            written += 1
        file.write(b"]}\n")
    return written


def _sample(row: Mapping[str, Any], portrait: bytes) -> dict[str, Any]:
    name = row["sample_id"]
    with Image.open(io.BytesIO(portrait)) as picture:
        width, height = picture.size
    found: dict[str, Any] = {
        "filepath": f"data/{name}.png",
        "tags": [one for one in (row.get("split"), *_raised(row)) if one],
        "metadata": {"_cls": "ImageMetadata", "size_bytes": len(portrait), "mime_type": "image/png", "width": width,
                     "height": height, "num_channels": 3},
        "sample_id": name,
        "alpha": {"_cls": "Segmentation", "tags": [], "mask_path": f"fields/alpha/{name}.png"},
    }  # fmt: skip
    if (marks := landmarks_px(row)) is not None:
        points = (marks / [width, height]).round(6).tolist()
        found["landmarks"] = {"_cls": "Keypoints", "keypoints": [
            {"_cls": "Keypoint", "attributes": {}, "tags": [], "label": "face", "points": points}
        ]}  # fmt: skip
    return found | {_field(key): value for key, given in row.items() if (value := _plain(key, given)) is not None}


def _raised(row: Mapping[str, Any]) -> list[str]:
    return [name for name, value in row.items() if name.startswith("flag_") and value is True]


def _field(name: str) -> str:
    """A name that FiftyOne leaves to us."""
    return f"shhq_{name}" if name in _TAKEN else name


def _plain(name: str, value: Any) -> Any:
    """A value as JSON holds it, lists row-major; None for what is left out."""
    if name in _OWN or is_technical(name):
        return None
    if isinstance(value, np.ndarray):
        numbers = value.astype(np.float64).ravel()
        return [float(f"{one:.7g}") for one in numbers] if np.isfinite(numbers).all() else None
    if isinstance(value, bytes):
        return value.hex()
    return None if isinstance(value, float) and not np.isfinite(value) else value


FIFTYONE = TrainerLayout(write_fiftyone, SAMPLES_FILE)
