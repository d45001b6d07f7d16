"""People with known bodies in EFT's crop condition: head and shoulders in a square of 224 px, independent errors.

The systematic offsets of the detector stay (its points are not the body model's, and every regressor is told so); its
measured residuals give way to plain noise, so that the numbers compare with those of other fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from dataprep.fits.body.compare_fits import Scene
from dataprep.fits.body.detector_errors import DetectorModel
from dataprep.fits.body.mediapipe_standin import PORTRAIT_CENTRE_M, camera_of, in_parts
from dataprep.fits.body.random_people import CAM_FROM_UPRIGHT, People
from dataprep.frames.rotations import axis_rotation, matrix_from_zyx
from dataprep.frames.smpl_joints import CHEST, HEAD, NECK
from dataprep.models.body.body_points import BodyPoints
from dataprep.models.body.mediapipe_points import LEFT_SHOULDER, POINTS, RIGHT_SHOULDER
from dataprep.models.regressors.lifter import normalise

CROP_PX = 224
# Standard deviations of local angles about each axis, degrees; every joint that is not named stays as it is.
_LOCAL_SIGMA_DEG = {3: 4.0, 6: 4.0, 9: 4.0, NECK: 7.0, HEAD: 10.0, 13: 5.5, 14: 5.5, 20: 8.0, 21: 8.0}
_ARMS = ((1, 16, 18), (-1, 17, 19))  # side, shoulder, elbow


@dataclass(frozen=True)
class CropCondition:
    """Standard deviations, and the range of the crop's side."""

    side_m: tuple[float, float] = (0.8, 1.0)
    centre_m: float = 0.03
    distance_m: tuple[float, float] = (6.0, 9.0)  # true perspective; the fits know weak perspective only
    point_px: float = 2.0  # of the 224
    world_m: float = 0.025  # times (0.7, 0.7, 1.3) along x, y, z
    world_scale: float = 0.06
    head_deg: float = 3.0  # of each component of the measured head's rotation vector
    missing: float = 0.04


def standing_people(rng: np.random.Generator, count: int, body: BodyPoints) -> People:
    """Standing people, most of them near frontal: yaw sigma 0.4 rad (20 % of them 1.0), arms down by 1.15 +- 0.22 rad
    (15 % free), 35 % of the elbows bent by up to 2 rad.

    Not the training's people (`people.sample_people`), whose arms and heads are freer.
    """
    angles = np.zeros((count, 24, 3))  # z, y, x
    for joint, sigma_deg in _LOCAL_SIGMA_DEG.items():
        angles[:, joint] = np.radians(sigma_deg) * rng.normal(size=(count, 3))
    for side, shoulder, elbow in _ARMS:
        free = rng.random((count, 1)) < 0.15
        down = np.stack([-side * rng.normal(1.15, 0.22, count), *rng.normal(0, 0.22, (2, count))], -1)
        angles[:, shoulder] = np.where(free, rng.uniform(-1.2, 1.2, (count, 3)), down)
        angles[:, elbow, 1] = -side * np.where(rng.random(count) < 0.35, rng.uniform(0, 2, count), 0)
    rotations = matrix_from_zyx(torch.from_numpy(angles)).float()
    yaw = rng.normal(0, np.where(rng.random(count) < 0.2, 1.0, 0.4))
    pitch, roll = np.radians(rng.normal(0, 5, (2, count)))
    turns = (_turn("y", yaw), _turn("x", pitch), _turn("z", roll))
    rotations[:, 0] = CAM_FROM_UPRIGHT @ turns[0] @ turns[1] @ turns[2]
    betas = torch.from_numpy(rng.normal(size=(count, 10))).float()
    return People(rotations, betas, body(rotations, betas))


def _turn(axis: str, angle_rad: np.ndarray) -> Tensor:
    return axis_rotation(axis, torch.from_numpy(angle_rad).float())


def crop_scene(
    rng: np.random.Generator, count: int, body: BodyPoints, detector: DetectorModel, condition: CropCondition
) -> Scene:
    """`count` people in crop pixels; `body` has the detector's image offsets."""
    people = standing_people(rng, count, body)
    project, px_per_m, neck = camera_of(rng, people, condition.distance_m)
    side_m = torch.from_numpy(rng.uniform(*condition.side_m, count)).float()
    centre = (
        neck
        + px_per_m[:, None]
        * torch.from_numpy(PORTRAIT_CENTRE_M + rng.normal(0, condition.centre_m, (count, 2))).float()
    )
    crop_px = CROP_PX / (side_m * px_per_m)
    true_px = CROP_PX / 2 + crop_px[:, None, None] * (project(people.posed.points) - centre[:, None])
    seen_px = true_px + _normal(rng, true_px, condition.point_px)
    visible = ((seen_px > 0) & (seen_px < CROP_PX)).all(-1)
    visible &= torch.from_numpy(rng.random(visible.shape) >= condition.missing)
    visible[:, [LEFT_SHOULDER, RIGHT_SHOULDER]] = True
    world = _world(rng, people, body, detector, condition)
    posed = people.posed
    return Scene(
        inputs=normalise(seen_px, world, visible),
        points_px=true_px,
        crop_px=torch.ones(count),
        joints_m=posed.joints - posed.joints[:, NECK, None],
        head=posed.rotations[:, HEAD],
        chest=posed.rotations[:, CHEST],
        measured_head=_measured(rng, posed.rotations[:, HEAD], condition.head_deg),
    )


def _world(
    rng: np.random.Generator, people: People, body: BodyPoints, detector: DetectorModel, condition: CropCondition
) -> Float[Tensor, "b 23 3"]:
    count = len(people.betas)
    world = people.posed.points + in_parts(
        people, body, np.broadcast_to(detector.world_offset_m, (count, len(POINTS), 3))
    )
    world = world - world[:, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(1, keepdim=True)
    scale = torch.from_numpy(np.exp(rng.normal(0, condition.world_scale, (count, 1, 1)))).float()
    return scale * world + _normal(rng, world, condition.world_m) * torch.tensor([0.7, 0.7, 1.3])


def _measured(rng: np.random.Generator, head: Tensor, sigma_deg: float) -> Float[np.ndarray, "b 3 3"]:
    """Heads as a 3DMM reports them."""
    noise = Rotation.from_rotvec(np.radians(sigma_deg) * rng.normal(size=(len(head), 3))).as_matrix()
    return head.double().numpy() @ noise


def _normal(rng: np.random.Generator, like: Tensor, sigma: float) -> Tensor:
    return torch.from_numpy(rng.normal(0, sigma, tuple(like.shape))).float()
