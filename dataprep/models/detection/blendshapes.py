"""The 52 blendshapes of MediaPipe's Face Landmarker: their names, and the model file that comes with this package.

Names are ARKit's (with `neutral` in the place of `tongueOut`, which the network does not know), left and right are the
person's. Each says in [0, 1] how far a part of the face has moved from rest. The network was trained on photographs of
people. It says nothing of some: `neutral`, `cheekPuff`, `cheekSquint*` and `noseSneer*` stay near 0 on all of ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dataprep.errors import AssetError
from dataprep.models.shipped import SHIPPED_FOLDER

LANDMARKER_PATH = SHIPPED_FOLDER / "face_landmarker.task"
LANDMARKER_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"

# In the order of the network's output.
MEANINGS = {
    "neutral": "a face at rest; the network leaves it at 0",
    "browDownLeft": "left brow lowered",
    "browDownRight": "right brow lowered",
    "browInnerUp": "inner ends of both brows raised",
    "browOuterUpLeft": "outer end of the left brow raised",
    "browOuterUpRight": "outer end of the right brow raised",
    "cheekPuff": "both cheeks blown up",
    "cheekSquintLeft": "left cheek raised below the eye",
    "cheekSquintRight": "right cheek raised below the eye",
    "eyeBlinkLeft": "left eye closed",
    "eyeBlinkRight": "right eye closed",
    "eyeLookDownLeft": "gaze: left eye looks down",
    "eyeLookDownRight": "gaze: right eye looks down",
    "eyeLookInLeft": "gaze: left eye looks towards the nose",
    "eyeLookInRight": "gaze: right eye looks towards the nose",
    "eyeLookOutLeft": "gaze: left eye looks away from the nose",
    "eyeLookOutRight": "gaze: right eye looks away from the nose",
    "eyeLookUpLeft": "gaze: left eye looks up",
    "eyeLookUpRight": "gaze: right eye looks up",
    "eyeSquintLeft": "left lids narrowed",
    "eyeSquintRight": "right lids narrowed",
    "eyeWideLeft": "left eye wide open",
    "eyeWideRight": "right eye wide open",
    "jawForward": "jaw pushed forward",
    "jawLeft": "jaw moved to the left",
    "jawOpen": "jaw lowered",
    "jawRight": "jaw moved to the right",
    "mouthClose": "lips closed while the jaw is lowered",
    "mouthDimpleLeft": "left corner of the mouth drawn back",
    "mouthDimpleRight": "right corner of the mouth drawn back",
    "mouthFrownLeft": "left corner of the mouth lowered",
    "mouthFrownRight": "right corner of the mouth lowered",
    "mouthFunnel": "lips pushed out, open",
    "mouthLeft": "mouth moved to the left",
    "mouthLowerDownLeft": "lower lip lowered on the left",
    "mouthLowerDownRight": "lower lip lowered on the right",
    "mouthPressLeft": "lips pressed together on the left",
    "mouthPressRight": "lips pressed together on the right",
    "mouthPucker": "lips pushed out, closed",
    "mouthRight": "mouth moved to the right",
    "mouthRollLower": "lower lip rolled in",
    "mouthRollUpper": "upper lip rolled in",
    "mouthShrugLower": "lower lip pushed up",
    "mouthShrugUpper": "upper lip pushed up",
    "mouthSmileLeft": "left corner of the mouth raised",
    "mouthSmileRight": "right corner of the mouth raised",
    "mouthStretchLeft": "left corner of the mouth drawn aside",
    "mouthStretchRight": "right corner of the mouth drawn aside",
    "mouthUpperUpLeft": "upper lip raised on the left",
    "mouthUpperUpRight": "upper lip raised on the right",
    "noseSneerLeft": "left side of the nose raised",
    "noseSneerRight": "right side of the nose raised",
}
BLENDSHAPES = tuple(MEANINGS)
GAZE = tuple(name for name in BLENDSHAPES if name.startswith("eyeLook"))


def mirrored_name(name: str) -> str:
    """Return the blendshape's name in a mirror: left and right trade places, in shifts of the whole as well."""
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name.removesuffix(side) + other
    return name


MIRROR52: Int[np.ndarray, "52"] = np.array([BLENDSHAPES.index(mirrored_name(name)) for name in BLENDSHAPES])


def of_row(row: Mapping[str, Any]) -> Float[np.ndarray, "52"] | None:
    """Return the blendshapes that the columns of `detect` hold; None where nothing was read."""
    values = [row.get(name) for name in BLENDSHAPES]
    return None if None in values else np.array(values, np.float64)


def landmarker_bytes(path: Path = LANDMARKER_PATH) -> bytes:
    """Read the model file; AssetError when it is missing or another one than we know."""
    data = path.read_bytes() if path.is_file() else b""
    found = hashlib.sha256(data).hexdigest() if data else "nothing"
    if found != LANDMARKER_SHA256:
        expected = LANDMARKER_SHA256[:12]
        raise AssetError(
            f"{path.name}: sha256 {found[:12]}, expected {expected}, in {path.parent}; it comes with shhq-hs: install "
            "that again, then look at: shhq-hs assets"
        )
    return data
