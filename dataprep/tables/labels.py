"""The labels: what is said of every accepted portrait, in one list.

Stages declare their columns from it; shards, loader, mirror, prior, hand-out, track, EG3D export and the report's range
check read it. A new label is one entry here and the stage that writes it. Only what *computes* with a label names it,
by the constants below: nowhere else is a label's name written out (a test holds that).

The order is that of the numbers in the shards' JSON, and of the two halves of EG3D's 25.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dataprep.tables.columns import FLOAT, Column

CAMERA_PITCH_YAW = "camera_pitch_yaw"
FACE_PITCH_YAW = "face_pitch_yaw"
JOINTS_ZYX = "joints_zyx"
CAM2WORLD = "cam2world"
INTRINSICS = "intrinsics"
CROP_FROM_SOURCE = "crop_from_source"
FACE_FROM_PORTRAIT = "face_from_portrait"
LANDMARKS68 = "landmarks68"
BFM_ID = "bfm_id"
BFM_EXP = "bfm_exp"
BFM_TEX = "bfm_tex"
BFM_ANGLE = "bfm_angle"
BFM_GAMMA = "bfm_gamma"
BFM_TRANS = "bfm_trans"
SMPL_BETAS = "smpl_betas"
SMPL_GLOBAL_ORIENT_PORTRAIT = "smpl_global_orient_portrait"
SMPL_BODY_POSE = "smpl_body_pose"
SMPL_TRANSL = "smpl_transl"

# Assumed; published nowhere. Root mean square of robust deviations over a label's dimensions: a normal label lies
# near 1, and in 64 dimensions no normal row comes near 4, while a failed fit lies far beyond.
OUTLIER_CUT = 4.0


class Mirrored(Enum):
    """What a label becomes when left and right are exchanged; `gan.data.mirror` says how."""

    UNCHANGED = "the value stays"
    OPPOSITE = "the sign changes"
    PITCH_YAW = "pitch stays, yaw becomes pi - yaw"
    JOINTS_ZYX = "left and right joints trade places, Euler z and y change sign"
    LANDMARKS68 = "points trade places with their partners, x becomes the portrait's side - x"
    FACE_IDENTITY = "as the face model's identity directions mirror each other"
    FACE_EXPRESSION = "as the face model's expression directions mirror each other"
    BODY_SHAPE = "as the body model's shape directions mirror each other"


class PriorGroup(Enum):
    """Labels of one group are drawn together, from one row; groups are drawn apart."""

    POSE = "pose"
    IDENTITY = "identity"
    EXPRESSION = "expression"


class InTrack(Enum):
    """How a track of a video holds a label."""

    SMOOTHED = "a row a frame, smoothed, with the raw one beside it"
    ONE_A_PERSON = "the same in all frames of a person"


@dataclass(frozen=True)
class Label(Column):
    """A float32 column that is a label, and everything that others ask of it.

    mirrored: None where training does not read the label (the loader reads exactly those that have a mirror image);
    group: which group of the prior draws it, None if none does; outlier_cut: robust deviations beyond which a row is
    not drawn; allowed: what its definition or unit allows, far outside of which a value is a fault.
    """

    mirrored: Mirrored | None = None
    group: PriorGroup | None = None
    outlier_cut: float = OUTLIER_CUT
    allowed: tuple[float, float] | None = None
    in_shards: bool = True  # in the JSON beside the images; the twin has every column anyway
    statistics: bool = False  # mean and deviation in the shards' index
    in_handout: bool = False  # `shhq-hs import` makes it from the authors' files
    in_eg3d: bool = False
    in_track: InTrack | None = None


def _label(name: str, shape: tuple[int, ...], desc: str, unit: str = "-", frame: str = "-", **more: Any) -> Label:
    return Label(name, FLOAT, desc, unit, frame, shape, **more)


_TURN = (-math.pi, math.pi)
_SD = "standard deviation"
_TEN_SD = (-10.0, 10.0)
BASES = ("body_model", "body_model_sha256", "face_model", "face_model_sha256")  # columns: whose coefficients labels are

LABELS: tuple[Label, ...] = (
    _label(CAMERA_PITCH_YAW, (2,), "portrait camera, both pi/2 in front", "rad", "chest", mirrored=Mirrored.PITCH_YAW,
           group=PriorGroup.POSE, allowed=_TURN, statistics=True, in_handout=True, in_track=InTrack.SMOOTHED),
    # Drawn with the portrait camera's row, which is assumed: it is the same head, seen by the other camera.
    _label(FACE_PITCH_YAW, (2,), "face camera, both pi/2 in front", "rad", "generator's head",
           mirrored=Mirrored.PITCH_YAW, group=PriorGroup.POSE, allowed=_TURN, in_handout=True),
    _label(JOINTS_ZYX, (6, 3), "Euler z, y, x of joints 12-17 against the canonical pose", "rad", "parent joint",
           mirrored=Mirrored.JOINTS_ZYX, group=PriorGroup.POSE, allowed=_TURN, statistics=True, in_handout=True,
           in_track=InTrack.SMOOTHED),
    _label(CAM2WORLD, (4, 4), "portrait camera, OpenCV axes", "face unit", "chest, about the look-at", in_handout=True,
           in_eg3d=True),
    _label(INTRINSICS, (3, 3), "normalised by the image size", "image size", "portrait", in_handout=True, in_eg3d=True),
    _label(CROP_FROM_SOURCE, (2, 3), "source px to portrait px, row-major; pixel centres at +0.5, origin top left",
           "px", "portrait from source"),
    _label(FACE_FROM_PORTRAIT, (2, 3), "portrait px to face crop px, row-major", "px", "face crop"),
    _label(LANDMARKS68, (68, 2), "iBUG landmarks", "px", "portrait", mirrored=Mirrored.LANDMARKS68,
           allowed=(-256.0, 768.0), in_handout=True),
    _label(BFM_ID, (80,), "identity coefficients of the named face model", _SD, mirrored=Mirrored.FACE_IDENTITY,
           group=PriorGroup.IDENTITY, statistics=True, in_handout=True, in_track=InTrack.ONE_A_PERSON,
           allowed=_TEN_SD),
    _label(BFM_EXP, (64,), "expression coefficients of the named face model", _SD, mirrored=Mirrored.FACE_EXPRESSION,
           group=PriorGroup.EXPRESSION, statistics=True, in_handout=True, in_track=InTrack.SMOOTHED,
           allowed=_TEN_SD),
    _label(BFM_TEX, (80,), "texture coefficients, low confidence", _SD),
    _label(BFM_ANGLE, (3,), "Euler x, y, z of R = Rz Ry Rx", "rad", "portrait, y up, z to the camera",
           in_handout=True),
    _label(BFM_GAMMA, (3, 9), "spherical-harmonics light: channel by basis, added to 0.8; low confidence"),
    _label(BFM_TRANS, (3,), "translation; focal length 1015 px at 224, distance 10", "dm", "face camera, y up"),
    _label(SMPL_BETAS, (10,), "body shape coefficients of the named body model", _SD, mirrored=Mirrored.BODY_SHAPE,
           group=PriorGroup.IDENTITY, statistics=True, in_handout=True, in_track=InTrack.ONE_A_PERSON,
           allowed=_TEN_SD),
    _label(SMPL_GLOBAL_ORIENT_PORTRAIT, (3,), "rotation vector of the pelvis, the crop's roll taken out", "rad",
           "portrait camera", in_handout=True),
    _label(SMPL_BODY_POSE, (23, 3), "rotation vectors of joints 1-23", "rad", "parent joint", in_handout=True),
    _label(SMPL_TRANSL, (3,), "with the orientation before it: where the posed body stands before the portrait's "
           "12 degree camera (`intrinsics`)", "m", "portrait camera"),
)  # fmt: skip


def label(name: str) -> Label:
    """Return the label of a name; raises KeyError where the list has none."""
    return {one.name: one for one in LABELS}[name]


def trained() -> tuple[Label, ...]:
    """Return what training reads: every label that has a mirror image."""
    return tuple(one for one in LABELS if one.mirrored is not None)


def drawn(group: PriorGroup | None = None) -> tuple[Label, ...]:
    """Return what the prior draws: the labels of one group, or of all, in the list's order."""
    return tuple(one for one in LABELS if one.group is not None and group in (None, one.group))
