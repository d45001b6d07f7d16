"""Plain files: `portraits/ID.png`, `faces/ID.png`, `alphas/ID.png`, and `labels.csv` with a row a sample."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dataprep.files.untrusted import as_cell
from dataprep.tables.store import atomic_file
from pipelines.commands.layouts.portrait_samples import Sample, is_technical, write_file

FOLDERS = {"portrait": "portraits", "face": "faces", "alpha": "alphas"}


def write_plain(target: Path, samples: Iterator[Sample]) -> int:
    """Write a row as soon as its images are there; returns how many samples there were."""
    target.mkdir(parents=True, exist_ok=True)
    written = 0
    with atomic_file(target / "labels.csv") as file:
        for row, images in samples:
            for name, folder in FOLDERS.items():
                write_file(target / folder / f"{row['sample_id']}.png", images[name])
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
        if is_technical(name):
            continue
        if isinstance(value, np.ndarray):
            cells |= {f"{name}_{i}": f"{number:.7g}" for i, number in enumerate(value.ravel().tolist())}
        elif isinstance(value, bytes):
            cells[name] = value.hex()
        else:
            cells[name] = as_cell(value) if isinstance(value, str) else value
    return {as_cell(name): value for name, value in cells.items()}
