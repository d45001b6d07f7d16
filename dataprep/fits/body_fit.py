"""The result of a body fit, in the terms the manifest stores: SMPL parameters and a camera in source pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dataprep.fits.reprojection import Target, loss_2d, loss_49, project, rmse_px
from dataprep.models.body_points import BodyPoints
from dataprep.models.lifter import BodyEstimate, LifterInput


@dataclass(frozen=True, eq=False)
class BodyFit:
    """One fitted body. Rotations are in the view frame (models.lifter): for a weak-perspective fit, the cam axes.

    `camera_px` = (s, ox, oy): u = s X + ox, v = s Y + oy, with X, Y metres of the posed body (translation zero).
    """

    method: str
    rotations: np.ndarray  # (24, 3, 3) local, the root's global
    betas: np.ndarray  # (10,)
    camera_px: np.ndarray  # (3,)
    joints_px: np.ndarray  # (24, 2)
    iterations: int
    loss_before: float  # per valid coordinate, crop units
    loss_after: float
    loss_49: float
    rmse_px: float
    fallback: bool  # the fit got worse and the regressor's own output stands


def finish(
    method: str,
    estimate: BodyEstimate,
    inputs: LifterInput,
    target: Target,
    body: BodyPoints,
    iterations: int,
    loss_before: Tensor,
    fallback: Tensor,
) -> list[BodyFit]:
    """One BodyFit per exemplar of the batch."""
    with torch.no_grad():
        projected = project(estimate, body)
        joints = body(estimate.rotations, estimate.betas).joints[..., :2]
        scale = estimate.camera[:, :1] * inputs.scale_px[:, None]
        offset = inputs.centre_px + inputs.scale_px[:, None] * estimate.camera[:, 1:]
        columns = (loss_2d(projected, target), loss_49(projected, target), rmse_px(projected, inputs))
        joints_px = scale[:, None] * joints + offset[:, None]
        camera = torch.cat((scale, offset), 1)
    return [
        BodyFit(
            method=method,
            rotations=estimate.rotations[i].detach().numpy().copy(),
            betas=estimate.betas[i].detach().numpy().copy(),
            camera_px=camera[i].numpy().copy(),
            joints_px=joints_px[i].numpy().copy(),
            iterations=iterations,
            loss_before=float(loss_before[i]),
            loss_after=float(columns[0][i]),
            loss_49=float(columns[1][i]),
            rmse_px=float(columns[2][i]),
            fallback=bool(fallback[i]),
        )
        for i in range(len(inputs.points))
    ]
