"""Random standing people for training and testing fits: joint rotations, shapes, a camera, and a noisy detector.

Angles are drawn in degrees from hand-made joint limits. Everything comes from one numpy generator, so a seed fixes
the whole stream. Rotations are in the view frame of `models.lifter`; projections are true perspective.
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

from dataprep.models.body_points import BodyPoints, PosedPoints
from dataprep.models.lifter import POINTS, LifterInput, normalise
from dataprep.models.rotations import axis_angle_from_matrix, axis_rotation, matrix_from_axis_angle, matrix_from_zyx
from dataprep.models.smpl import HEAD, NECK

CAM_FROM_UPRIGHT = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # a person who faces the camera


class People(NamedTuple):
    """True bodies, posed, in the view frame (metres)."""

    rotations: Float[Tensor, "b 24 3 3"]
    betas: Float[Tensor, "b 10"]
    posed: PosedPoints


class Exemplars(NamedTuple):
    """What a detector reports of `People`, and the truth about the camera in the same normalised units."""

    inputs: LifterInput
    clean: Float[Tensor, "b 23 2"]  # true points, normalised units
    neck: Float[Tensor, "b 2"]  # true projection of the neck joint, normalised units
    scale: Float[Tensor, " b"]  # normalised units per metre at the neck's depth


@dataclass(frozen=True)
class DetectorNoise:
    """How far MediaPipe strays; metres and degrees at one standard deviation. Lengths vary from image to image."""

    image_m: float = 0.009
    definition_m: float = 0.010
    world_m: float = 0.022
    world_turn_deg: float = 4.0
    world_depth: float = 0.12
    proportion: float = 0.07
    missing: float = 0.04


# Relative to the shoulders' noise; the face is found far more precisely than hips or feet.
_POINT_NOISE = np.array(
    [0.4, 0.4, 0.4, 0.7, 0.7, 0.4, 0.4, 1, 1, 1.2, 1.2, 1.2, 1.2, 1.5, 1.5, 1.4, 1.4, 1.3, 1.3, 1.6, 1.6, 1.6, 1.6]
)
_FACE = slice(0, 7)
_ALWAYS_SEEN = np.array([name in ("nose", "left_shoulder", "right_shoulder") for name in POINTS])


def sample_people(rng: np.random.Generator, count: int, body: BodyPoints) -> People:
    """Draw `count` people: standing, body yaw mostly within 60 degrees, heads turned up to 55, arms free."""
    rotations = matrix_from_zyx(torch.from_numpy(np.radians(_local_zyx_deg(rng, count))).float())
    _turn_head(rng, rotations)
    rotations[:, 0] = _orientation(rng, count)
    betas = torch.from_numpy(rng.normal(size=(count, 10))).float()
    return People(rotations, betas, body(rotations, betas))


def _orientation(rng: np.random.Generator, count: int) -> Tensor:
    wide = rng.random(count) < 0.25
    yaw = np.where(wide, rng.uniform(-80, 80, count), rng.normal(0, 24, count))
    pitch = rng.normal(0, 5, count) + rng.uniform(-2, 7, count)  # seen from below the head as often as level
    roll = rng.normal(0, 3.5, count)
    turn = _rotation("y", yaw) @ _rotation("x", pitch) @ _rotation("z", roll)
    return CAM_FROM_UPRIGHT @ turn


def _turn_head(rng: np.random.Generator, rotations: Tensor) -> None:
    """Share a head turn between neck and head, each with its own wobble (in place)."""
    count = len(rotations)
    wide = rng.random(count) < 0.35
    yaw = np.where(wide, rng.uniform(-58, 58, count), rng.normal(0, 17, count))
    pitch, roll = rng.normal(0, 12, count), rng.normal(0, 8, count)
    turn = _rotation("y", yaw) @ _rotation("x", pitch) @ _rotation("z", roll)
    vector = axis_angle_from_matrix(turn)
    share = torch.from_numpy(rng.uniform(0.25, 0.65, (count, 1))).float()
    wobble = torch.from_numpy(np.radians(rng.normal(0, 3, (2, count, 3)))).float()
    rotations[:, NECK] = matrix_from_axis_angle(share * vector + wobble[0])
    rotations[:, HEAD] = matrix_from_axis_angle((1 - share) * vector + wobble[1])


def _rotation(axis: str, degrees: np.ndarray) -> Tensor:
    return axis_rotation(axis, torch.from_numpy(np.radians(degrees)).float())


def _local_zyx_deg(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 24, 3) Euler angles in degrees, order z, y, x; neck, head and root are set elsewhere."""
    angles = np.zeros((count, 24, 3))
    bend = rng.normal(0, (3, 4, 5), (count, 1, 3)) * np.where(rng.random((count, 1, 1)) < 0.15, 1.8, 1)
    angles[:, [3, 6, 9]] = bend + rng.normal(0, 2, (count, 3, 3))
    shrug = np.where(rng.random(count) < 0.25, rng.uniform(0, 18, count), 0) + rng.normal(0, 2, count)
    _arm(rng, angles, 1, (13, 16, 18, 20, 22), shrug)
    _arm(rng, angles, -1, (14, 17, 19, 21, 23), shrug)
    _leg(rng, angles, 1, (1, 4, 7, 10))
    _leg(rng, angles, -1, (2, 5, 8, 11))
    return angles


