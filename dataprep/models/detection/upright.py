"""Photographs that lie on their side or stand on their head.

The detectors read many of them all the same, and some wrongly: a body upside down is "seen from behind", and a face is
found on a chin. So whoever was found lying, and whatever was refused for want of a person or a face, is looked at again
with the photograph turned. Only a person who then stands upright and is read without doubt proves that it was turned.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import UInt8

from dataprep.errors import Rejected
from dataprep.models.detection.facing import head_lean, lean
from dataprep.models.detection.person_detector import Detection

Detector = Callable[[UInt8[np.ndarray, "h w 3"]], Detection]

_MAYBE_TURNED = ("no_person", "no_face", "back_view", "face_out_of_frame", "multiple_people")
_ADVICE = {
    1: "lies on its side: turn it a quarter turn clockwise",
    2: "stands on its head: turn it half a turn",
    3: "lies on its side: turn it a quarter turn counter-clockwise",
}
_LOOK_PX = 1024  # longer side at which the turned photograph is looked at
_LYING_RAD = math.radians(60)  # upright people lean by up to 30 degrees, tilted heads by up to 46
_UPRIGHT_RAD = math.radians(45)
_OPPOSITE_RAD = math.radians(100)  # a person's head and trunk differ by up to 45 degrees, a monkey's by 171
_MIN_HIPS = 0.5  # visibility: in close-ups the trunk is a guess, and often points up
_MIN_AGREEMENT, _MIN_SCORE = 0.6, 0.6  # a face read out of an upside-down one: agreement 0.3 to 0.5


def upright_person(detector: Detector, rgb: UInt8[np.ndarray, "h w 3"]) -> Detection:
    """What `detector` finds in a photograph that is upright.

    Raises Rejected: not_upright, with the turn that would help; no_person for a face whose body points the other way;
    and what the detector raises.
    """
    try:
        found = detector(rgb)
    except Rejected as rejected:
        if rejected.reason in _MAYBE_TURNED:
            _refuse_turned(detector, rgb)
        raise
    face, body = head_lean(found.landmarks68_px), _body_lean(found)
    if max(abs(face), abs(body)) > _LYING_RAD:
        _refuse_turned(detector, rgb)
    apart = abs(math.remainder(face - body, math.tau))
    if apart > _OPPOSITE_RAD and _hips_seen(found):
        raise Rejected(
            "no_person",
            f"the body points {math.degrees(apart):.0f} degrees away from the face: an animal, or parts of two people",
        )
    return found


def _refuse_turned(detector: Detector, rgb: UInt8[np.ndarray, "h w 3"]) -> None:
    """Raise Rejected(not_upright) when a person stands upright in one of the turned photographs."""
    small = _shrunk(rgb)
    for quarters, advice in _ADVICE.items():
        try:
            found = detector(np.ascontiguousarray(np.rot90(small, -quarters)))
        except Rejected:
            continue
        if _stands_upright(found):
            raise Rejected("not_upright", f"the photograph {advice} and run the command again")


def _shrunk(rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    scale = _LOOK_PX / max(rgb.shape[:2])
    return rgb if scale >= 1 else cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _stands_upright(found: Detection) -> bool:
    sure = found.mesh_agreement >= _MIN_AGREEMENT and found.face_score >= _MIN_SCORE
    return sure and abs(head_lean(found.landmarks68_px)) < _UPRIGHT_RAD and abs(_body_lean(found)) < _UPRIGHT_RAD


def _body_lean(found: Detection) -> float:
    """The trunk's lean, and the head's as the body points have it where the hips are not seen."""
    points = found.keypoints33[:, :2]
    if _hips_seen(found):
        return lean(points[23:25].mean(axis=0), points[11:13].mean(axis=0))
    return lean(points[9:11].mean(axis=0), points[[2, 5]].mean(axis=0))


def _hips_seen(found: Detection) -> bool:
    return bool(found.keypoints33[23:25, 2].min() > _MIN_HIPS)
