"""Latent codes resampled from label rows, as the authors do (spec 1, section 1).

Portrait camera, face camera and the six joints come jointly from one row; identity and body shape jointly from another;
expression from a third; noise is standard normal. Rows that lie far out are left out first: a label table is the
generator's prior, and one bad row would be sampled for ever. That the face camera belongs to the row of the portrait
camera is assumed: it is the same head seen by the other camera.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dataprep.errors import ConfigError
from dataprep.tables.outliers import OUTLIER_CUT, robust_distance
from gan.config import NOISE_CODE
from gan.data.labels import Labels, concatenate
from gan.data.mirror import Mirror

_POSE = ("camera_pitch_yaw", "face_pitch_yaw", "joints_zyx")
_IDENTITY = ("bfm_id", "smpl_betas")
_EXPRESSION = ("bfm_exp",)


class Purpose(IntEnum):
    """What is drawn at a position of the stream; each purpose has random numbers of its own."""

    DISCRIMINATOR = 1
    GENERATOR = 2
    SNAPSHOT = 3
    MIRROR = 4  # the coin of `gan.data.stream`
    EVALUATION = 5
    POINTS = 6  # of the deformation losses


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

    def __init__(self, labels: Labels, seed: int, mirror: Mirror | None = None, cut: float = OUTLIER_CUT) -> None:
        self.seed = seed
        kept = {kind: _usual(labels, kind, cut) for kind in (_POSE, _IDENTITY, _EXPRESSION)}
        self.trimmed = {" + ".join(kind): int((~rows).sum()) for kind, rows in kept.items()}
        for_identity = mirror if mirror and mirror.has_identity else None
        for_expression = mirror if mirror and mirror.bfm_exp else None
        self._pose = _with_mirror_image(labels.take(kept[_POSE]), mirror)
        self._identity = _with_mirror_image(labels.take(kept[_IDENTITY]), for_identity)
        self._expression = _with_mirror_image(labels.take(kept[_EXPRESSION]), for_expression)
        for kind, rows in zip(kept, (self._pose, self._identity, self._expression), strict=True):
            if not len(rows):
                raise ConfigError(f"no row of {' + '.join(kind)} lies within {cut} robust deviations; raise the cut")

    def draw(self, positions: Sequence[int], purpose: Purpose) -> Codes:
        """Return the codes of some positions of the stream."""
        rows, noise = zip(*(self._one(position, purpose) for position in positions), strict=True)
        pose, identity, expression = np.array(rows).T
        arrays = (
            self._identity.bfm_id[identity],
            self._identity.smpl_betas[identity],
            self._expression.bfm_exp[expression],
            np.stack(noise),
            self._pose.joints_zyx[pose],
            self._pose.camera_pitch_yaw[pose],
            self._pose.face_pitch_yaw[pose],
        )
        return Codes(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))

    def identities(self) -> Float[Tensor, "n 80"]:
        """Return every z_id that can be drawn (the truncation averages over them)."""
        return torch.from_numpy(self._identity.bfm_id)

    def _one(self, position: int, purpose: Purpose) -> tuple[tuple[int, ...], np.ndarray]:
        random = np.random.default_rng(np.random.SeedSequence((self.seed, int(purpose), position)))
        rows = tuple(int(random.integers(len(t))) for t in (self._pose, self._identity, self._expression))
        return rows, random.standard_normal(NOISE_CODE, dtype=np.float32)


def _usual(labels: Labels, names: tuple[str, ...], cut: float) -> Bool[np.ndarray, " n"]:
    return np.all([robust_distance(getattr(labels, name)) <= cut for name in names], axis=0)


def _with_mirror_image(labels: Labels, mirror: Mirror | None) -> Labels:
    return labels if mirror is None else concatenate([labels, mirror.labels(labels)])
