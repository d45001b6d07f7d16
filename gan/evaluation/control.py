"""Does a generator do what its codes command? What was commanded, what a picture shows, and how far they are apart.

Suffixes: N pictures, K code values, L landmarks, digits literal sizes.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from dataprep.frames.geometry import BODY_UNIT_M, FACE_UNIT_BODY
from gan.data.priors import Codes
from gan.face.face_space import FaceSpace
from gan.rendering.cameras import ViewCamera, camera_origin, project, world_from_camera
from gan.rendering.posed_body import PosableBody

MIN_READ = 10  # faces: means of fewer say more about the few than about the generator
MM_IN_FACE_UNIT = 1000 * BODY_UNIT_M * FACE_UNIT_BODY
UNITS = {
    "expression_std": "deviations: root mean square over the 64 expression coefficients",
    "expression_mm": "mm: mean over 68 landmarks, expression alone",
    "landmarks_mm": "mm: mean over 68 landmarks of S(z_id, z_exp), as in Eq. 9",
    "head_deg": "degrees between head rotations in the portrait",
    "shoulders_pct": "% of the portrait's side, mean of both shoulders",
}


class Control(NamedTuple):
    """What is commanded, or shown. Rotations: portrait camera (x right, y up, z to the camera) from 3DMM axes.

    Shoulders: the subject's left and right as fractions of the portrait's side, x rightwards, y downwards. Not a number
    where a picture shows nothing that can be read.
    """

    z_id_NK: np.ndarray
    z_exp_NK: np.ndarray
    head_N33: np.ndarray
    shoulders_N22: np.ndarray

    def take(self, rows: np.ndarray) -> "Control":
        return Control(*(values[rows] for values in self))

    @property
    def read_N(self) -> Bool[np.ndarray, " n"]:
        """Where the face was read."""
        return np.isfinite(self.z_exp_NK).all(1) & np.isfinite(self.head_N33).all((1, 2))


@torch.no_grad()
def commanded(
    codes: Codes,
    body: PosableBody,
    camera: ViewCamera,
    face_from_3dmm_33: Float[np.ndarray, "3 3"],
    shoulders_2V: Float[np.ndarray, "2 v"],
) -> Control:
    """Return what codes ask of the portrait: the generator's own geometry, without its networks.

    `face_from_3dmm_33` is the rotation part of `face_space`'s transform; `shoulders_2V` weights the vertices of
    `body` for the two key points.
    """
    posed = body(codes.betas_BK, codes.pose_BP3)
    head_B34 = posed.posed_from_canonical_head_B34
    world_B33 = world_from_camera(camera_origin(codes.camera_B2, camera.radius))
    turned_B33 = world_B33.mT @ head_B34[..., :3] @ torch.from_numpy(face_from_3dmm_33).to(head_B34)
    centre_B13 = head_B34[:, None, :, 3]  # where the face frame's origin goes
    head_B33 = _as_cropped(turned_B33, project(centre_B13, codes.camera_B2, camera)[0][:, 0], camera)
    points_B23 = torch.from_numpy(shoulders_2V).to(posed.vertices_BV3) @ posed.vertices_BV3
    at_B22 = project(points_B23, codes.camera_B2, camera)[0] / 2 + 0.5
    every = codes.z_id_BK, codes.z_exp_BK, head_B33, at_B22
    return Control(*(values.double().cpu().numpy() for values in every))


def _as_cropped(head_B33: torch.Tensor, centre_B2: torch.Tensor, camera: ViewCamera) -> torch.Tensor:
    """Turn the camera's axis to the head by the smallest rotation: a fit sees the head as if it stood in the middle."""
    reach = float(np.tan(camera.fov_rad / 2))
    ray_B3 = torch.cat([centre_B2 * centre_B2.new_tensor([reach, -reach]), -torch.ones_like(centre_B2[:, :1])], 1)
    z_B3 = -torch.nn.functional.normalize(ray_B3, dim=1)  # from the head to the camera
    towards = z_B3.new_tensor([0.0, 0.0, 1.0]).expand_as(z_B3)
    x, y, z = torch.linalg.cross(z_B3, towards).unbind(1)
    zero = torch.zeros_like(x)
    cross_B33 = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).unflatten(1, (3, 3))
    turn_B33 = torch.eye(3).to(z_B3) + cross_B33 + cross_B33 @ cross_B33 / (1 + z_B3[:, 2, None, None])
    return turn_B33 @ head_B33


