"""The head as the generator turns it: in its axes the face camera is labelled, and `face.png` stands upright.

The canonical pose nods SMPL's head joint by 0.155 rad, and the generator moves space by what a pose adds to it
(`gan.rendering.posed_body`). Its head axes are thus the joint's with the nod taken back: without any pose they are the
chest's. The 3DMM's axes are others. `head_offset` says how they lie to the joint's: for the shipped pair they are the
same, for SMPL and BFM the key points of both heads say it, so that body labels, which the head tie turns by it, tell of
the same head.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dataprep.fits.generator_labels import canonical_rotation, pitch_yaw
from dataprep.frames.face_frames import CAM_FROM_GL
from dataprep.frames.smpl_joints import HEAD

Rotation3 = Float[np.ndarray, "3 3"]


def canonical_from_3dmm(head_offset: Rotation3) -> Rotation3:
    """Generator's head axes from the 3DMM's; `head_offset` takes axes of SMPL's head joint to the 3DMM's."""
    return canonical_rotation(HEAD) @ head_offset.T


def canonical_head(head_from_face: Rotation3, head_offset: Rotation3) -> Rotation3:
    """The generator's head in GL axes, from the 3DMM's rotation in them."""
    return head_from_face @ canonical_from_3dmm(head_offset).T


def face_pitch_yaw(head_from_face: Rotation3, head_offset: Rotation3) -> Float[np.ndarray, "2"]:
    """Label of the face camera: pitch and yaw in radians, both pi/2 in front, in the generator's head axes."""
    return pitch_yaw(CAM_FROM_GL @ canonical_head(head_from_face, head_offset))
