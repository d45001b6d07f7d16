"""How far a head is turned, by three witnesses beside the face model.

Nothing that reads landmarks reports a profile: the face mesh stops near 60 degrees, its far side then lies beside the
face, and a model fitted to it says 50 to 60. Ears go on where the mesh ends. On rendered heads the median of the three
is 50 to 57 degrees at a true 55, and 51 to 63 at 65; one witness alone is off by 130 degrees now and then (hair that
looks like a face from behind).
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

_RIGHT_EYE_CORNER, _LEFT_EYE_CORNER = 33, 263  # outer ones, of the mesh
_NOSE_AHEAD = 1.6  # of the axis through the ears, in halves of that axis


def head_turns(
    mesh478: Float[np.ndarray, "478 3"], keypoints33: Float[np.ndarray, "33 3"], face_points: Float[np.ndarray, "6 2"]
) -> Float[np.ndarray, "3"]:
    """Yaw in rad, positive towards image right, as the mesh's depth, the body points and the face detector have it.

    face_points: right eye, left eye, nose, mouth, right ear, left ear; all in px of one picture.
    """
    body = keypoints33[:, :2]
    return np.array(
        [
            _turn_of_mesh(mesh478),
            _turn_of_ears(body[7], body[8], body[0], (body[2] + body[5]) / 2, (body[9] + body[10]) / 2),
            _turn_of_ears(face_points[5], face_points[4], face_points[2], face_points[:2].mean(axis=0), face_points[3]),
        ]
    )


def _turn_of_mesh(mesh478: Float[np.ndarray, "478 3"]) -> float:
    across = mesh478[_LEFT_EYE_CORNER] - mesh478[_RIGHT_EYE_CORNER]
    return math.atan2(across[2], math.hypot(across[0], across[1]))


def _turn_of_ears(
    left_ear: np.ndarray, right_ear: np.ndarray, nose: np.ndarray, eyes: np.ndarray, mouth: np.ndarray
) -> float:
    """Yaw from where the nose lies between the ears; the way from mouth to eyes is up, however the head is tilted."""
    up = (eyes - mouth) / max(float(np.linalg.norm(eyes - mouth)), 1e-6)
    right = np.array([-up[1], up[0]])
    between = (left_ear - right_ear) @ right
    aside = (nose - (left_ear + right_ear) / 2) @ right
    return math.atan2(2 * aside / _NOSE_AHEAD, between)