def control_errors(command: Control, shown: Control, space: FaceSpace) -> dict[str, Float[np.ndarray, " n"]]:
    """Return every picture's errors by the names of `UNITS`; not a number where nothing was read."""
    difference_NK = shown.z_exp_NK - command.z_exp_NK
    neutral = np.zeros_like(command.z_id_NK)
    faces = [
        landmarks_mm(space, z_id, z_exp)
        for z_id, z_exp in (
            (command.z_id_NK, command.z_exp_NK),
            (shown.z_id_NK, shown.z_exp_NK),
            (neutral, command.z_exp_NK),
            (neutral, shown.z_exp_NK),
        )
    ]
    return {
        "expression_std": np.sqrt((difference_NK**2).mean(1)),
        "expression_mm": _mean_distance(faces[2], faces[3]),
        "landmarks_mm": _mean_distance(faces[0], faces[1]),
        "head_deg": angle_deg(command.head_N33, shown.head_N33),
        "shoulders_pct": 100 * _mean_distance(command.shoulders_N22, shown.shoulders_N22),
    }


class ControlError(NamedTuple):
    """Mean of one error beside what it would be at chance (the same pictures, other commands) and at the least.

    Mean, median and chance are of the `read` pictures alone, and not a number where these are fewer than MIN_READ.
    `floor`: the reader against itself, real pictures moved a little. `known`: the reader on renders with known truth.
    """

    mean: float
    median: float
    chance: float
    floor: float | None
    known: float | None
    read: int
    of: int

    @property
    def obeyed(self) -> float | None:
        """Return 1 where only the estimator's own error is left, 0 at chance; None where the two do not differ.

        A picture that nothing was read off counts as 0: who cannot be read has not obeyed.
        """
        least = max(self.floor or 0.0, self.known or 0.0)
        if not self.chance > least:
            return None
        of_read = (self.chance - self.mean) / (self.chance - least)
        return min(of_read, of_read * self.read / self.of)  # worse than chance stays as bad as it is


def control_accuracy(
    command: Control,
    shown: Control,
    space: FaceSpace,
    floors: dict[str, float] | None = None,
    known: dict[str, float] | None = None,
) -> dict[str, ControlError]:
    """Summarise `control_errors`. Chance: commands shifted by some pictures."""
    errors = control_errors(command, shown, space)
    count = len(command.z_id_NK)
    shifts = sorted({shift for shift in (1, count // 3, count // 2) if 0 < shift < count})
    others = [control_errors(command.take(np.roll(np.arange(count), s)), shown, space) for s in shifts]
    out = {}
    for name, values in errors.items():
        read = np.isfinite(values)
        enough = read.sum() >= MIN_READ
        chance = [float(other[name][read].mean()) for other in others if enough]
        out[name] = ControlError(
            float(values[read].mean()) if enough else float("nan"),
            float(np.median(values[read])) if enough else float("nan"),
            float(np.mean(chance)) if chance else float("nan"),
            (floors or {}).get(name),
            (known or {}).get(name),
            int(read.sum()),
            count,
        )
    return out


def landmarks_mm(
    space: FaceSpace, z_id_NK: Float[np.ndarray, "n 80"], z_exp_NK: Float[np.ndarray, "n 64"]
) -> Float[np.ndarray, "n 68 3"]:
    """Return the 68 landmarks of S(z_id, z_exp) in millimetres."""
    like = space.mean_V3
    codes = (torch.from_numpy(np.asarray(values, np.float32)).to(like) for values in (z_id_NK, z_exp_NK))
    return MM_IN_FACE_UNIT * space.landmarks(*codes).double().cpu().numpy()


def angle_deg(a_N33: Float[np.ndarray, "n 3 3"], b_N33: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, " n"]:
    """Return the angle of the rotation from one to the other."""
    skew = a_N33.swapaxes(1, 2) @ b_N33
    sine = np.linalg.norm(
        np.stack([skew[:, 2, 1] - skew[:, 1, 2], skew[:, 0, 2] - skew[:, 2, 0], skew[:, 1, 0] - skew[:, 0, 1]], 1),
        axis=1,
    )
    return np.degrees(np.arctan2(sine, np.trace(skew, axis1=1, axis2=2) - 1))


def _mean_distance(a_NLD: np.ndarray, b_NLD: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a_NLD - b_NLD, axis=-1).mean(-1)
