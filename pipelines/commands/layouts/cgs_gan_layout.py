"""CGS-GAN's layout: images/00000.png, mask/00000.png, dataset.json, and a list that draws rare poses more often.

Its loader draws the pictures whose numbers the list names, as often as the list names them. Ours repeats a picture as
`sampling_weight` says (docs/balance.md): yaw, pitch, mouth and skin tone come near to even.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataprep.tables.sampling_weights import SAMPLING_WEIGHT
from dataprep.tables.store import atomic_file
from pipelines.commands.layouts.layout_base import Choices, Sample, TrainerLayout, write_bytes
from pipelines.commands.layouts.trainer_cameras import numbers25, radius_of

LABELS_FILE, LIST_FILE = "dataset.json", "shhq_hs_rebalancing.json"
_README = f"""# For CGS-GAN

Tell the trainer:

- the folder `images` as its data; it reads `dataset.json` beside that folder and finds `mask` there.
- copy `{LIST_FILE}` into its `custom_dist/` and name it: `camera_sample_mode={LIST_FILE.partition(".")[0]}`.
- flip as it likes (`xflip`): its loader turns the camera's label with the picture.
- the camera stands at 2.7 units unless `--camera ours` was said; its field of view is 12 degrees.

The pictures lie on white. Where a mask is soft, a background of another colour leaves a thin light rim.
"""


def write_cgs_gan(target: Path, samples: Iterator[Sample], choices: Choices) -> int:
    """Write the folder; returns how many samples there were."""
    radius = radius_of(choices.camera, "eg3d")
    labels: list[tuple[str, list[float]]] = []
    weights: list[float | None] = []
    for row, images in samples:
        name = f"{len(labels):05d}.png"
        write_bytes(target / "images" / name, images["portrait"])
        write_bytes(target / "mask" / name, images["alpha"])
        labels.append((name, numbers25(row, radius)))
        weights.append(row.get(SAMPLING_WEIGHT))
    write_bytes(target / LIST_FILE, json.dumps(repeated(weights)).encode())
    write_bytes(target / "README.md", _README.encode())
    with atomic_file(target / LABELS_FILE) as file:
        file.write(json.dumps({"labels": labels}).encode())
    return len(labels)


def repeated(weights: Sequence[float | None]) -> list[int]:
    """Return every picture's number, the lightest once and others as many times more as they weigh, rounded.

    Pictures without a weight (of the validation split) stand once.
    """
    lightest = min((weight for weight in weights if weight), default=1.0)
    return [i for i, weight in enumerate(weights) for _ in range(max(1, round((weight or lightest) / lightest)))]


CGS_GAN = TrainerLayout(write_cgs_gan, LABELS_FILE, frozenset({"camera"}))
