"""From a body, a head and an expression of a frame to what the generator takes: the manifest's own columns.

The head tie, the six joints and the camera are those of the stage `camera`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dataprep.fits.generator_labels import canonical_rotation, global_rotation, joints_zyx, pitch_yaw
from dataprep.fits.head_tie import tie_head
from dataprep.frames.smpl_joints import CHEST, HEAD, LEFT_SHOULDER, RIGHT_SHOULDER

_FACING = np.diag([1.0, -1.0, -1.0])  # cam axes of somebody who stands upright and faces the camera


@dataclass(frozen=True, eq=False)
class Tie:
    """What the head tie needs to know of the models: their heads' difference, and what key points leave open."""

    head_offset: Float[np.ndarray, "3 3"]
    covariance: Float[np.ndarray, "6 6"]
    sigma_rad: float  # infinite: no tie


def labels(
    rotations: Float[np.ndarray, "24 3 3"], face_in_cam: Float[np.ndarray, "3 3"], tie: Tie
) -> tuple[Float[np.ndarray, "6 3"], Float[np.ndarray, "2"], Float[np.ndarray, "3 3"]]:
    """`joints_zyx`, `camera_pitch_yaw`, and the tied head's rotation in cam axes.

    `rotations`: local SMPL rotations, entry 0 in cam axes. `face_in_cam`: the 3DMM's axes in cam axes.
    """
    tied = tie_head(rotations, face_in_cam @ tie.head_offset, tie.covariance, tie.sigma_rad).rotations
    chest = global_rotation(tied, CHEST)
    return joints_zyx(tied), pitch_yaw(chest), global_rotation(tied, HEAD)


def unseen_body() -> Float[np.ndarray, "24 3 3"]:
    """Who shows only the face is taken to stand upright, facing the camera, arms down."""
    local = np.tile(np.eye(3), (24, 1, 1))
    local[0] = _FACING
    for joint in (HEAD, LEFT_SHOULDER, RIGHT_SHOULDER):
        local[joint] = canonical_rotation(joint)
    return local
