"""The numbers of exemplar fine-tuning (`eft`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dataprep.models.body.mediapipe_points import POINTS


@dataclass(frozen=True)
class EftConfig:
    """Constants of the reference, at a learning rate that suits the lifter.

    `stop_loss` is in the published unit, the mean over 49 joints that are all seen. Our loss is a mean over the points
    that are seen, 23 at most, so it stops at `stop_loss` x 49 / 23: 0.7 px in a crop of 224, however many are hidden
    (the published mean counts hidden joints as met, and so stops the sooner the less there is to see). A fit that does
    not come that near stops where `patience` steps win less than `least_gain` of the loss.
    """

    learning_rate: float = 1e-5
    max_steps: int = 60
    stop_loss: float = 2e-5
    patience: int = 5
    least_gain: float = 0.05
    gain: float = 60.0
    weight_2d: float = 5.0
    weight_betas: float = 0.001
    weight_leg: float = 0.005
    compat: bool = False  # the published 49-joint mean without hips and ankles, in the loss and in the stop

    @property
    def stop(self) -> float:
        """`stop_loss` in the unit of the loss that is minimised."""
        return self.stop_loss if self.compat else self.stop_loss * 49 / len(POINTS)


EFT_COMPAT = EftConfig(learning_rate=5e-6, max_steps=20, stop_loss=1e-4, least_gain=-math.inf, compat=True)
