"""3D joints that a network read from pixels, in the place of MediaPipe's world landmarks.

Both are metres about the body, and the fits take their depth from them. MediaPipe sees its crop straight on, as the
lifter wants it; the network's joints are in the camera's axes and are turned to the ray to the neck. It has no mouth
corners: MediaPipe's ride along with nose, eyes and ears.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dataprep.fits.generator_labels import view_from_cam
from dataprep.fits.head_tie import laying
from dataprep.models.body.mediapipe_points import MEDIAPIPE_INDEX
from dataprep.models.regressors.mhr_joints import MHR_INDEX, PersonJoints

_ROWS = [MEDIAPIPE_INDEX[name] for name in MHR_INDEX]
_FACE = [MEDIAPIPE_INDEX[name] for name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")]
_MOUTH = [MEDIAPIPE_INDEX[name] for name in ("mouth_left", "mouth_right")]


def with_joints(world_m: Float[np.ndarray, "33 3"], seen: PersonJoints) -> Float[np.ndarray, "33 3"]:
    """MediaPipe's world landmarks with the network's joints in their places; what the fits do not read stays."""
    turned = seen.joints_m @ view_from_cam(seen.neck_cam_m).T
    out = np.array(world_m, np.float64)
    out[_ROWS] = turned[list(MHR_INDEX.values())]
    turn = laying(out[_FACE], np.asarray(world_m, np.float64)[_FACE])
    out[_MOUTH] = out[_FACE].mean(0) + (world_m[_MOUTH] - world_m[_FACE].mean(0)) @ turn.T
    return out
