"""Key points and joints of a posed body without its mesh: exact, and cheap enough for the inside of a fit.

A key point is a fixed weighting of skinned vertices, and skinning is linear in each joint's transform, so the sum
over vertices can be taken once: K_k = sum_j [G_j p_kj(beta, pose) + m_kj (T_j - G_j J_j)].
Shape suffixes: B batch, K key points, J 24 joints.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dataprep.frames.smpl_joints import PARENTS
from dataprep.models.body.smpl import BodyModel


class PosedPoints(NamedTuple):
    """A posed body in the frame of `rotations[:, 0]`, metres, root joint where the shaped template has it."""

    joints: Float[Tensor, "b 24 3"]
    rotations: Float[Tensor, "b 24 3 3"]  # global, frame_from_joint
    points: Float[Tensor, "b k 3"]


@dataclass(frozen=True, eq=False)
class BodyPoints:
    """Tables that turn (rotations, betas) into joints and key points; built by `body_points`."""

    names: tuple[str, ...]
    joints_J3: Tensor  # (24, 3) rest joints of the mean shape
    joint_dirs: Tensor  # (24, 3, 10)
    mass_KJ: Tensor  # (K, 24) sum over vertices of key-point weight x skinning weight
    moment_KJ3: Tensor  # (K, 24, 3) the same, weighted by the template
    moment_dirs: Tensor  # (K, 24, 3, 10)
    moment_pose: Tensor | None  # (K, 24, 3, 207)

    def with_offsets(self, offsets_m: np.ndarray) -> BodyPoints:
        """Key points moved by (K, 3) metres in the T pose; each travels with the joints that carry its point."""
        shift = torch.as_tensor(offsets_m, dtype=self.mass_KJ.dtype)
        moment = self.moment_KJ3 + self.mass_KJ[..., None] * shift[:, None]
        return BodyPoints(
            self.names, self.joints_J3, self.joint_dirs, self.mass_KJ, moment, self.moment_dirs, self.moment_pose
        )

    def mixed(self, names: tuple[str, ...], shares: np.ndarray) -> BodyPoints:
        """Key points `names` that are weighted sums of these ones; `shares` (N, K), each row's sum 1."""
        rows = torch.as_tensor(shares, dtype=self.mass_KJ.dtype)
        mass, moment, dirs = (torch.tensordot(rows, table, 1) for table in self._tables())
        pose = None if self.moment_pose is None else torch.tensordot(rows, self.moment_pose, 1)
        return BodyPoints(names, self.joints_J3, self.joint_dirs, mass, moment, dirs, pose)

    def beside(self, other: BodyPoints) -> BodyPoints:
        """The points of both, of one body model."""
        mass, moment, dirs = (torch.cat(pair) for pair in zip(self._tables(), other._tables(), strict=True))
        poses = [table for table in (self.moment_pose, other.moment_pose) if table is not None]
        pose = torch.cat(poses) if poses else None
        return BodyPoints((*self.names, *other.names), self.joints_J3, self.joint_dirs, mass, moment, dirs, pose)

    def _tables(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.mass_KJ, self.moment_KJ3, self.moment_dirs

    def rest_joints(self, betas: Float[Tensor, "b 10"]) -> Float[Tensor, "b 24 3"]:
        """Joints of the shaped body in T pose, metres."""
        return self.joints_J3 + (betas @ self.joint_dirs.flatten(0, 1).T).unflatten(1, self.joints_J3.shape)

    def joint_position(
        self, rotations: Float[Tensor, "b 24 3 3"], betas: Float[Tensor, "b 10"], joint: int
    ) -> Float[Tensor, "b 3"]:
        """Posed position of one joint, metres: walks only the chain that carries it, from its end."""
        chain = _chain_to(joint)
        bones = _bones(self.rest_joints(betas))
        position = bones[:, joint, :, None]
        for above in reversed(chain[:-1]):
            position = torch.baddbmm(bones[:, above, :, None], rotations[:, above], position)
        return position[..., 0]

    def __call__(self, rotations: Float[Tensor, "b 24 3 3"], betas: Float[Tensor, "b 10"]) -> PosedPoints:
        """Pose the body; `rotations` are local, the root's first."""
        rest = self.rest_joints(betas)
        global_rotations, joints = forward_kinematics(rotations, rest)
        offset = joints - (global_rotations * rest[..., None, :]).sum(-1)
        moment = self.moment_KJ3 + (betas @ self.moment_dirs.flatten(0, 2).T).unflatten(1, self.moment_KJ3.shape)
        if self.moment_pose is not None:
            eye = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
            feature = (rotations[:, 1:] - eye).flatten(1)
            moment = moment + torch.einsum("kjcp,bp->bkjc", self.moment_pose, feature)
        points = (global_rotations.transpose(1, 2).flatten(2) @ moment.flatten(2).mT).mT + self.mass_KJ @ offset
        return PosedPoints(joints, global_rotations, points)


def forward_kinematics(
    rotations: Float[Tensor, "b 24 3 3"], rest_joints: Float[Tensor, "b 24 3"]
) -> tuple[Float[Tensor, "b 24 3 3"], Float[Tensor, "b 24 3"]]:
    """Global rotations and posed joints, one batched product of 4 x 4 transforms per level of the tree.

    Few and large steps: inside a fit, with gradients, the number of tensor operations is what costs.
    """
    device = rotations.device
    last_row = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=rotations.dtype, device=device)
    upper = torch.cat((rotations, _bones(rest_joints)[..., None]), -1)
    parent_from_joint = torch.cat((upper, last_row.expand(len(rotations), len(PARENTS), 1, 4)), -2)
    levels = parent_from_joint.index_select(1, _BY_LEVEL.to(device)).split(_LEVEL_SIZES, 1)
    posed = [levels[0]]
    for level, above in zip(levels[1:], _PLACE_OF_PARENT, strict=True):
        posed.append(posed[-1].index_select(1, above.to(device)) @ level)
    frame_from_joint = torch.cat(posed, 1).index_select(1, _PLACE_BY_LEVEL.to(device))
    return frame_from_joint[..., :3, :3], frame_from_joint[..., :3, 3]


