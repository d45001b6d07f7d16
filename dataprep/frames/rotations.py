"""Rotation parameterisations on batched tensors: 3x3 column-vector matrices throughout.

Leading dimensions are free ("..."); angles are radians.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_SMALL_ANGLE_RAD = 1e-6


def matrix_from_sixd(sixd: Float[Tensor, "... 6"]) -> Float[Tensor, "... 3 3"]:
    """Gram-Schmidt of two 3-vectors that alternate in memory (SPIN's layout): columns b1, b2, b1 x b2."""
    first, second = sixd[..., 0::2], sixd[..., 1::2]
    b1 = torch.nn.functional.normalize(first, dim=-1)
    b2 = torch.nn.functional.normalize(second - (b1 * second).sum(-1, keepdim=True) * b1, dim=-1)
    return torch.stack((b1, b2, torch.linalg.cross(b1, b2)), dim=-1)


def sixd_from_matrix(rotation: Float[Tensor, "... 3 3"]) -> Float[Tensor, "... 6"]:
    """The first two columns, interleaved; inverse of `matrix_from_sixd` on rotations."""
    return rotation[..., :2].flatten(-2)


def skew(vector: Float[Tensor, "... 3"]) -> Float[Tensor, "... 3 3"]:
    """Cross-product matrix: skew(a) @ b = a x b."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).unflatten(-1, (3, 3))


def matrix_from_axis_angle(axis_angle: Float[Tensor, "... 3"]) -> Float[Tensor, "... 3 3"]:
    """Rodrigues' formula, differentiable at zero; radians."""
    squared = (axis_angle * axis_angle).sum(-1)[..., None, None]
    angle = (squared + _SMALL_ANGLE_RAD**2).sqrt()
    cross = skew(axis_angle)
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    half_sinc = torch.sin(angle / 2) / (angle / 2)
    return eye + torch.sin(angle) / angle * cross + 0.5 * half_sinc**2 * (cross @ cross)


def axis_angle_from_matrix(rotation: Float[Tensor, "... 3 3"]) -> Float[Tensor, "... 3"]:
    """Rotation vector in radians, length at most pi; goes through a unit quaternion, exact near 0 and near pi."""
    quaternion = _quaternion_from_matrix(rotation)
    w, xyz = quaternion[..., :1], quaternion[..., 1:]
    xyz = torch.where(w < 0, -xyz, xyz)
    length = xyz.norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(length, w.abs())
    return torch.where(length > _SMALL_ANGLE_RAD, xyz / length.clamp_min(_SMALL_ANGLE_RAD) * angle, 2 * xyz)


def _quaternion_from_matrix(rotation: Tensor) -> Tensor:
    """Unit quaternion (w, x, y, z) from the largest of the four candidate components (Shepperd's method)."""
    m = rotation
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    diagonal = torch.stack((trace, m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]), dim=-1)
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    four_squared = torch.stack((1 + trace, *(1 - trace + 2 * diagonal[..., i] for i in (1, 2, 3))), dim=-1)
    w2, x2, y2, z2 = four_squared.unbind(-1)
    candidates = torch.stack(
        [
            torch.stack((w2, wx, wy, wz), dim=-1),
            torch.stack((wx, x2, xy, xz), dim=-1),
            torch.stack((wy, xy, y2, yz), dim=-1),
            torch.stack((wz, xz, yz, z2), dim=-1),
        ],
        dim=-2,
    )
    best = four_squared.argmax(dim=-1)[..., None, None].expand(*candidates.shape[:-2], 1, 4)
    return torch.nn.functional.normalize(candidates.gather(-2, best).squeeze(-2), dim=-1)


def axis_rotation(axis: str, angle_rad: Float[Tensor, "..."]) -> Float[Tensor, "... 3 3"]:
    """Rotation by `angle_rad` about the x, y or z axis."""
    direction = torch.zeros(3, dtype=angle_rad.dtype, device=angle_rad.device)
    direction["xyz".index(axis)] = 1
    return matrix_from_axis_angle(angle_rad[..., None] * direction)


def matrix_from_zyx(angles_rad: Float[Tensor, "... 3"]) -> Float[Tensor, "... 3 3"]:
    """R_z R_y R_x of angles listed in the order z, y, x: the generator's convention."""
    (cz, cy, cx), (sz, sy, sx) = angles_rad.cos().unbind(-1), angles_rad.sin().unbind(-1)
    rows = [
        *(cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx),
        *(sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx),
        *(-sy, cy * sx, cy * cx),
    ]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def zyx_from_matrix(rotation: Float[Tensor, "... 3 3"]) -> Float[Tensor, "... 3"]:
    """Angles (z, y, x) in radians with y in [-pi/2, pi/2]; inverse of `matrix_from_zyx` away from |y| = pi/2."""
    y = -torch.asin(rotation[..., 2, 0].clamp(-1, 1))
    z = torch.atan2(rotation[..., 1, 0], rotation[..., 0, 0])
    x = torch.atan2(rotation[..., 2, 1], rotation[..., 2, 2])
    return torch.stack((z, y, x), dim=-1)


def angle_between_rad(a: Float[Tensor, "... 3 3"], b: Float[Tensor, "... 3 3"]) -> Float[Tensor, "..."]:
    """Geodesic angle between two rotations, accurate near zero."""
    chord = (a - b).flatten(-2).norm(dim=-1) / (2 * 2**0.5)
    return 2 * torch.asin(chord.clamp(max=1))
