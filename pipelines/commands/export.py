"""`shhq-hs export`: the shards as plain files, in EG3D's layout or as PNG and CSV.

eg3d     00000/img00000000.png ... and dataset.json: {"labels": [[path, 25 numbers], ...]}, 16 of the camera's matrix
         (camera to world, OpenCV axes, row-major) and 9 of its intrinsics, normalised by the image size; beside them
         "sampling_weights": [[path, weight or null], ...], which EG3D's own loader does not read
plain    portraits/ID.png, faces/ID.png, alphas/ID.png, and labels.csv with a row a sample
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow.parquet as pq

from dataprep.errors import ConfigError, Damaged
from dataprep.files.file_hashes import file_sha256
from dataprep.files.untrusted import as_cell, require_sample_ids
from dataprep.stages.shards import shard_files
from dataprep.tables.columns import rows_from_table
from dataprep.tables.labels import LABELS
from dataprep.tables.sampling_weights import SAMPLING_WEIGHT
from dataprep.tables.sealed import open_table, read_table
from dataprep.tables.shard_folders import SHARDS, SHARDS_INDEX, shard_folder, twins
from dataprep.tables.store import atomic_file, unwritable
from gan.data.errors import ShardCorrupt, ShardsMissing
from pipelines.commands.new_folder import new_folder, require_new
from pipelines.engine.progress import Progress

LAYOUTS = ("eg3d", "plain")
SPLITS = ("train", "val", "all")
_FOLDERS = {"portrait": "portraits", "face": "faces", "alpha": "alphas"}
_IMAGES_A_FOLDER = 1000  # as EG3D's own data set tool
_POSITION = ("offset", "size", "sha256")
_POSITIONS = tuple(f"{name}_{what}" for name in (*_FOLDERS, "json") for what in _POSITION)
_EG3D = tuple(label.name for label in LABELS if label.in_eg3d)
_NEEDED = ("sample_id", *_EG3D, *(f"{name}_{what}" for name in _FOLDERS for what in _POSITION))
Sample = tuple[dict[str, Any], dict[str, bytes]]  # row, PNG by name


def export(out: Path, target: Path, layout: str, split: str) -> int:
    """Write the samples of a split; returns 0. Raises ConfigError when `target` is not empty.

    Every image is compared with its hash; ShardCorrupt names the first that differs, and nothing is left in `target`.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"--layout {layout!r}: expected {' or '.join(LAYOUTS)}")
    if split not in SPLITS:
        raise ConfigError(f"--split {split!r}: expected {', '.join(SPLITS)}")
    require_new(target)
    write, last = {"eg3d": (_write_eg3d, "dataset.json"), "plain": (_write_plain, "labels.csv")}[layout]
    progress = Progress({"samples": _count(out, split)}, 1, "samples")
    with progress.beating(), new_folder(target, last) as place:
        written = write(place, _samples(out, split, progress))
    progress.close()
    print(f"{target}: {written} samples, layout {layout}")
    return 0


def _twins(out: Path, split: str) -> list[Path]:
    folder = shard_folder(out)
    found = twins(folder, "*" if split == "all" else split)
    if not found:
        raise ShardsMissing(f"{folder} has no shards of split {split!r}; build them: shhq-hs run SOURCE --out {out}")
    return found


def _compare_with_index(twin: Path) -> None:
    """Raise ShardCorrupt unless the index of the shards names this table, with the bytes that it has."""
    with _whole(twin.parent / SHARDS_INDEX):
        size, sha256 = shard_files(twin.parent).get(f"{SHARDS}/{twin.name}", (0, ""))
    if twin.stat().st_size != size or file_sha256(twin) != sha256:
        raise ShardCorrupt(f"{twin} is not as the index of the shards says{_repair(twin)}")


def _repair(path: Path) -> str:
    """The way on from damage of a file in the folder of the shards."""
    return f"; to repair: shhq-hs verify {path.parent.parent} --repair, then the command that built it"


def _count(out: Path, split: str) -> int:
    return sum(_schema(twin).num_rows for twin in _twins(out, split))


def _schema(twin: Path) -> pq.FileMetaData:
    with _whole(twin), open_table(twin) as file:
        metadata = file.metadata
    if missing := set(_NEEDED) - set(metadata.schema.to_arrow_schema().names):
        raise ShardCorrupt(f"{twin} has no column {', '.join(sorted(missing))}; build the shards again: shhq-hs run")
    return metadata


def _samples(out: Path, split: str, progress: Progress) -> Iterator[Sample]:
    """Row and images of every sample, in the order of the shards."""
    for twin in _twins(out, split):
        with _whole(twin):
            rows = rows_from_table(read_table(twin))
        require_sample_ids((row["sample_id"] for row in rows), twin)
        _compare_with_index(twin)
        path = twin.with_suffix(".tar")
        with _opened(path) as tar:
            for row in rows:
                started = time.monotonic()
                yield row, {name: _image(tar, path, row, name) for name in _FOLDERS}
                progress.advance("samples", 1, time.monotonic() - started)


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    try:
        yield
    except Damaged as error:
        raise ShardCorrupt(f"{path} {error.what}{_repair(path)}") from error


def _opened(path: Path) -> IO[bytes]:
    """A shard's tar; never waits, whatever lies there under its name."""
    try:
        tar = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    except OSError as error:
        raise ShardsMissing(f"{path} cannot be read ({error.strerror}); build the shards again: shhq-hs run") from error
    if not stat.S_ISREG(os.fstat(tar.fileno()).st_mode):
        tar.close()
        raise ShardCorrupt(f"{path} is no regular file; build the shards again: shhq-hs run")
    return tar


def _image(tar: IO[bytes], path: Path, row: Mapping[str, Any], name: str) -> bytes:
    offset, size, sha256 = (row[f"{name}_{what}"] for what in _POSITION)
    if None in (offset, size) or offset + size > os.fstat(tar.fileno()).st_size:
        raise ShardCorrupt(f"{path}: {name} of {row['sample_id']} lies outside of it{_repair(path)}")
    tar.seek(offset)
    data = tar.read(size)
    if hashlib.sha256(data).digest() != sha256:
        raise ShardCorrupt(f"{path}: {name} of {row['sample_id']} has other bytes than were written{_repair(path)}")
    return data


def _write_eg3d(target: Path, samples: Iterator[Sample]) -> int:
    labels, weights = [], []
    for i, (row, images) in enumerate(samples):
        name = f"{i // _IMAGES_A_FOLDER:05d}/img{i:08d}.png"
        _write(target / name, images["portrait"])
        numbers = np.concatenate([row[label].ravel() for label in _EG3D]).astype(np.float64)
        labels.append([name, numbers.round(7).tolist()])
        weights.append([name, row.get(SAMPLING_WEIGHT)])
    with atomic_file(target / "dataset.json") as file:  # last: its presence says that all images are there
        file.write(json.dumps({"labels": labels, "sampling_weights": weights}).encode())
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
    """One cell a number: `name` for a scalar, `name_0`, `name_1`, ... row-major for an array; hashes in hex.

    Texts that a spreadsheet would take for a formula begin with an apostrophe.
    """
    cells: dict[str, Any] = {}
    for name, value in row.items():
        if name.endswith(_POSITIONS):
            continue
        if isinstance(value, np.ndarray):
            cells |= {f"{name}_{i}": f"{number:.7g}" for i, number in enumerate(value.ravel().tolist())}
        elif isinstance(value, bytes):
            cells[name] = value.hex()
        else:
            cells[name] = as_cell(value) if isinstance(value, str) else value
    return {as_cell(name): value for name, value in cells.items()}


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise unwritable(path, error) from error
