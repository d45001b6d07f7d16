"""What the generator itself says of where the face camera stands, for tests that compare labels with it."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from dataprep.models.body.smpl import load_body
from gan.config import GeneratorConfig
from gan.rendering.body_arrays import body_arrays
from gan.rendering.both_views import face_label
from gan.rendering.generator import Generator


def generators_face_pitch_yaw(joints_zyx: np.ndarray, camera_pitch_yaw: np.ndarray) -> np.ndarray:
    """Face labels (n, 2) of joints' angles (n, 6, 3) and portrait cameras (n, 2), radians."""
    pose, camera = (torch.tensor(values, dtype=torch.float32) for values in (joints_zyx, camera_pitch_yaw))
    return face_label(_generator(), torch.zeros(1, 10), pose, camera).numpy()


@cache
def _generator() -> Generator:
    """Of untrained weights and few vertices: where cameras stand is the body's part."""
    return Generator(body_arrays(load_body()), GeneratorConfig(), np.arange(8), 1).eval().requires_grad_(False)
