"""EG3D's layout: `00000/img00000000.png`, ... and `dataset.json`.

{"labels": [[path, 25 numbers], ...]}: 16 of the camera's matrix (camera to world, OpenCV axes, row-major) and 9 of its
intrinsics, normalised by the image size; beside them "sampling_weights": [[path, weight or null], ...], which EG3D's
own loader does not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dataprep.tables.labels import LABELS
from dataprep.tables.sampling_weights import SAMPLING_WEIGHT
from dataprep.tables.store import atomic_file
from pipelines.commands.layouts.portrait_samples import Sample, write_file

EG3D = tuple(label.name for label in LABELS if label.in_eg3d)
_IMAGES_A_FOLDER = 1000  # as EG3D's own data set tool


def write_eg3d(target: Path, samples: Iterator[Sample]) -> int:
    """Write images, then the labels; returns how many samples there were."""
    labels, weights = [], []
    for i, (row, images) in enumerate(samples):
        name = f"{i // _IMAGES_A_FOLDER:05d}/img{i:08d}.png"
        write_file(target / name, images["portrait"])
        numbers = np.concatenate([row[label].ravel() for label in EG3D]).astype(np.float64)
        labels.append([name, numbers.round(7).tolist()])
        weights.append([name, row.get(SAMPLING_WEIGHT)])
    with atomic_file(target / "dataset.json") as file:  # last: its presence says that all images are there
        file.write(json.dumps({"labels": labels, "sampling_weights": weights}).encode())
    return len(labels)
