"""The body fits side by side: lifter alone, EFT and MAP, with and without world landmarks and the head tie.

Errors are against the truth, not against the noisy points that were fitted. Lengths in pictures are pixels of a crop of
224 px; rotations and joints are in the view frame (models.lifter).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dataprep.fits.body.body_fit import BodyFit, finish
from dataprep.fits.body.eft import ExemplarTuner
from dataprep.fits.body.eft_config import EftConfig
from dataprep.fits.body.map_body import MapConfig, solve_map
from dataprep.fits.body.reprojection import target_of
from dataprep.fits.head_tie import neck_head_covariance, tie_head
from dataprep.frames.rotations import angle_between_rad
from dataprep.frames.smpl_joints import CHEST, HEAD, LEFT_COLLAR, LEFT_SHOULDER, NECK, RIGHT_COLLAR, RIGHT_SHOULDER
from dataprep.models.body.body_points import BodyPoints
from dataprep.models.body.mediapipe_points import POINTS
from dataprep.models.regressors.lifter import LifterInput, TrainedLifter, normalise

METHODS = ("lifter", "eft", "map")
METRICS = {
    "truth_px": "projected points against true ones, px of 224",
    "points_px": "projected points against detected ones, px of 224",
    "upper_mm": "the generator's joints and the arm joints that are seen, from the neck, mm",
    "head_deg": "head, degrees",
    "chest_deg": "chest, degrees",
}
_TRUNK = (LEFT_COLLAR, RIGHT_COLLAR, HEAD, LEFT_SHOULDER, RIGHT_SHOULDER)
_ARMS = {18: "left_elbow", 19: "right_elbow", 20: "left_wrist", 21: "right_wrist"}  # count where they are seen
_UPPER = (*_TRUNK, *_ARMS)
_HEAD_SIGMA_DEG = 3.0  # the camera stage's


class Scene(NamedTuple):
    """People with detected points and the truth about them; pixels are those of `inputs`."""

    inputs: LifterInput
    points_px: Float[Tensor, "b 23 2"]  # where a faultless detector puts the points
    crop_px: Float[Tensor, " b"]  # pixels of a 224 px crop in one pixel
    joints_m: Float[Tensor, "b 24 3"]  # from the neck
    head: Float[Tensor, "b 3 3"]  # global rotations
    chest: Float[Tensor, "b 3 3"]
    measured_head: Float[np.ndarray, "b 3 3"]  # what the head is tied to


@dataclass(frozen=True)
class Comparison:
    """One line of the table; `errors` has an array over people for every metric."""

    method: str
    world: bool
    tied: bool
    errors: Mapping[str, Float[np.ndarray, " b"]]


def compare_fits(
    scene: Scene, lifter: TrainedLifter, config: EftConfig, advance: Callable[[int], None] = lambda fits: None
) -> list[Comparison]:
    """Twelve lines: every method, with and without world landmarks, with and without the head tie.

    `advance` is told the number of fits as they finish.
    """
    lines = []
    for world in (True, False):
        inputs = scene.inputs if world else without_world(scene.inputs)
        chol = lifter.residual_chol if world else lifter.worldless_chol
        for method, fits in _fits(inputs, lifter, chol, config, advance).items():
            for tied in (False, True):
                rotations = _tied(fits, scene, chol) if tied else np.stack([fit.rotations for fit in fits])
                lines.append(Comparison(method, world, tied, _errors(fits, rotations, scene, lifter.network.body)))
    return lines


def without_world(inputs: LifterInput) -> LifterInput:
    """The same points as a detector reports them that knows pictures only."""
    points_px = inputs.centre_px[:, None] + inputs.scale_px[:, None, None] * inputs.points
    return normalise(points_px, torch.zeros_like(inputs.world), inputs.visible)


def _fits(
    inputs: LifterInput, lifter: TrainedLifter, chol: Tensor, config: EftConfig, advance: Callable[[int], None]
) -> dict[str, list[BodyFit]]:
    body, count = lifter.network.body, len(inputs.points)
    fits: dict[str, list[BodyFit]] = {method: [] for method in METHODS}
    tuner = ExemplarTuner(lifter.network, body, config)
    for i in range(count):
        one = LifterInput(*(tensor[i : i + 1] for tensor in inputs))
        target = target_of(one)
        with torch.no_grad():
            start = lifter.network(one)
        found = solve_map(start, target, body, chol, MapConfig())
        fits["lifter"].append(finish("lifter", start, start, one, target, body, 0, fallback=False))
        fits["eft"].append(tuner.fit(one, residual=found.residual))
        fits["map"].append(finish("map", start, found.estimate, one, target, body, found.steps, fallback=False))
        advance(1)
    return fits


def _tied(fits: list[BodyFit], scene: Scene, chol: Tensor) -> Float[np.ndarray, "b 24 3 3"]:
    covariance, sigma = neck_head_covariance(chol.numpy()), np.radians(_HEAD_SIGMA_DEG)
    return np.stack(
        [
            tie_head(fit.rotations.astype(np.float64), head, covariance, sigma).rotations
            for fit, head in zip(fits, scene.measured_head, strict=True)
        ]
    )


def _errors(
    fits: list[BodyFit], rotations: Float[np.ndarray, "b 24 3 3"], scene: Scene, body: BodyPoints
) -> dict[str, Float[np.ndarray, " b"]]:
    posed = body(torch.from_numpy(rotations).float(), torch.from_numpy(np.stack([fit.betas for fit in fits])))
    camera = torch.from_numpy(np.stack([fit.camera_px for fit in fits]))
    projected = camera[:, :1, None] * posed.points[..., :2] + camera[:, None, 1:]
    inputs = scene.inputs
    detected = inputs.centre_px[:, None] + inputs.scale_px[:, None, None] * inputs.points
    joints = (posed.joints - posed.joints[:, NECK, None] - scene.joints_m)[:, _UPPER].norm(dim=-1)
    counted = torch.ones_like(joints, dtype=torch.bool)
    counted[:, len(_TRUNK) :] = inputs.visible[:, [POINTS.index(name) for name in _ARMS.values()]]
    errors = {
        "truth_px": scene.crop_px * _mean((projected - scene.points_px).norm(dim=-1), inputs.visible),
        "points_px": scene.crop_px * _mean((projected - detected).norm(dim=-1), inputs.visible),
        "upper_mm": 1000 * _mean(joints, counted),
        "chest_mm": 1000 * (posed.joints[:, CHEST] - posed.joints[:, NECK] - scene.joints_m[:, CHEST]).norm(dim=-1),
        "head_deg": torch.rad2deg(angle_between_rad(posed.rotations[:, HEAD], scene.head)),
        "chest_deg": torch.rad2deg(angle_between_rad(posed.rotations[:, CHEST], scene.chest)),
    }
    return {name: value.double().numpy() for name, value in errors.items()}


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    return (values * counted).sum(1) / counted.sum(1)
