"""A training run on made-up pictures and labels: what a step costs and whether it works need no data set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from dataprep.models.body import body_files
from dataprep.models.face import face_files
from gan.checkpoint import Bases
from gan.data.label_rows import LABEL_SHAPES, Labels
from gan.data.priors import LabelPrior
from gan.data.stream import RealBatch
from gan.face.face_space import FaceSpace, face_from_3dmm
from gan.presets import Preset
from gan.rendering.body_arrays import body_arrays
from gan.training.execution import Execution
from gan.training.state import RunKey, TrainState, new_state
from gan.training.steps import Sources

ROWS = 64  # of made-up labels
SPREAD = 0.2  # of coefficients and angles; near the front


def made_up_run(preset: Preset, execution: Execution, seed: int = 0) -> tuple[TrainState, Sources]:
    """Return networks as they begin, of the shipped body and face."""
    body, face = body_files.open_body(body_files.STANDIN), face_files.open_face(face_files.STANDIN)
    key = RunKey(preset, seed, Bases(body.name, body.sha256, face.name, face.sha256), data="made up")
    state = new_state(key, body_arrays(body), execution)
    space = FaceSpace(face, face_from_3dmm(face, body)).to(execution.where)
    return state, Sources(LabelPrior(made_up_labels(seed), seed), space)


def made_up_labels(seed: int) -> Labels:
    """Return labels near the front, of nobody."""
    random = np.random.default_rng(seed)
    arrays = {name: random.normal(0, SPREAD, (ROWS, *shape)).astype(np.float32) for name, shape in LABEL_SHAPES.items()}
    for name in ("camera_pitch_yaw", "face_pitch_yaw"):
        arrays[name] += np.float32(np.pi / 2)
    return Labels(**arrays)


def made_up_pictures(preset: Preset, execution: Execution, seed: int = 0) -> Iterator[RealBatch]:
    """Yield noise for one position after another, in micro-batches, as the loader does."""
    count, first = execution.micro_of(preset.batch), 0
    random = torch.Generator().manual_seed(seed)
    while True:
        position = torch.arange(first, first + count)
        portrait, face = (
            torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=random)
            for side in (preset.portrait_px, preset.face_px)
        )
        camera = np.pi / 2 + SPREAD * torch.randn(2, count, 2, generator=random)
        yield RealBatch(position, torch.zeros_like(position), position < 0, portrait, face, camera[0], camera[1])
        first += count
