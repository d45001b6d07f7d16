"""The two cameras of the method: one frames the portrait, one the face (paper section 4; docs/cameras.md).

A camera label is (pitch, yaw) in radians, both pi/2 from the front. Suffixes: B batch, H W pixels, S samples, 3 x y z.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dataprep.frames.geometry import FACE_ORIGIN_BODY, FACE_UNIT_BODY
from gan.config import GeneratorConfig
from gan.networks.device_work import constant

LOOK_AT_BODY = (0.0, 0.052552, 0.0)  # body units above the neck; the released code's, as is the raise
LOOK_AT_RAISE = 0.01  # face units, added after the change of frame: published weights were trained with both


@dataclasses.dataclass(frozen=True)
class ViewCamera:
    """A camera on a sphere, in face units; `offset` is added to every sample (the look-at point of the portrait)."""

    radius: float
    near: float
    far: float
    fov_rad: float
    offset: tuple[float, float, float]
    follows_head: bool


def portrait_camera(config: GeneratorConfig) -> ViewCamera:
    x, y, z = ((a - o) / FACE_UNIT_BODY for a, o in zip(LOOK_AT_BODY, FACE_ORIGIN_BODY, strict=True))
    return ViewCamera(
        config.portrait_radius,
        config.portrait_near,
        config.portrait_far,
        config.fov_rad,
        (x, y + LOOK_AT_RAISE, z),
        follows_head=False,
    )


def face_camera(config: GeneratorConfig) -> ViewCamera:
    """Looks at the head centre; the caller carries its rays along with the posed head joint."""
    return ViewCamera(
        config.face_radius, config.face_near, config.face_far, config.fov_rad, (0.0, 0.0, 0.0), follows_head=True
    )


def camera_origin(camera_B2: Float[Tensor, "b 2"], radius: float) -> Float[Tensor, "b 3"]:
    """Return r (sin pitch cos yaw, cos pitch, sin pitch sin yaw)."""
    pitch, yaw = camera_B2.unbind(-1)
    return radius * torch.stack([pitch.sin() * yaw.cos(), pitch.cos(), pitch.sin() * yaw.sin()], -1)


def world_from_camera(origin_B3: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 3"]:
    """Return the rotation of a camera at `origin_B3` that looks at 0 along its own -z, with +y up."""
    forward = -F.normalize(origin_B3, dim=-1)
    up = constant((0.0, 1.0, 0.0), forward).expand_as(forward)
    right = F.normalize(torch.linalg.cross(forward, up), dim=-1)
    return torch.stack([right, torch.linalg.cross(right, forward), -forward], -1)


def ray_directions(size: int, fov_rad: float, like: Tensor) -> Float[Tensor, "h w 3"]:
    """Return unit directions in camera space; x runs -1..1 rightwards and y 1..-1 downwards, end points included."""
    across = torch.linspace(-1, 1, size, dtype=like.dtype, device=like.device)
    y, x = torch.meshgrid(-across, across, indexing="ij")
    return F.normalize(torch.stack([x, y, torch.full_like(x, -1 / math.tan(fov_rad / 2))], -1), dim=-1)


def ray_samples(
    camera: ViewCamera, camera_B2: Float[Tensor, "b 2"], size: int, samples: int
) -> Float[Tensor, "b h w s 3"]:
    """Return samples at equal steps of distance from near to far, in the face frame (the head's, before it moves)."""
    origin_B3 = camera_origin(camera_B2, camera.radius)
    directions_HW3 = ray_directions(size, camera.fov_rad, camera_B2)
    world_BHW3 = torch.einsum("brc,hwc->bhwr", world_from_camera(origin_B3), directions_HW3)
    distance_S = torch.linspace(camera.near, camera.far, samples, dtype=camera_B2.dtype, device=camera_B2.device)
    start_B3 = origin_B3 + constant(camera.offset, origin_B3)
    return world_BHW3[..., None, :] * distance_S[:, None] + start_B3[:, None, None, None]


def project(
    points_BN3: Float[Tensor, "b n 3"], camera_B2: Float[Tensor, "b 2"], camera: ViewCamera
) -> tuple[Float[Tensor, "b n 2"], Float[Tensor, "b n"]]:
    """Return where points of the face frame lie in a picture (x rightwards, y downwards, rims at -1, 1), and depths."""
    origin_B3 = camera_origin(camera_B2, camera.radius)
    stand_B3 = origin_B3 + constant(camera.offset, origin_B3)
    local_BN3 = (points_BN3 - stand_B3[:, None]) @ world_from_camera(origin_B3)
    depth_BN = -local_BN3[..., 2]
    scale_BN = 1 / (depth_BN * math.tan(camera.fov_rad / 2))
    return torch.stack([local_BN3[..., 0] * scale_BN, -local_BN3[..., 1] * scale_BN], -1), depth_BN
