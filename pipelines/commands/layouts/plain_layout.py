"""Plain files: portraits/ID.png, faces/ID.png, alphas/ID.png, labels.csv and vectors.npz.

labels.csv has a row a sample and a column a number or word, by name; vectors.npz the arrays, (samples, *shape), by
name, in the order of the rows. Texts that a spreadsheet would take for a formula begin with an apostrophe.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dataprep.files.npz_files import write_npz
from dataprep.files.untrusted import as_cell
from dataprep.tables.store import atomic_file
from pipelines.commands.layouts.layout_base import Choices, Sample, TrainerLayout, is_technical, write_bytes

FOLDERS = {"portrait": "portraits", "face": "faces", "alpha": "alphas"}
LABELS_FILE, VECTORS_FILE = "labels.csv", "vectors.npz"
_README = f"""# Pictures and labels as plain files

`{LABELS_FILE}`: a row a picture, a column a number. `{VECTORS_FILE}`: arrays by name, in the order of the rows.

```python
import numpy, pandas

labels, vectors = pandas.read_csv("{LABELS_FILE}"), numpy.load("{VECTORS_FILE}")
print(labels["sample_id"][0], labels["yaw"][0], vectors["landmarks68"][0])
```

Angles are in radians, landmarks in pixels of the portrait; every column's unit and meaning: docs/reference/columns.md.
"""


def write_plain(target: Path, samples: Iterator[Sample], choices: Choices) -> int:
    """Write the folder; returns how many samples there were."""
    target.mkdir(parents=True, exist_ok=True)
    vectors: dict[str, list[np.ndarray]] = {}
    written = 0
    with atomic_file(target / LABELS_FILE) as file:
        for row, images in samples:
            for name, folder in FOLDERS.items():
                write_bytes(target / folder / f"{row['sample_id']}.png", images[name])
            cells = _cells(row)
            file.write((_line(cells) if not written else b"") + _line(cells.values()))
            for name, value in row.items():
                if isinstance(value, np.ndarray):
                    vectors.setdefault(name, []).append(value)
            written += 1
    write_npz(target / VECTORS_FILE, {name: np.stack(values) for name, values in vectors.items()})
    write_bytes(target / "README.md", _README.encode())
    return written


def _line(cells: Iterable[Any]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and words by name; hashes in hex."""
    cells: dict[str, Any] = {}
    for name, value in row.items():
        if is_technical(name) or isinstance(value, np.ndarray):
            continue
        if isinstance(value, bytes):
            cells[name] = value.hex()
        elif isinstance(value, float):
            cells[name] = f"{value:.9g}"
        else:
            cells[name] = as_cell(value) if isinstance(value, str) else value
    return {as_cell(name): value for name, value in cells.items()}


PLAIN = TrainerLayout(write_plain, LABELS_FILE)
