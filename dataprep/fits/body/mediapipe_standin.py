"""A stand-in for MediaPipe: what it would report of a posed body, with the errors it was measured to make.

Two kinds of error. *Offsets*: where it puts each point relative to the body model's regressor, constant in the part's
own frame (an ear is a little forward, world points lean). *Residuals*: the rest, drawn from their measured joint
covariance, because errors of one image go together. `detector_errors` reads the measured numbers. Projections are true
perspective, from 4-9 m, with the head off the optical axis.
Shape suffixes: B batch, P = 23 points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dataprep.fits.body.detector_errors import DetectorModel
from dataprep.fits.body.random_people import People
from dataprep.frames.rotations import matrix_from_axis_angle
from dataprep.frames.smpl_joints import NECK
from dataprep.models.body.body_points import BodyPoints
from dataprep.models.body.mediapipe_points import LEFT_SHOULDER, POINTS, RIGHT_SHOULDER
from dataprep.models.regressors.lifter import LifterInput, normalise

PORTRAIT_CENTRE_M = np.array([0.0, -0.17])  # of a head-and-shoulders picture, from the neck joint
_P = len(POINTS)
_FACE_POINTS = 7
# Errors of a detector that nobody measured, one point's telling nothing of another's: image x y, then world x y z.
_INDEPENDENT_M = np.array([*[0.010] * (2 * _P), *[0.0175, 0.0175, 0.0325] * _P])
_ALWAYS_SEEN = np.array([name in ("nose", "left_shoulder", "right_shoulder") for name in POINTS])


@dataclass(frozen=True)
class ExtraNoise:
    """Spread beyond what was measured, since real photographs vary more than rendered ones; standard deviations."""

    severity: float = 0.3  # log of an image's factor on the residuals
    independent: float = 0.0  # part of the images whose residuals are `_INDEPENDENT_M` instead of the measured ones
    definition_m: float = 0.005
    world_turn_deg: float = 3.0
    world_depth: float = 0.06
    proportion: float = 0.04
    missing: float = 0.04
    portraits: float = 0.0  # part of the pictures that are squares around head and shoulders
    worldless: float = 0.0  # part of the people without world points


class Exemplars(NamedTuple):
    """What the detector reports of `People`, and the truth about the camera in the same normalised units."""

    inputs: LifterInput
    clean: Float[Tensor, "b 23 2"]  # true points, normalised units
    neck: Float[Tensor, "b 2"]  # true projection of the neck joint, normalised units
    scale: Float[Tensor, " b"]  # normalised units per metre at the neck's depth


def observe(
    rng: np.random.Generator, people: People, body: BodyPoints, model: DetectorModel, extra: ExtraNoise
) -> Exemplars:
    """Photograph `people` and detect their points; `body` is the one they were posed with, image offsets included."""
    count = len(people.betas)
    factor = np.exp(extra.severity * rng.normal(size=(count, 1)))
    normal = rng.normal(size=(count, 5 * _P))
    plain = rng.random((count, 1)) < extra.independent
    errors = np.where(plain, normal * _INDEPENDENT_M, normal @ model.residual_chol.T)
    residual = torch.from_numpy(factor * errors).float()
    project, scale, neck = camera_of(rng, people)
    clean = project(people.posed.points)
    moved = people.posed.points + in_parts(people, body, extra.definition_m * rng.normal(size=(count, _P, 3)))
    image = project(moved) + scale[:, None, None] * residual[:, : 2 * _P].unflatten(1, (_P, 2))
    world = moved + in_parts(people, body, np.broadcast_to(model.world_offset_m, (count, _P, 3)))
    world = _distort(rng, world, extra) + residual[:, 2 * _P :].unflatten(1, (_P, 3))
    world[torch.from_numpy(rng.random(count) < extra.worldless)] = 0
    inputs = normalise(image, world, _visibility(rng, image.numpy(), neck.numpy(), extra))
    centre, unit = inputs.centre_px, inputs.scale_px
    return Exemplars(
        inputs,
        (clean - centre[:, None]) / unit[:, None, None],
        (neck - centre) / unit[:, None],
        scale / unit,
    )


def camera_of(
    rng: np.random.Generator, people: People, distance_m: tuple[float, float] = (4, 10)
) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
    """A projector of view-frame points, pixels (focal length = distance) per metre at the neck, the neck's pixel."""
    count = len(people.betas)
    neck = people.posed.joints[:, NECK]
    distance = torch.from_numpy(rng.uniform(*distance_m, count)).float()
    up, aside = np.radians(rng.uniform(-3, 11, count)), np.radians(rng.normal(0, 2.5, count))
    vector = torch.from_numpy(np.stack((up, aside, np.zeros(count)), -1)).float()
    cam_from_view = matrix_from_axis_angle(vector)  # turning +z about x by a positive angle lifts it (y is down)
    zero = torch.zeros(count)
    place = torch.stack((zero, zero, distance), -1)

    def project(points: Tensor) -> Tensor:
        in_cam = (cam_from_view[:, None] @ (points - neck[:, None] + place[:, None])[..., None])[..., 0]
        return distance[:, None, None] * in_cam[..., :2] / in_cam[..., 2:]

    depth = cam_from_view[:, 2, 2] * distance
    return project, distance / depth, project(neck[:, None])[:, 0]


