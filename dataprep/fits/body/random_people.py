"""Random people for training and testing fits, two thirds of them standing: joint rotations and shapes.

The others walk, sit, crouch, jump or lean, with arms and legs that cross or hands at the head: a regressor that has
seen only people who stand pulls everybody else upright, and its residuals understate how far it is off. Angles are
drawn in degrees from hand-made joint limits. Everything comes from one numpy generator, so a seed fixes the whole
stream. Rotations are in the view frame of `models.lifter`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dataprep.frames.rotations import axis_angle_from_matrix, axis_rotation, matrix_from_axis_angle, matrix_from_zyx
from dataprep.frames.smpl_joints import HEAD, NECK
from dataprep.models.body.body_points import BodyPoints, PosedPoints

_MOVING = 0.35  # part of the people who do something else than stand
_LEFT_ARM, _RIGHT_ARM = (13, 16, 18, 20, 22), (14, 17, 19, 21, 23)
_LEFT_LEG, _RIGHT_LEG = (1, 4, 7, 10), (2, 5, 8, 11)

CAM_FROM_UPRIGHT = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # a person who faces the camera


class People(NamedTuple):
    """True bodies, posed, in the view frame (metres)."""

    rotations: Float[Tensor, "b 24 3 3"]
    betas: Float[Tensor, "b 10"]
    posed: PosedPoints


def sample_people(rng: np.random.Generator, count: int, body: BodyPoints) -> People:
    """Draw `count` people: body yaw mostly within 60 degrees, heads turned up to 55, arms free; a third are moving."""
    moving = rng.random(count) < _MOVING
    angles = _local_zyx_deg(rng, count)
    _move(rng, angles, moving)
    rotations = matrix_from_zyx(torch.from_numpy(np.radians(angles)).float())
    _turn_head(rng, rotations)
    rotations[:, 0] = _orientation(rng, count) @ _lean(rng, moving)
    betas = torch.from_numpy(rng.normal(size=(count, 10))).float()
    return People(rotations, betas, body(rotations, betas))


def _lean(rng: np.random.Generator, moving: np.ndarray) -> Tensor:
    """Whole bodies out of the vertical: half of those who move, mostly forwards."""
    count = len(moving)
    share = moving * (rng.random(count) < 0.5)
    return _rotation("x", share * rng.normal(8, 14, count)) @ _rotation("z", share * rng.normal(0, 13, count))


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
    _arm(rng, angles, 1, _LEFT_ARM, shrug)
    _arm(rng, angles, -1, _RIGHT_ARM, shrug)
    _leg(rng, angles, 1, _LEFT_LEG)
    _leg(rng, angles, -1, _RIGHT_LEG)
    return angles


def _move(rng: np.random.Generator, angles: np.ndarray, moving: np.ndarray) -> None:
    """Give the people of `moving` other spines, arms and legs, in place."""
    count = int(moving.sum())
    bent = rng.normal(0, (5, 6, 4), (count, 1, 3)) + [0, 0, 1] * rng.uniform(-3, 12, (count, 1, 1))
    angles[np.ix_(moving, np.array([3, 6, 9]))] = bent + rng.normal(0, 2.5, (count, 3, 3))
    sits = rng.random(count) < 0.5
    stride = rng.normal(0, 26, count)
    for side, arm, leg in ((1, _LEFT_ARM, _LEFT_LEG), (-1, _RIGHT_ARM, _RIGHT_LEG)):
        angles[np.ix_(moving, np.array(leg))] = _moving_leg(rng, side, sits, side * stride)
        raised = np.flatnonzero(moving)[rng.random(count) < 0.5]
        angles[np.ix_(raised, np.array(arm))] = _raised_arm(rng, side, len(raised))


def _moving_leg(rng: np.random.Generator, side: int, sits: np.ndarray, stride: np.ndarray) -> np.ndarray:
    """(count, 4, 3) hip, knee, ankle, foot: seated and crouching with thighs that may cross, or walking and running."""
    count = len(sits)
    mirror = np.array([side, side, 1.0])
    flex = np.where(sits, rng.uniform(-120, -35, count), stride + rng.normal(-8, 8, count))
    bend = np.where(sits, rng.uniform(15, 130, count), np.abs(rng.normal(12, 12, count)) + 0.9 * stride.clip(0))
    aside = np.where(sits, rng.normal(6, 15, count), rng.normal(3, 6, count))
    twist = np.where(sits, rng.normal(0, 20, count), rng.normal(4, 10, count))
    hip = np.stack((aside, twist, flex), -1)
    knee = np.stack((rng.normal(0, 3, count), rng.normal(0, 5, count), bend), -1)
    ankle, foot = rng.normal(0, (5, 8, 12), (count, 3)), rng.normal(0, 6, (count, 3))
    return mirror * np.stack((hip, knee, ankle, foot), 1)


def _raised_arm(rng: np.random.Generator, side: int, count: int) -> np.ndarray:
    """(count, 5, 3) collar to hand: across the chest, at hip, chin or hair, or thrown up."""
    mirror = np.array([side, side, 1.0])
    lift, swing = rng.uniform(-85, 75, count), rng.uniform(-100, 30, count)
    bend = rng.uniform(0, 1, count) ** 0.6 * 150
    shoulder = np.stack((lift, swing, rng.normal(0, 38, count)), -1)
    elbow = np.stack((rng.normal(0, 6, count), -bend, rng.normal(0, 30, count)), -1)
    collar = np.stack((0.16 * (lift + 68), 0.1 * swing, np.zeros(count)), -1) + rng.normal(0, 5, (count, 3))
    wrist, hand = rng.normal(0, (14, 12, 9), (count, 3)), rng.normal(0, 6, (count, 3))
    return mirror * np.stack((collar, shoulder, elbow, wrist, hand), 1)


def _arm(rng: np.random.Generator, angles: np.ndarray, side: int, joints: tuple[int, ...], shrug: np.ndarray) -> None:
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
