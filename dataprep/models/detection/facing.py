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
    mesh478: Float[np.ndarray, "478 3"] | None,
    keypoints33: Float[np.ndarray, "33 3"] | None,
    face_points: Float[np.ndarray, "6 2"],
) -> Float[np.ndarray, "3"]:
    """Yaw in rad, positive towards image right, as the mesh's depth, the body points and the face detector have it.

    face_points: right eye, left eye, nose, mouth, right ear, left ear; all in px of one picture. NaN for a witness that
    is None.
    """
    eyes = face_points[:2].mean(axis=0)
    return np.array(
        [
            math.nan if mesh478 is None else _turn_of_mesh(mesh478),
            math.nan if keypoints33 is None else turn_of_body(keypoints33[:, :2]),
            _turn_of_ears(face_points[5], face_points[4], face_points[2], eyes, face_points[3]),
        ]
    )


def head_lean(landmarks68: Float[np.ndarray, "68 2"]) -> float:
    """Clockwise lean of the way from mouth to eyes in the picture, in rad; 0 is upright."""
    return lean(landmarks68[48:68].mean(axis=0), landmarks68[36:48].mean(axis=0))


def lean(low_px: Float[np.ndarray, "2"], high_px: Float[np.ndarray, "2"]) -> float:
    """Clockwise lean of the way up from one point to another, in rad."""
    right, down = high_px - low_px
    return math.atan2(right, -down)


def turn_of_body(points: Float[np.ndarray, "33 2"]) -> float:
    """Yaw by the ears, eyes, nose and mouth of the body points, in rad; people seen from behind: near 180 degrees."""
    return _turn_of_ears(points[7], points[8], points[0], points[[2, 5]].mean(axis=0), points[[9, 10]].mean(axis=0))


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