def _arm(
    rng: np.random.Generator, angles: np.ndarray, side: int, joints: tuple[int, ...], shrug: np.ndarray
) -> None:
    """One arm in place; written for the left, mirrored (z and y change sign) for the right."""
    count = len(angles)
    mirror = np.array([side, side, 1.0])
    collar, shoulder, elbow, wrist, hand = joints
    kind = rng.random(count)
    free, straight = kind < 0.30, kind > 0.82
    lift = np.where(free, rng.uniform(-88, 40, count), rng.normal(-68, 9, count))
    lift = np.where(straight, rng.uniform(-80, 10, count), lift)
    swing = np.where(free, rng.uniform(-75, 25, count), rng.normal(-3, 11, count))
    twist = np.where(free, rng.normal(0, 35, count), rng.normal(0, 18, count))
    bent = free | (rng.random(count) < 0.40)
    bend = np.where(bent, rng.uniform(0, 135, count), np.abs(rng.normal(10, 8, count)))
    bend = np.where(straight, np.abs(rng.normal(2, 5, count)), bend)
    collar_lift = shrug + 0.12 * (lift + 68) + rng.normal(0, 4, count)
    angles[:, collar] = mirror * np.stack((collar_lift, rng.normal(0, 6, count), rng.normal(0, 4, count)), -1)
    angles[:, shoulder] = mirror * np.stack((lift, swing, twist), -1)
    angles[:, elbow] = mirror * np.stack((rng.normal(0, 4, count), -bend, rng.normal(0, 25, count)), -1)
    angles[:, wrist] = mirror * rng.normal(0, (12, 10, 8), (count, 3))
    angles[:, hand] = mirror * rng.normal(0, 6, (count, 3))


def _leg(rng: np.random.Generator, angles: np.ndarray, side: int, joints: tuple[int, ...]) -> None:
    """One leg in place; written for the left, mirrored for the right."""
    count = len(angles)
    mirror = np.array([side, side, 1.0])
    hip, knee, ankle, foot = joints
    step = rng.random(count) < 0.2
    flex = np.where(step, rng.uniform(-45, 20, count), rng.normal(-3, 6, count))
    bend = np.where(step, rng.uniform(0, 60, count), np.abs(rng.normal(3, 6, count)))
    angles[:, hip] = mirror * np.stack((rng.normal(3, 4, count), rng.normal(6, 10, count), flex), -1)
    angles[:, knee] = mirror * np.stack((rng.normal(0, 2, count), rng.normal(0, 3, count), bend), -1)
    angles[:, ankle] = mirror * rng.normal(0, (4, 6, 7), (count, 3))
    angles[:, foot] = mirror * rng.normal(0, 4, (count, 3))


def observe(
    rng: np.random.Generator, people: People, body: BodyPoints, noise: DetectorNoise
) -> Exemplars:
    """Photograph people from 5-9 m with the head off the optical axis, and detect their points with `noise`."""
    count = len(people.betas)
    points = people.posed.points + _definition_error(rng, people, body, noise)
    project, scale, neck = _camera(rng, people)
    clean = project(people.posed.points)
    jitter = _lognormal(rng, noise.image_m, (count, 1, 1)) * _POINT_NOISE[None, :, None]
    image = project(points) + scale[:, None, None] * torch.from_numpy(jitter * rng.normal(size=(count, 23, 2))).float()
    visible = _visibility(rng, image.numpy(), noise.missing)
    inputs = normalise(image, _world(rng, points, noise), visible)
    to_units = (inputs.centre_px[:, None], inputs.scale_px[:, None, None])
    return Exemplars(
        inputs,
        (clean - to_units[0]) / to_units[1],
        (neck - inputs.centre_px) / inputs.scale_px[:, None],
        scale / inputs.scale_px,
    )


