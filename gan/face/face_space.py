"""The 3DMM in the generator's face frame: what the deformation losses compare with (Eqs. 7, 9, 10).

Neutral-pose space is the body in its *canonical* pose, whose head is nodded by 0.155 rad. `face_from_3dmm` (3 x 4, face
units from decimetres) therefore depends on the body and the face model:

    nominal_face_from_3dmm     assumed, for want of a published one: the same origin and axes, 1 face unit = 11.7747 dm
    fitted_face_from_3dmm      least squares over corresponding points; with shared vertices it is exact

The stand-ins share vertices, and the fitted one is what training takes: from the nominal one it differs by the nod, and
by 5 mm of origin. SMPL and BFM keep the nominal origin; how their axes lie is measured by points of both heads, as the
labels have it (`dataprep.fits.canonical_head`). That they lie alike is not known: it would take both files to see.

Suffixes: B batch, N points, V vertices, L landmarks, K code values.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dataprep.fits.canonical_head import canonical_from_3dmm
from dataprep.fits.head_tie import head_offset_between
from dataprep.frames.geometry import BODY_UNIT_M, FACE_UNIT_BODY
from dataprep.models.body import smpl
from dataprep.models.face.bfm import FaceModel
from gan.rendering.body_arrays import BodyArrays, body_arrays
from gan.rendering.nearest_vertices import nearest_vertex
from gan.rendering.posed_body import PosableBody

DM_IN_FACE_UNIT = 10 * BODY_UNIT_M * FACE_UNIT_BODY  # 11.7747
MM_IN_FACE_UNIT = 100 * DM_IN_FACE_UNIT
INNER_LIPS = 62, 66  # of iBUG's 68 landmarks: the middle of the upper and of the lower lip


def nominal_face_from_3dmm() -> Float[np.ndarray, "3 4"]:
    """Take the 3DMM's origin and axes for those of the face frame [assumed: the paper does not say]."""
    return np.hstack([np.eye(3) / DM_IN_FACE_UNIT, np.zeros((3, 1))])


def fitted_face_from_3dmm(
    points_face: Float[np.ndarray, "n 3"], points_3dmm_dm: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "3 4"]:
    """Return the rotation and shift that bring 3DMM points onto points of the face frame, at the nominal scale.

    The scale is not fitted: both models are in metres, and heads of other sizes are what z_id and betas are for.
    """
    source = points_3dmm_dm.astype(np.float64) / DM_IN_FACE_UNIT
    target = points_face.astype(np.float64)
    u, _, vt = np.linalg.svd((target - target.mean(0)).T @ (source - source.mean(0)))
    rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    return np.column_stack([rotation / DM_IN_FACE_UNIT, target.mean(0) - rotation @ source.mean(0)])


def shared_vertices_face_from_3dmm(face: FaceModel, body: BodyArrays) -> Float[np.ndarray, "3 4"]:
    """Fit over the vertices that a stand-in face shares with its body, posed canonically with mean shape."""
    if face.body_vertex is None:
        raise ValueError(f"face model {face.name} shares no vertices with a body; fit corresponding points instead")
    with torch.no_grad():
        canonical = PosableBody(body, face.body_vertex)(torch.zeros(1, 10), torch.zeros(1, 6, 3)).vertices_BV3[0]
    return fitted_face_from_3dmm(canonical.double().numpy(), face.mean)


def face_from_3dmm(face: FaceModel, body: smpl.BodyModel) -> Float[np.ndarray, "3 4"]:
    """From shared vertices where the face was cut from this body, else the nominal place, turned as both heads say."""
    if face.body_vertex is not None and face.meta.get("body_sha256") == body.sha256:
        return shared_vertices_face_from_3dmm(face, body_arrays(body))
    turn: Float[np.ndarray, "3 3"] = canonical_from_3dmm(head_offset_between(face, body))
    return turn @ nominal_face_from_3dmm()


class FaceSpace(nn.Module):
    """S = mean + B_id z_id + B_exp z_exp (Eq. 7) in face units, with its landmarks and displacements.

    canonical_mouth_mm: by how much the lips of the canonical face are further apart than at rest. The paper's canonical
    face is at rest. Between closed lips there is no room for what an open mouth shows, so the lips are drawn there.
    """

    mean_V3: Tensor
    id_V3K: Tensor
    exp_V3K: Tensor
    landmarks_L: Tensor
    canonical_K: Tensor

    def __init__(
        self, face: FaceModel, face_from_3dmm: Float[np.ndarray, "3 4"], canonical_mouth_mm: float = 0.0
    ) -> None:
        super().__init__()
        linear, shift = face_from_3dmm[:, :3], face_from_3dmm[:, 3]
        arrays = {
            "mean_V3": face.mean @ linear.T + shift,
            "id_V3K": np.einsum("rc,vck->vrk", linear, face.id_base),
            "exp_V3K": np.einsum("rc,vck->vrk", linear, face.exp_base),
        }
        for name, values in arrays.items():
            self.register_buffer(name, torch.as_tensor(np.asarray(values, np.float32)), persistent=False)
        self.register_buffer("landmarks_L", torch.as_tensor(np.asarray(face.landmarks, np.int64)), persistent=False)
        self.register_buffer("canonical_K", self._open_mouth(canonical_mouth_mm), persistent=False)

    def vertices(self, z_id_BK: Float[Tensor, "b 80"], z_exp_BK: Float[Tensor, "b 64"]) -> Float[Tensor, "b v 3"]:
        """Return the face of every pair of codes."""
        return self.mean_V3 + _directions(self.id_V3K, z_id_BK) + _directions(self.exp_V3K, z_exp_BK)

    def landmarks(self, z_id_BK: Float[Tensor, "b 80"], z_exp_BK: Float[Tensor, "b 64"]) -> Float[Tensor, "b 68 3"]:
        """Return the 68 iBUG landmarks on that face."""
        rows = self.landmarks_L
        return self.mean_V3[rows] + _directions(self.id_V3K[rows], z_id_BK) + _directions(self.exp_V3K[rows], z_exp_BK)

    @torch.no_grad()
    def reference_displacement(
        self, points_BN3: Float[Tensor, "b n 3"], z_id_BK: Float[Tensor, "b 80"], z_exp_BK: Float[Tensor, "b 64"]
    ) -> Float[Tensor, "b n 3"]:
        """Return dx_ref = -(B_exp z_exp) at the nearest vertex of the expressive face (Eq. 10), in face units.

        Where the canonical face is not at rest, its own expression is added.
        """
        expressive_BV3 = self.vertices(z_id_BK, z_exp_BK)
        back_BV3 = _directions(self.exp_V3K, self.canonical_K - z_exp_BK)
        nearest: list[Int[Tensor, " n"]] = [
            nearest_vertex(points, face) for points, face in zip(points_BN3, expressive_BV3, strict=True)
        ]
        return torch.stack([back[rows] for back, rows in zip(back_BV3, nearest, strict=True)])

    def _open_mouth(self, mouth_mm: float) -> Float[Tensor, " 64"]:
        """Return the likeliest expression whose lips are so much further apart: of normal codes, the shortest."""
        upper_3K, lower_3K = (self.exp_V3K[self.landmarks_L[landmark]] for landmark in INNER_LIPS)
        apart_K = upper_3K[1] - lower_3K[1]
        return apart_K * (mouth_mm / MM_IN_FACE_UNIT / apart_K.square().sum().clamp(min=1e-12))


def _directions(base_V3K: Tensor, code_BK: Tensor) -> Tensor:
    return torch.einsum("vck,bk->bvc", base_V3K, code_BK)
