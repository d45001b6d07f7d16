"""What a photograph tells of a body besides MediaPipe's points: the face's size, and OpenPose's points."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dataprep.models.body.mediapipe_points import POINTS
from dataprep.models.body.openpose_points import BODY_25
from dataprep.models.regressors.lifter import LifterInput

# OpenPose's points this far from MediaPipe's in the median, in parts of the body's extent, are another picture's: of
# 37 rendered people the worst is 0.025.
_FURTHEST = 0.1
_SHARED = [(BODY_25.index(name), POINTS.index(name)) for name in BODY_25 if name in POINTS]


class Evidence(NamedTuple):
    """Evidence on a batch of bodies, in source pixels.

    px_per_m: at the neck's depth, as the face's size says it; log_sigma: standard deviation of its logarithm, infinite
    where no face was read.
    """

    px_per_m: Float[Tensor, " b"]
    log_sigma: Float[Tensor, " b"]
    openpose_px: Float[Tensor, "b 25 2"] | None = None
    openpose_seen: Bool[Tensor, "b 25"] | None = None

    def of(self, index: int) -> Evidence:
        """One body's, as a batch of one."""
        row = slice(index, index + 1)
        if self.openpose_px is None or self.openpose_seen is None:
            return Evidence(self.px_per_m[row], self.log_sigma[row])
        return Evidence(self.px_per_m[row], self.log_sigma[row], self.openpose_px[row], self.openpose_seen[row])


def with_openpose(evidence: Evidence, openpose25: Float[np.ndarray, "25 3"], inputs: LifterInput) -> Evidence:
    """`evidence` of one body and OpenPose's points (x px, y px, 1 when present), if they are of this picture."""
    points = torch.from_numpy(np.asarray(openpose25[:, :2], np.float32))[None]
    seen = torch.from_numpy(np.asarray(openpose25[:, 2]) > 0)[None]
    if not bool(seen.any()) or not _of_this_body(points, seen, inputs):
        return evidence
    return evidence._replace(openpose_px=points, openpose_seen=seen)


def _of_this_body(points: Tensor, seen: Tensor, inputs: LifterInput) -> bool:
    theirs, ours = (list(column) for column in zip(*_SHARED, strict=True))
    known = inputs.centre_px[0] + inputs.scale_px[0] * inputs.points[0]
    both = seen[0, theirs] & inputs.visible[0, ours]
    if not bool(both.any()):
        return False
    apart = (points[0, theirs] - known[ours])[both].norm(dim=-1).median()
    extent = (known[inputs.visible[0]].amax(0) - known[inputs.visible[0]].amin(0)).max()
    return bool(apart < _FURTHEST * extent)