def _camera(rng: np.random.Generator, people: People) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
    """A projector of view-frame points, pixels (focal length = distance) per metre at the neck, the neck's pixel."""
    count = len(people.betas)
    neck = people.posed.joints[:, NECK]
    distance = torch.from_numpy(rng.uniform(4, 9, count)).float()
    up, aside = np.radians(rng.uniform(-3, 8, count)), np.radians(rng.normal(0, 2.5, count))
    vector = torch.from_numpy(np.stack((up, aside, np.zeros(count)), -1)).float()
    cam_from_view = matrix_from_axis_angle(vector)  # turning +z about x by a positive angle lifts it (y is down)

    def project(points: Tensor) -> Tensor:
        in_view = points - neck[:, None]
        in_view = in_view + torch.stack((torch.zeros(count), torch.zeros(count), distance), -1)[:, None]
        in_cam = (cam_from_view[:, None] @ in_view[..., None])[..., 0]
        return distance[:, None, None] * in_cam[..., :2] / in_cam[..., 2:]

    depth = cam_from_view[:, 2, 2] * distance
    return project, distance / depth, project(neck[:, None])[:, 0]


def _definition_error(rng: np.random.Generator, people: People, body: BodyPoints, noise: DetectorNoise) -> Tensor:
    """A constant offset per point and image, carried by the joint that moves the point most."""
    offset = noise.definition_m * _POINT_NOISE[:, None] * rng.normal(size=(len(people.betas), len(POINTS), 3))
    carrier = people.posed.rotations[:, body.mass_KJ.argmax(1)]
    return (carrier @ torch.from_numpy(offset).float()[..., None])[..., 0]


def _world(rng: np.random.Generator, points: Tensor, noise: DetectorNoise) -> Tensor:
    """MediaPipe's world points: turned, stretched in depth, of wrong proportions and size, and noisy."""
    count = len(points)
    shoulders = points[:, [7, 8]].mean(1, keepdim=True)
    world = points - shoulders
    stretch = torch.from_numpy(np.exp(noise.proportion * rng.normal(size=(count, 3)))).float()
    head = world[:, _FACE]
    world = torch.cat((head * stretch[:, :1, None], world[:, 7:] * stretch[:, 1:2, None]), 1)
    turn = torch.from_numpy(np.radians(noise.world_turn_deg) * rng.normal(size=(count, 3))).float()
    world = (matrix_from_axis_angle(turn)[:, None] @ world[..., None])[..., 0]
    depth = torch.from_numpy(np.exp(noise.world_depth * rng.normal(size=count))).float()
    world = world * torch.stack((torch.ones(count), torch.ones(count), depth), -1)[:, None]
    spread = _lognormal(rng, noise.world_m, (count, 1, 1)) * _POINT_NOISE[None, :, None] * np.array([0.7, 0.7, 1.3])
    world = world + torch.from_numpy(spread * rng.normal(size=(count, len(POINTS), 3))).float()
    return world * stretch[:, 2:, None]


def _visibility(rng: np.random.Generator, image: np.ndarray, missing: float) -> Bool[Tensor, "b 23"]:
    """Full bodies, pictures cut somewhere between chest and ankles, and single misses."""
    count = len(image)
    shoulders, feet = image[:, 7:9, 1].mean(1), image[:, 17:19, 1].max(1)
    cut = shoulders + rng.uniform(0.12, 0.95, count) * (feet - shoulders)
    cut = np.where(rng.random(count) < 0.4, cut, np.inf)
    visible = (image[..., 1] < cut[:, None]) & (rng.random(image.shape[:2]) >= missing)
    return torch.from_numpy(visible | _ALWAYS_SEEN)


def _lognormal(rng: np.random.Generator, median: float, shape: tuple[int, ...]) -> np.ndarray:
    return median * np.exp(0.4 * rng.normal(size=shape))
