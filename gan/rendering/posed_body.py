"""The body inside the generator: SMPL posed twice, once for where vertices are, once for how space moves with them.

Needs arrays only (full SMPL or a stand-in of its format); file formats are read elsewhere.
Suffixes: B batch, J joints (24), V vertices, P posed joints (6), digits literal sizes.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dataprep.frames.geometry import BODY_UNIT_M, FACE_ORIGIN_BODY, FACE_UNIT_BODY
from dataprep.frames.rotations import matrix_from_zyx
from dataprep.frames.smpl_joints import CANONICAL_ZYX, HEAD, NECK, POSED_JOINTS
from gan.networks.device_work import constant
from gan.rendering.body_arrays import BETAS, JOINTS, BodyArrays


class PosedBody(NamedTuple):
    """One pose in the face frame: vertices, their inverse blended transforms, the head's forward transform."""

    vertices_BV3: Tensor
    canonical_from_posed_BV34: Tensor
    posed_from_canonical_head_B34: Tensor


class PosableBody(nn.Module):
    """Poses the vertices used for nearest-neighbour search; its arrays never enter a state dict.

    heads_in_place: undoing the pose brings heads of all shapes to where the mean body has its own. Body shape moves a
    head against the neck's joint, about which everything turns, by 10 mm in the median of rendered people; the 3DMM's
    face stays. So D_e moved lips where there were none.
    """

    joints_J3: Tensor
    joint_dirs_J3K: Tensor
    template_V3: Tensor
    shapedirs_V3K: Tensor
    posedirs_V3F: Tensor
    weights_VJ: Tensor
    head_dirs_3K: Tensor

    def __init__(self, arrays: BodyArrays, subset: np.ndarray, heads_in_place: bool = False) -> None:
        super().__init__()
        self.parents = [int(p) for p in arrays.parents]
        regressor = np.asarray(arrays.J_regressor, np.float64)
        shapedirs = np.asarray(arrays.shapedirs[:, :, :BETAS], np.float64)
        chosen: dict[str, np.ndarray] = {
            "joints_J3": regressor @ arrays.v_template,
            "joint_dirs_J3K": np.einsum("jv,vck->jck", regressor, shapedirs),
            "template_V3": arrays.v_template[subset],
            "shapedirs_V3K": shapedirs[subset],
            "weights_VJ": arrays.weights[subset],
        }
        if arrays.posedirs is not None:
            chosen["posedirs_V3F"] = arrays.posedirs[subset]
        if heads_in_place:
            chosen["head_dirs_3K"] = head_directions(arrays)
        for name, value in chosen.items():
            self.register_buffer(name, torch.as_tensor(np.asarray(value, np.float32)), persistent=False)
        self.has_pose_blend_shapes, self.heads_in_place = arrays.posedirs is not None, heads_in_place

    def forward(self, betas_BK: Float[Tensor, "b 10"], pose_BP3: Float[Tensor, "b 6 3"]) -> PosedBody:
        """Pose with ZYX Euler angles (radians) of joints 12..17 relative to the canonical pose."""
        shaped_BV3 = self.template_V3 + torch.einsum("vck,bk->bvc", self.shapedirs_V3K, betas_BK)
        joints_BJ3 = self.joints_J3 + torch.einsum("jck,bk->bjc", self.joint_dirs_J3K, betas_BK)
        canonical_J33 = canonical_rotations(betas_BK)
        relative_BJ33 = pose_rotations(pose_BP3)
        full_BJ33 = relative_BJ33 @ canonical_J33

        if self.has_pose_blend_shapes:
            feature_BF = (full_BJ33[:, 1:] - torch.eye(3).to(full_BJ33)).flatten(1)
            shaped_BV3 = shaped_BV3 + torch.einsum("vcf,bf->bvc", self.posedirs_V3F, feature_BF)
        posed_joints_BJ3, transforms_BJ34 = forward_kinematics(full_BJ33, joints_BJ3, self.parents)
        blend_BV34 = torch.einsum("vj,bjrc->bvrc", self.weights_VJ, transforms_BJ34)
        posed_BV3 = apply_affine(blend_BV34, shaped_BV3)

        # Space moves by the rotations *relative* to the canonical pose, about the canonical joints.
        still_BJ3, _ = forward_kinematics(canonical_J33.expand_as(full_BJ33), joints_BJ3, self.parents)
        _, moves_BJ34 = forward_kinematics(relative_BJ33, face_from_metres(still_BJ3, still_BJ3[:, NECK]), self.parents)
        return PosedBody(
            face_from_metres(posed_BV3, posed_joints_BJ3[:, NECK]),
            invert_affine(torch.einsum("vj,bjrc->bvrc", self.weights_VJ, self._from_mean_shape(moves_BJ34, betas_BK))),
            moves_BJ34[:, HEAD],
        )

    def _from_mean_shape(
        self, moves_BJ34: Float[Tensor, "b j 3 4"], betas_BK: Float[Tensor, "b 10"]
    ) -> Float[Tensor, "b j 3 4"]:
        """Let the head's motion begin where the mean body has its head, if `heads_in_place`."""
        if not self.heads_in_place:
            return moves_BJ34
        head_B34 = moves_BJ34[:, HEAD]
        shifted_B3 = apply_affine(head_B34, betas_BK @ self.head_dirs_3K.mT)
        head_B34 = torch.cat([head_B34[..., :3], shifted_B3[..., None]], -1)
        return torch.cat([moves_BJ34[:, :HEAD], head_B34[:, None], moves_BJ34[:, HEAD + 1 :]], 1)


