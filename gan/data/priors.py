"""Latent codes resampled from label rows, as the authors' released code does.

Portrait camera, face camera and the six joints come jointly from one row; identity and body shape jointly from another;
expression from a third (`dataprep.tables.labels` says which label is of which group); noise is standard normal. Rows
that lie far out are left out first (`dataprep.tables.outliers`).
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dataprep.tables.labels import (
    BFM_EXP,
    BFM_ID,
    CAMERA_PITCH_YAW,
    FACE_PITCH_YAW,
    JOINTS_ZYX,
    SMPL_BETAS,
    PriorGroup,
    drawn,
)
from dataprep.tables.outliers import drawable_rows, require_rows
from gan.config import NOISE_CODE
from gan.data.label_rows import Labels, concatenate
from gan.data.mirror import Mirror


class Purpose(IntEnum):
    """What is drawn at a position of the stream; each purpose has random numbers of its own."""

    DISCRIMINATOR = 1
    GENERATOR = 2
    SNAPSHOT = 3
    MIRROR = 4  # the coin of `gan.data.stream`
    EVALUATION = 5
    POINTS = 6  # of the deformation losses
    PAIRED = 7  # rays, and jitter of the appearance, of the paired start
    EXPRESSIONS = 8  # D_e before the first step
    AUGMENT = 9  # changes of pictures before critics see them


class Codes(NamedTuple):
    """What drives the generator; angles in radians. Suffixes: B batch, K code values, P posed joints."""

    z_id_BK: Tensor
    betas_BK: Tensor
    z_exp_BK: Tensor
    noise_BK: Tensor
    pose_BP3: Tensor
    camera_B2: Tensor
    face_camera_B2: Tensor


class LabelPrior:
    """Draws codes from the rows of `labels` that are no outliers.

    With a `mirror` every row stands for itself and its mirror image; where coefficients have no mirror image, only for
    itself. A draw is a function of (seed, purpose, position).
    """

    def __init__(self, labels: Labels, seed: int, mirror: Mirror | None = None) -> None:
        self.seed = seed
        kept = drawable_rows({label.name: getattr(labels, label.name) for label in drawn()})
        require_rows(kept, "label prior")
        self.trimmed = {
            " + ".join(label.name for label in drawn(group)): int((~rows).sum()) for group, rows in kept.items()
        }
        self._rows = {group: labels.take(rows) for group, rows in kept.items()}
        for group in PriorGroup:
            if mirror and mirror.has(group):
                self._rows[group] = concatenate([self._rows[group], mirror.labels(self._rows[group])])

    def draw(self, positions: Sequence[int], purpose: Purpose) -> Codes:
        """Return the codes of some positions of the stream."""
        labels, noise = self.labels_and_noise(positions, purpose)
        arrays = (
            labels[BFM_ID],
            labels[SMPL_BETAS],
            labels[BFM_EXP],
            noise,
            labels[JOINTS_ZYX],
            labels[CAMERA_PITCH_YAW],
            labels[FACE_PITCH_YAW],
        )
        return Codes(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))

    def labels_and_noise(
        self, positions: Sequence[int], purpose: Purpose
    ) -> tuple[dict[str, np.ndarray], Float[np.ndarray, "b k"]]:
        """Return every label that is drawn, by name, and the noise codes of some positions of the stream."""
        rows, noise = zip(*(self._one(position, purpose) for position in positions), strict=True)
        row_of = dict(zip(PriorGroup, np.array(rows).T, strict=True))
        labels = {
            label.name: getattr(self._rows[group], label.name)[row_of[group]]
            for group in PriorGroup
            for label in drawn(group)
        }
        return labels, np.stack(noise)

    def identities(self) -> Float[Tensor, "n 80"]:
        """Return every z_id that can be drawn (the truncation averages over them)."""
        return torch.from_numpy(self._rows[PriorGroup.IDENTITY].bfm_id)

    def _one(self, position: int, purpose: Purpose) -> tuple[tuple[int, ...], np.ndarray]:
        random = np.random.default_rng(np.random.SeedSequence((self.seed, int(purpose), position)))
        rows = tuple(int(random.integers(len(self._rows[group]))) for group in PriorGroup)
        return rows, random.standard_normal(NOISE_CODE, dtype=np.float32)
