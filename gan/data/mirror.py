"""Left and right exchanged, in pictures and in labels.

Every frame here has x to one side of the person and y, z in the mirror plane, so mirroring is M = diag(-1, 1, 1) in
each: a rotation becomes M R M (Euler z and y change sign, x stays), a camera direction (x, y, z) becomes (-x, y, z)
(yaw becomes pi - yaw, pitch stays), and left joints trade places with right ones.

Coefficients of a linear shape model have no mirror image in general: the mirrored shape must lie in the model's span.
Whether it does is measured on the model: its mirrored mean and directions are fitted by the model itself, and what the
fit leaves over, as a part of the directions' size, must stay below `RESIDUAL_MAX`. In the stand-ins identity
directions are symmetric or antisymmetric (nothing left over), expression leaves 1.1 % and body shape 0.2 %. A model
that fails keeps its coefficients as they are: the picture is mirrored, the code is that of the unmirrored person.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from dataprep.frames.geometry import PORTRAIT_PX
from dataprep.frames.landmarks68 import MIRROR68
from dataprep.tables.labels import Mirrored, PriorGroup, drawn, trained
from gan.data.label_rows import Labels

RESIDUAL_MAX = 0.05  # assumed: the most of a mirrored shape that may be lost, else there is no mirror image
MIRRORED_JOINTS = (0, 2, 1, 3, 5, 4)  # of 12 neck, 13 left collar, 14 right collar, 15 head, 16 and 17 shoulders
_EULER_SIGNS = np.array([-1, -1, 1], np.float32)  # z, y, x


@dataclass(frozen=True, eq=False)
class CoefficientMirror:
    """mirrored = matrix @ coefficients + offset; `residual` is the part of the mirrored shape that is lost."""

    matrix: Float[np.ndarray, "k k"]
    offset: Float[np.ndarray, " k"]
    residual: float

    @property
    def exact_enough(self) -> bool:
        return self.residual <= RESIDUAL_MAX

    def __call__(self, coefficients: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
        return (coefficients @ self.matrix.T + self.offset).astype(coefficients.dtype)


def coefficient_mirror(mean: Float[np.ndarray, "v 3"], base: Float[np.ndarray, "v 3 k"]) -> CoefficientMirror:
    """Fit the mirror images of a shape model (x across the person) by the model; partners are nearest vertices."""
    mean, base = mean.astype(np.float64), base.astype(np.float64)
    sign = np.array([-1.0, 1.0, 1.0])
    partner = cKDTree(mean).query(mean * sign)[1]
    directions = base.reshape(-1, base.shape[2])
    mirrored = (base[partner] * sign[:, None]).reshape(directions.shape)
    shift = (mean[partner] * sign - mean).reshape(-1, 1)
    wanted = np.hstack([mirrored, shift])
    fitted = np.linalg.lstsq(directions, wanted, rcond=None)[0]
    lost = np.linalg.norm(directions @ fitted - wanted) / np.linalg.norm(directions)
    return CoefficientMirror(fitted[:, :-1], fitted[:, -1], float(lost))


@dataclass(frozen=True, eq=False)
class Mirror:
    """How each kind of coefficients is mirrored; None where the model has no mirror image of its own shapes."""

    bfm_id: CoefficientMirror | None
    bfm_exp: CoefficientMirror | None
    smpl_betas: CoefficientMirror | None

    @property
    def has_identity(self) -> bool:
        """Whether identity and body shape, which come from one row, can both be mirrored."""
        return self.has(PriorGroup.IDENTITY)

    def has(self, group: PriorGroup) -> bool:
        """Whether every label of a group can be mirrored; if not, its rows have no mirror image."""
        return all(self.rule(label.mirrored) is not None for label in drawn(group))

    def rule(self, kind: Mirrored | None) -> Callable[[np.ndarray], np.ndarray] | None:
        """Return what mirrors the labels of a kind; None: they have no mirror image and stay as they are."""
        return {
            Mirrored.UNCHANGED: np.array,
            Mirrored.OPPOSITE: np.negative,
            Mirrored.PITCH_YAW: mirror_camera,
            Mirrored.JOINTS_ZYX: mirror_joints,
            Mirrored.LANDMARKS68: mirror_landmarks,
            Mirrored.FACE_IDENTITY: self.bfm_id,
            Mirrored.FACE_EXPRESSION: self.bfm_exp,
            Mirrored.BODY_SHAPE: self.smpl_betas,
            None: None,
        }[kind]

    def labels(self, labels: Labels) -> Labels:
        """Return the labels of the mirrored pictures; coefficients without a mirror stay as they are."""
        changed = {
            label.name: rule(getattr(labels, label.name))
            for label in trained()
            if (rule := self.rule(label.mirrored)) is not None
        }
        return Labels(**{**labels.arrays(), **changed})


def mirror_of_models(
    face_mean: Float[np.ndarray, "v 3"],
    id_base: Float[np.ndarray, "v 3 80"],
    exp_base: Float[np.ndarray, "v 3 64"],
    body_mean: Float[np.ndarray, "w 3"],
    shapedirs: Float[np.ndarray, "w 3 10"],
) -> Mirror:
    """Measure which coefficients of a face and a body model can be mirrored."""
    fitted = (
        coefficient_mirror(face_mean, id_base),
        coefficient_mirror(face_mean, exp_base),
        coefficient_mirror(body_mean, shapedirs),
    )
    return Mirror(*(mirror if mirror.exact_enough else None for mirror in fitted))


def mirror_camera(pitch_yaw_rad: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Yaw becomes pi - yaw, in (-pi, pi]; a frontal camera (both pi/2) stays."""
    pitch, yaw = pitch_yaw_rad.T
    mirrored = np.pi - np.mod(yaw, 2 * np.pi)
    return np.stack([pitch, mirrored], axis=1).astype(pitch_yaw_rad.dtype)


def mirror_joints(joints_zyx_rad: Float[np.ndarray, "n 6 3"]) -> Float[np.ndarray, "n 6 3"]:
    """Trade left for right (13 and 14, 16 and 17), and turn M R M; the canonical pose is its own mirror image."""
    return joints_zyx_rad[:, MIRRORED_JOINTS] * _EULER_SIGNS


def mirror_landmarks(landmarks_px: Float[np.ndarray, "n 68 2"]) -> Float[np.ndarray, "n 68 2"]:
    """Each point trades places with its partner of the face's other side; portrait pixels."""
    return landmarks_px[:, MIRROR68] * np.array([-1, 1], np.float32) + np.array([PORTRAIT_PX, 0], np.float32)


def mirror_image(image: np.ndarray) -> np.ndarray:
    """Flip the columns of an image (H, W, ...)."""
    return np.ascontiguousarray(image[:, ::-1])
