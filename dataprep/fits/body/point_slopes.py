"""How projected key points move with a body's parameters: exact derivatives, without a tape.

A rotation at joint j turns what hangs on it about the joint: K_k moves by w x (S_kj - M_kj T_j), where S and M sum the
contributions of j and of all joints below it (`body_points` has the sum over vertices). Shape acts linearly once the
rotations are given. Pose blend shapes are left out of the slopes; they are millimetres.
Shape suffixes: K key points, J 24 joints.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from dataprep.frames.rotations import skew
from dataprep.frames.smpl_joints import NECK, PARENTS
from dataprep.models.body.body_points import BodyPoints, PosedPoints

POSE, SHAPE = 72, 10


def _below() -> Tensor:
    """[j, i] = 1 where joint i is j or hangs on it."""
    below = torch.eye(len(PARENTS))
    for joint in range(len(PARENTS) - 1, 0, -1):
        below[PARENTS[joint]] += below[joint]
    return below


_BELOW_JJ = _below()


def point_slopes(
    body: BodyPoints, posed: PosedPoints, rotvecs: Float[Tensor, "24 3"], betas: Float[Tensor, "10"]
) -> Float[Tensor, "k 3 82"]:
    """Derivatives of key points about the neck joint of the one posed body, metres per radian and per unit of shape.

    The first 72 belong to rotation vectors v of a pose R_j = R0_j exp(v_j), at `rotvecs`.
    """
    joints, turns = posed.joints[0], posed.rotations[0]
    moment = body.moment_KJ3 + (body.moment_dirs.flatten(0, 2) @ betas).unflatten(0, body.moment_KJ3.shape)
    offset = joints - (turns @ body.rest_joints(betas[None])[0, :, :, None])[..., 0]
    carried = torch.einsum("jab,kjb->kja", turns, moment) + body.mass_KJ[..., None] * offset
    levers = torch.einsum("ji,kia->kja", _BELOW_JJ, carried) - (body.mass_KJ @ _BELOW_JJ.T)[..., None] * joints
    neck_lever = _BELOW_JJ[:, NECK, None] * (joints[NECK] - joints)  # the neck, too, hangs on the joints above it
    by_angle = (turns @ right_jacobian(rotvecs))[None]
    by_pose = -skew(levers - neck_lever) @ by_angle
    return torch.cat((by_pose.transpose(1, 2).flatten(2), _by_shape(body, posed)), -1)


def _by_shape(body: BodyPoints, posed: PosedPoints) -> Float[Tensor, "k 3 10"]:
    """Linear in the shape at fixed rotations: each unit of it poses its own directions."""
    turns = posed.rotations[0]
    bones = body.joint_dirs.clone()
    bones[1:] -= body.joint_dirs[list(PARENTS[1:])]
    parents = torch.eye(3).expand(1, 3, 3), turns[list(PARENTS[1:])]
    moved = torch.einsum("jab,jbs->jas", torch.cat(parents), bones)
    joints = torch.einsum("ji,jas->ias", _BELOW_JJ, moved)
    offset = joints - torch.einsum("jab,jbs->jas", turns, body.joint_dirs)
    points = torch.einsum("jab,kjbs->kas", turns, body.moment_dirs) + torch.einsum("kj,jas->kas", body.mass_KJ, offset)
    return points - joints[NECK]


def right_jacobian(rotvecs: Float[Tensor, "j 3"]) -> Float[Tensor, "j 3 3"]:
    """d log(exp(v)^-1 exp(v + dv)) / dv."""
    angle = rotvecs.norm(dim=-1).clamp_min(1e-4)[:, None, None]
    cross = skew(rotvecs)
    eye = torch.eye(3, dtype=rotvecs.dtype)
    return eye - (1 - torch.cos(angle)) / angle**2 * cross + (angle - torch.sin(angle)) / angle**3 * cross @ cross
