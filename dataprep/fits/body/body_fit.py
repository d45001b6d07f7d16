"""The result of a body fit, in the terms the manifest stores: SMPL parameters and a camera in source pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dataprep.fits.body.reprojection import Target, loss_2d, loss_49, portrait_rmse_px, project, rmse_px, scale_loss
from dataprep.models.body.body_points import BodyPoints
from dataprep.models.regressors.lifter import BodyEstimate, LifterInput


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
    portrait_rmse_px: float  # of what a portrait shows
    fallback: bool  # the fit got worse and the regressor's own output stands


def finish(
    method: str,
    before: BodyEstimate,
    after: BodyEstimate,
    inputs: LifterInput,
    target: Target,
    body: BodyPoints,
    iterations: int,
    fallback: bool,
) -> BodyFit:
    """The fit of one exemplar; with `fallback` the regressor's own output `before` stands."""
    with torch.no_grad():
        estimate = before if fallback else after
        projected = project(estimate, body)
        scale = estimate.camera[:, :1] * inputs.scale_px[:, None]
        offset = inputs.centre_px + inputs.scale_px[:, None] * estimate.camera[:, 1:]
        joints = body(estimate.rotations, estimate.betas).joints[..., :2]
        return BodyFit(
            method=method,
            rotations=estimate.rotations[0].numpy().copy(),
            betas=estimate.betas[0].numpy().copy(),
            camera_px=torch.cat((scale, offset), 1)[0].numpy().copy(),
            joints_px=(scale[:, None] * joints + offset[:, None])[0].numpy().copy(),
            iterations=iterations,
            loss_before=float(loss_2d(project(before, body), target)),
            loss_after=float(loss_2d(projected, target)),
            loss_49=float(loss_49(projected, target)),
            rmse_px=float(rmse_px(projected, inputs)),
            portrait_rmse_px=float(portrait_rmse_px(projected, inputs)),
            fallback=fallback,
        )


def explained(estimate: BodyEstimate, target: Target, body: BodyPoints) -> float:
    """The loss of points and scale together; batch of one."""
    with torch.no_grad():
        return float(loss_2d(project(estimate, body), target) + scale_loss(estimate, target))
