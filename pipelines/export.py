"""`shhq-hs export`: the shards as plain files, in EG3D's layout or as PNG and CSV.

eg3d     00000/img00000000.png ... and dataset.json: {"labels": [[path, 25 numbers], ...]}, 16 of the camera's matrix
         (camera to world, OpenCV axes, row-major) and 9 of its intrinsics, normalised by the image size
plain    portraits/ID.png, faces/ID.png, alphas/ID.png, and labels.csv with a row a sample
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from dataprep.errors import ConfigError
from dataprep.schema import rows_from_table
from dataprep.store import atomic_file
from gan.data.errors import ShardsMissing
from pipelines.progress import Progress

LAYOUTS = ("eg3d", "plain")
SPLITS = ("train", "val", "all")
_FOLDERS = {"portrait": "portraits", "face": "faces", "alpha": "alphas"}
_IMAGES_A_FOLDER = 1000  # as EG3D's own data set tool
_POSITIONS = tuple(f"{name}_{what}" for name in (*_FOLDERS, "json") for what in ("offset", "size", "sha256"))
Sample = tuple[dict[str, Any], dict[str, bytes]]  # row, PNG by name


def export(out: Path, target: Path, layout: str, split: str) -> int:
    """Write the samples of a split; returns 0. Raises ConfigError when `target` is not empty."""
    if layout not in LAYOUTS:
        raise ConfigError(f"--layout {layout!r}: expected {' or '.join(LAYOUTS)}")
    if split not in SPLITS:
        raise ConfigError(f"--split {split!r}: expected {', '.join(SPLITS)}")
    if target.exists() and any(target.iterdir()):
        raise ConfigError(f"--out {str(target)!r} is not empty; give a new folder")
    progress = Progress({"samples": _count(out, split)}, 1, "samples")
    write = _write_eg3d if layout == "eg3d" else _write_plain
    written = write(target, _samples(out, split, progress))
    progress.close()
    print(f"{target}: {written} samples, layout {layout}")
    return 0


def _twins(out: Path, split: str) -> list[Path]:
    folder = out / "shards" if (out / "shards").is_dir() else out
    twins = sorted(folder.glob("*-*.parquet" if split == "all" else f"{split}-*.parquet"))
    if not twins:
        raise ShardsMissing(f"{folder} has no shards of split {split!r}; build them: shhq-hs run SOURCE --out {out}")
    return twins


def _count(out: Path, split: str) -> int:
    return sum(pq.read_metadata(twin).num_rows for twin in _twins(out, split))


def _samples(out: Path, split: str, progress: Progress) -> Iterator[Sample]:
    """Row and images of every sample, in the order of the shards."""
    for twin in _twins(out, split):
        with twin.with_suffix(".tar").open("rb") as tar:
            for row in rows_from_table(pq.read_table(twin, partitioning=None)):
                started = time.monotonic()
                images = {}
                for name in _FOLDERS:
                    tar.seek(row[f"{name}_offset"])
                    images[name] = tar.read(row[f"{name}_size"])
                yield row, images
                progress.advance("samples", 1, time.monotonic() - started)


def _write_eg3d(target: Path, samples: Iterator[Sample]) -> int:
    labels = []
    for i, (row, images) in enumerate(samples):
        name = f"{i // _IMAGES_A_FOLDER:05d}/img{i:08d}.png"
        _write(target / name, images["portrait"])
        numbers = np.concatenate([row["cam2world"].ravel(), row["intrinsics"].ravel()]).astype(np.float64)
        labels.append([name, numbers.round(7).tolist()])
    with atomic_file(target / "dataset.json") as file:  # last: its presence says that all images are there
        file.write(json.dumps({"labels": labels}).encode())
    return len(labels)


def _write_plain(target: Path, samples: Iterator[Sample]) -> int:
    target.mkdir(parents=True, exist_ok=True)
    written = 0
    with atomic_file(target / "labels.csv") as file:
        for row, images in samples:
            for name, folder in _FOLDERS.items():
                _write(target / folder / f"{row['sample_id']}.png", images[name])
            flat = _flat(row)
            file.write((_line(flat) if not written else b"") + _line(flat.values()))
            written += 1
    return written


def _line(cells: Iterable[Any]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """One cell a number: `name` for a scalar, `name_0`, `name_1`, ... row-major for an array; hashes in hex."""
    cells: dict[str, Any] = {}
    for name, value in row.items():
        if name.endswith(_POSITIONS):
            continue
        if isinstance(value, np.ndarray):
            cells |= {f"{name}_{i}": f"{number:.7g}" for i, number in enumerate(value.ravel().tolist())}
        elif isinstance(value, bytes):
            cells[name] = value.hex()
        else:
            cells[name] = value
    return cells


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