def head_directions(arrays: BodyArrays) -> Float[np.ndarray, "3 10"]:
    """Return how far each body shape moves the canonical head, the mean of its vertices by weight; face units."""
    head_V = np.flatnonzero(arrays.weights[:, HEAD] > 0)
    weights_V = torch.from_numpy(arrays.weights[head_V, HEAD]).double()
    body = PosableBody(arrays, head_V).double()
    shapes_BK = torch.cat([torch.zeros(1, BETAS), torch.eye(BETAS)]).double()
    with torch.no_grad():
        vertices_BV3 = body(shapes_BK, shapes_BK.new_zeros(len(shapes_BK), len(POSED_JOINTS), 3)).vertices_BV3
    middle_B3 = torch.einsum("v,bvc->bc", weights_V / weights_V.sum(), vertices_BV3)
    return (middle_B3[1:] - middle_B3[0]).T.numpy()


def canonical_rotations(like: Tensor) -> Float[Tensor, "24 3 3"]:
    """Return the 24 local rotations of the canonical ("mean") pose."""
    angles_J3 = tuple(tuple(CANONICAL_ZYX.get(joint, (0.0, 0.0, 0.0))) for joint in range(JOINTS))
    return matrix_from_zyx(constant(angles_J3, like))


def pose_rotations(pose_BP3: Float[Tensor, "b 6 3"]) -> Float[Tensor, "b 24 3 3"]:
    """Return local rotations relative to the canonical pose: the six given joints, identity elsewhere."""
    before = pose_BP3.new_zeros(len(pose_BP3), POSED_JOINTS[0], 3)
    after = pose_BP3.new_zeros(len(pose_BP3), JOINTS - POSED_JOINTS[-1] - 1, 3)
    return matrix_from_zyx(torch.cat([before, pose_BP3, after], 1))


def forward_kinematics(
    rotations_BJ33: Float[Tensor, "b j 3 3"], joints_BJ3: Float[Tensor, "b j 3"], parents: list[int]
) -> tuple[Float[Tensor, "b j 3"], Float[Tensor, "b j 3 4"]]:
    """Return posed joints and the transforms that carry rest points with each joint ("rel_transforms" of SMPL)."""
    rotations, positions = [rotations_BJ33[:, 0]], [joints_BJ3[:, 0]]
    for joint in range(1, len(parents)):
        parent = parents[joint]
        offset = (joints_BJ3[:, joint] - joints_BJ3[:, parent])[..., None]
        positions.append((rotations[parent] @ offset)[..., 0] + positions[parent])
        rotations.append(rotations[parent] @ rotations_BJ33[:, joint])
    world_BJ33, posed_BJ3 = torch.stack(rotations, 1), torch.stack(positions, 1)
    shift_BJ3 = posed_BJ3 - (world_BJ33 @ joints_BJ3[..., None])[..., 0]
    return posed_BJ3, torch.cat([world_BJ33, shift_BJ3[..., None]], -1)


def face_from_metres(points_BN3: Float[Tensor, "b n 3"], neck_B3: Float[Tensor, "b 3"]) -> Float[Tensor, "b n 3"]:
    """Metres -> body frame (posed neck at 0) -> face frame."""
    body_BN3 = (points_BN3 - neck_B3[:, None]) / BODY_UNIT_M
    return (body_BN3 - constant(tuple(FACE_ORIGIN_BODY), body_BN3)) / FACE_UNIT_BODY


def apply_affine(matrix_34: Float[Tensor, "*n 3 4"], points_3: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """Return A p + t for matching batches of 3 x 4 matrices and points."""
    return (matrix_34[..., :3] * points_3[..., None, :]).sum(-1) + matrix_34[..., 3]


def invert_affine(matrix_34: Float[Tensor, "*n 3 4"]) -> Float[Tensor, "*n 3 4"]:
    """Return the inverse as 3 x 4; blends of rotations are no rotations, so the 3 x 3 is inverted in full."""
    inverse_33, _ = torch.linalg.inv_ex(matrix_34[..., :3])  # `inv` waits for the device to say that it could
    return torch.cat([inverse_33, -inverse_33 @ matrix_34[..., 3:]], -1)
