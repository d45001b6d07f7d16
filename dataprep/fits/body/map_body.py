"""Direct MAP fit of one body, started from the lifter: the likeliest body given its points and the face's size.

The unknown is what the lifter left unexplained, whitened by that residual's covariance on held-out people, so the
prior is a unit normal. Gauss-Newton with exact slopes (`point_slopes`) is at the optimum after a handful of steps,
however far off the start was. Images do not touch each other's numbers.
Shape suffixes: K key points, X = 85 unknowns (24 rotation vectors, 10 betas, log scale, neck x, neck y).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from dataprep.fits.body.body_fit import BodyFit, explained, finish
from dataprep.fits.body.evidence import Evidence
from dataprep.fits.body.point_slopes import POSE, SHAPE, point_slopes
from dataprep.fits.body.reprojection import Target, target_of
from dataprep.frames.rotations import matrix_from_axis_angle
from dataprep.frames.smpl_joints import NECK
from dataprep.models.body.body_points import BodyPoints, PosedPoints
from dataprep.models.regressors.lifter import BodyEstimate, LifterInput

_TURNED = POSE + SHAPE
_DAMPING, _DAMPING_UP, _DAMPING_DOWN, _TRIES = 1e-3, 8.0, 0.1, 6


@dataclass(frozen=True)
class MapConfig:
    """When to stop: the steps, and the part of the objective that a step must still win."""

    steps: int = 30
    tolerance: float = 1e-3


class MapSolution(NamedTuple):
    """The likeliest body, as an estimate and as what it adds to the start (`apply_residual`)."""

    estimate: BodyEstimate
    residual: Float[Tensor, "85"]
    steps: int


def fit_map(
    start: BodyEstimate,
    inputs: LifterInput,
    body: BodyPoints,
    residual_chol: Tensor,
    config: MapConfig,
    evidence: Evidence | None = None,
) -> list[BodyFit]:
    """Fit each body of a batch by itself. `body` has OpenPose's points, too, where the evidence has them."""
    fits = []
    for i in range(len(inputs.points)):
        one = LifterInput(*(tensor[i : i + 1] for tensor in inputs))
        target = target_of(one, None if evidence is None else evidence.of(i))
        first = BodyEstimate(*(tensor[i : i + 1].detach() for tensor in start))
        found = solve_map(first, target, body, residual_chol, config)
        worse = not explained(found.estimate, target, body) <= explained(first, target, body)
        fits.append(finish("map", first, found.estimate, one, target, body, found.steps, worse))
    return fits


@torch.no_grad()
def solve_map(
    start: BodyEstimate, target: Target, body: BodyPoints, residual_chol: Tensor, config: MapConfig
) -> MapSolution:
    """Minimise half the squared, whitened errors of points and scale, and of the residual; batch of one.

    Steps that would not lower that are shortened (Levenberg and Marquardt).
    """
    problem = _Problem(start, target, body, residual_chol)
    here = problem.at(torch.zeros(len(residual_chol)))
    damping, step = _DAMPING, 0
    for step in range(1, config.steps + 1):  # noqa: B007 (reported)
        normal, gradient = problem.normal(here)
        for _ in range(_TRIES):
            move = torch.linalg.solve(normal + damping * torch.diag(normal.diagonal()), -gradient)
            there = problem.at(here.whitened + move.float())
            if better := there.cost < here.cost:
                break
            damping = max(_DAMPING_UP * damping, _DAMPING)
        if not better:
            break
        won, here, damping = here.cost - there.cost, there, _DAMPING_DOWN * damping
        if won < config.tolerance * max(here.cost, 1.0):
            break
    return MapSolution(here.estimate, residual_chol @ here.whitened, step)


class _State(NamedTuple):
    """A body on the way. `errors` are whitened: x and y of the points, then the log scale."""

    whitened: Float[Tensor, "85"]
    estimate: BodyEstimate
    posed: PosedPoints
    errors: Float[Tensor, " e"]
    cost: float


class _Problem:
    """The objective about one start, and its slopes."""

    def __init__(self, start: BodyEstimate, target: Target, body: BodyPoints, residual_chol: Tensor) -> None:
        self.start, self.target, self.body, self.chol = start, target, body, residual_chol
        self._neck = neck_in_picture(start, body)
        self._by_whitened = residual_chol[:_TURNED], residual_chol[_TURNED], residual_chol[_TURNED + 1 :]

    def at(self, whitened: Float[Tensor, "85"]) -> _State:
        estimate = apply_residual(self.start, self._neck, (self.chol @ whitened)[None], self.body)
        posed = self.body(estimate.rotations, estimate.betas)
        target, camera = self.target, estimate.camera[0]
        apart = (camera[0] * posed.points[0, :, :2] + camera[1:] - target.points[0]) * target.precision[0, :, None]
        scale = (camera[:1].log() - target.log_scale) * target.scale_precision
        errors = torch.cat((apart.flatten(), scale))
        cost = 0.5 * float(errors.square().sum() + whitened.square().sum())
        return _State(whitened, estimate, posed, errors, cost)

    def normal(self, here: _State) -> tuple[Float[Tensor, "85 85"], Float[Tensor, "85"]]:
        """Second derivatives (of Gauss and Newton) and gradient of the objective, float64."""
        turned, log_scale, neck = self._by_whitened
        scale = here.estimate.camera[0, 0]
        about_neck = (here.posed.points[0] - here.posed.joints[0, NECK])[:, :2, None]
        rotvecs = (self.chol[:POSE] @ here.whitened).unflatten(0, (-1, 3))
        by_body = point_slopes(self.body, here.posed, rotvecs, here.estimate.betas[0])[:, :2] @ turned
        by_all = scale * (by_body + about_neck * log_scale) + neck
        slopes = torch.cat(
            (
                (by_all * self.target.precision[0, :, None, None]).flatten(0, 1),
                self.target.scale_precision * log_scale[None],
            )
        ).double()
        gradient = slopes.T @ here.errors.double() + here.whitened.double()
        return slopes.T @ slopes + torch.eye(len(gradient), dtype=torch.float64), gradient


def neck_in_picture(estimate: BodyEstimate, body: BodyPoints) -> Float[Tensor, "b 2"]:
    """The projected neck joint, normalised units."""
    neck = body.joint_position(estimate.rotations, estimate.betas, NECK)
    return estimate.camera[:, :1] * neck[:, :2] + estimate.camera[:, 1:]


def apply_residual(
    start: BodyEstimate, start_neck: Float[Tensor, "b 2"], residual: Float[Tensor, "b 85"], body: BodyPoints
) -> BodyEstimate:
    """Add (24 rotation vectors, 10 betas, log scale, neck x, neck y) to an estimate; the neck anchors the camera."""
    turns, betas, log_scale, moved = residual.split((POSE, SHAPE, 1, 2), 1)
    rotations = start.rotations @ matrix_from_axis_angle(turns.unflatten(1, (24, 3)))
    betas = start.betas + betas
    scale = start.camera[:, :1] * torch.exp(log_scale)
    neck = body.joint_position(rotations, betas, NECK)[:, :2]
    return BodyEstimate(rotations, betas, torch.cat((scale, start_neck + moved - scale * neck), 1))