def _bones(rest_joints: Tensor) -> Tensor:
    """From each joint's parent to it (the root: from the origin), at rest."""
    parents = rest_joints.index_select(1, _PARENTS_BELOW_ROOT.to(rest_joints.device))
    return rest_joints - torch.nn.functional.pad(parents, (0, 0, 1, 0))


def body_points(model: BodyModel, names: tuple[str, ...]) -> BodyPoints:
    """Precompute the tables for key points `names` of `model`; AssetError when the model lacks one."""
    weights_KV = model.keypoint_rows(names).toarray()
    used = np.flatnonzero(weights_KV.any(0))
    spread_KVJ = weights_KV[:, used, None] * model.weights[used].astype(np.float64)
    pose = None
    if model.posedirs is not None:
        pose = _tensor(np.einsum("kvj,vcp->kjcp", spread_KVJ, model.posedirs[used], optimize=True))
    regressor = model.joint_regressor
    return BodyPoints(
        names=names,
        joints_J3=_tensor(regressor @ model.v_template.astype(np.float64)),
        joint_dirs=_tensor(
            (regressor @ model.shapedirs.reshape(len(model.v_template), -1).astype(np.float64)).reshape(24, 3, -1)
        ),
        mass_KJ=_tensor(spread_KVJ.sum(1)),
        moment_KJ3=_tensor(np.einsum("kvj,vc->kjc", spread_KVJ, model.v_template[used], optimize=True)),
        moment_dirs=_tensor(np.einsum("kvj,vcs->kjcs", spread_KVJ, model.shapedirs[used], optimize=True)),
        moment_pose=pose,
    )


def _tensor(array: np.ndarray) -> Tensor:
    return torch.as_tensor(array, dtype=torch.float32)


def _chain_to(joint: int) -> list[int]:
    """Joints from the root to `joint`."""
    chain = [joint]
    while PARENTS[chain[-1]] >= 0:
        chain.append(PARENTS[chain[-1]])
    return chain[::-1]


def _levels() -> list[list[int]]:
    depths = [len(_chain_to(joint)) for joint in range(len(PARENTS))]
    return [[j for j, d in enumerate(depths) if d == level] for level in range(1, max(depths) + 1)]


_LEVELS = _levels()  # the root, its children, theirs
_LEVEL_SIZES = [len(level) for level in _LEVELS]
_PARENTS_BELOW_ROOT = torch.tensor(PARENTS[1:])
_BY_LEVEL = torch.tensor([j for level in _LEVELS for j in level])
_PLACE_BY_LEVEL = _BY_LEVEL.argsort()
_PLACE_OF_PARENT = [
    torch.tensor([above.index(PARENTS[j]) for j in level]) for above, level in itertools.pairwise(_LEVELS)
]
