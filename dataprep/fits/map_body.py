"""Direct MAP fit of a whole batch, started from the lifter: as accurate as EFT at a tenth of its cost.

The unknown is what the lifter left unexplained, whitened by that residual's covariance on held-out people, so the
prior is a unit normal and one learning rate serves rotations, shape and camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dataprep.fits.body_fit import BodyFit, finish
from dataprep.fits.reprojection import POINT_SPREAD, loss_2d, project, target_of
from dataprep.models.body_points import BodyPoints
from dataprep.models.lifter import BodyEstimate, LifterInput
from dataprep.models.rotations import matrix_from_axis_angle
from dataprep.models.smpl import NECK


@dataclass(frozen=True)
class MapConfig:
    """`point_sigma` is in normalised units (about metres)."""

    steps: int = 60
    learning_rate: float = 0.1
    point_sigma: float = 0.014


def fit_map(
    start: BodyEstimate, inputs: LifterInput, body: BodyPoints, residual_chol: Tensor, config: MapConfig
) -> list[BodyFit]:
    """Minimise reprojection / (2 sigma^2) + |z|^2 / 2 over the whitened residual z; images do not interact."""
    start = BodyEstimate(*(tensor.detach() for tensor in start))
    z = torch.zeros(len(start.betas), residual_chol.shape[0], requires_grad=True)
    optimiser = torch.optim.Adam([z], lr=config.learning_rate, fused=True)
    inverse_variance = inputs.visible / (config.point_sigma * POINT_SPREAD).square()
    neck = neck_in_picture(start, body)
    for step in range(config.steps):
        optimiser.param_groups[0]["lr"] = config.learning_rate * (1 - 0.9 * step / config.steps)
        projected = project(apply_residual(start, neck, z @ residual_chol.T, body), body)
        error = ((projected - inputs.points).square().sum(-1) * inverse_variance).sum()
        optimiser.zero_grad(set_to_none=True)
        (0.5 * error + 0.5 * z.square().sum()).backward()
        optimiser.step()
    with torch.no_grad():
        fitted = apply_residual(start, neck, z @ residual_chol.T, body)
        target = target_of(inputs)
        before, after = (loss_2d(project(estimate, body), target) for estimate in (start, fitted))
        worse = ~(after <= before)
        kept = BodyEstimate(
            torch.where(worse[:, None, None, None], start.rotations, fitted.rotations),
            torch.where(worse[:, None], start.betas, fitted.betas),
            torch.where(worse[:, None], start.camera, fitted.camera),
        )
    return finish("map", kept, inputs, target, body, config.steps, before, worse)


def neck_in_picture(estimate: BodyEstimate, body: BodyPoints) -> Float[Tensor, "b 2"]:
    """The projected neck joint, normalised units."""
    neck = body.joint_position(estimate.rotations, estimate.betas, NECK)
    return estimate.camera[:, :1] * neck[:, :2] + estimate.camera[:, 1:]


def apply_residual(
    start: BodyEstimate, start_neck: Float[Tensor, "b 2"], residual: Float[Tensor, "b 85"], body: BodyPoints
) -> BodyEstimate:
    """Add (24 rotation vectors, 10 betas, log scale, neck x, neck y) to an estimate; the neck anchors the camera."""
    rotations = start.rotations @ matrix_from_axis_angle(residual[:, :72].unflatten(1, (24, 3)))
    betas = start.betas + residual[:, 72:82]
    scale = start.camera[:, :1] * torch.exp(residual[:, 82:83])
    neck = body.joint_position(rotations, betas, NECK)[:, :2]
    return BodyEstimate(rotations, betas, torch.cat((scale, start_neck + residual[:, 83:] - scale * neck), 1))