def in_parts(people: People, body: BodyPoints, offset_m: np.ndarray) -> Tensor:
    """Offsets (B, P, 3) of the T pose, turned with the joint that moves each point most."""
    carrier = people.posed.rotations[:, body.mass_KJ.argmax(1)]
    return (carrier @ torch.from_numpy(np.array(offset_m)).float()[..., None])[..., 0]


def _distort(rng: np.random.Generator, points: Tensor, extra: ExtraNoise) -> Tensor:
    """World points about the shoulders: proportions of head and body, a turn, and depth all somewhat wrong."""
    count = len(points)
    world = points - points[:, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(1, keepdim=True)
    stretch = torch.from_numpy(np.exp(extra.proportion * rng.normal(size=(count, 2)))).float()
    head, rest = world[:, :_FACE_POINTS], world[:, _FACE_POINTS:]
    world = torch.cat((head * stretch[:, :1, None], rest * stretch[:, 1:, None]), 1)
    turn = torch.from_numpy(np.radians(extra.world_turn_deg) * rng.normal(size=(count, 3))).float()
    world = (matrix_from_axis_angle(turn)[:, None] @ world[..., None])[..., 0]
    depth = torch.from_numpy(np.exp(extra.world_depth * rng.normal(size=count))).float()
    return world * torch.stack((torch.ones(count), torch.ones(count), depth), -1)[:, None]


def _visibility(
    rng: np.random.Generator, image: np.ndarray, neck: np.ndarray, extra: ExtraNoise
) -> Bool[Tensor, "b 23"]:
    """Full bodies, pictures cut somewhere between chest and ankles, portraits of 0.8 to 1 m, and single misses."""
    count = len(image)
    shoulders, feet = image[:, [LEFT_SHOULDER, RIGHT_SHOULDER], 1].mean(1), image[:, 17:19, 1].max(1)
    cut = shoulders + rng.uniform(0.12, 0.95, count) * (feet - shoulders)
    cut = np.where(rng.random(count) < 0.35, cut, np.inf)
    middle = neck + PORTRAIT_CENTRE_M + rng.normal(0, 0.03, (count, 2))
    half_m = np.where(rng.random(count) < extra.portraits, rng.uniform(0.4, 0.5, count), np.inf)
    framed = (np.abs(image - middle[:, None]) < half_m[:, None, None]).all(-1)
    visible = framed & (image[..., 1] < cut[:, None]) & (rng.random(image.shape[:2]) >= extra.missing)
    return torch.from_numpy(visible | _ALWAYS_SEEN)
