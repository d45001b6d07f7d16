"""OpenPose's BODY_25 points on a body model: their definitions beside those of MediaPipe's points.

Neck and mid hip are the middles of the shoulders and hips. The others are COCO's annotators' points (and big toe, small
toe, heel), which lie some 2 cm from the joint centres that stand for MediaPipe's; by how much, the shipped body knows:
it carries regressors of both. The differences are taken in T pose and travel with the body's parts.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from jaxtyping import Float

from dataprep.models.body.body_points import BodyPoints, body_points
from dataprep.models.body.mediapipe_points import POINT_NAMES, POINTS
from dataprep.models.body.smpl import BodyModel, load_body

BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
    "right_heel",
)  # fmt: skip
_NAMES = tuple(f"openpose/{name}" for name in BODY_25)
_MIDDLES = {"neck": "shoulder", "mid_hip": "hip"}


def beside_openpose(body: BodyPoints, plain: BodyPoints) -> BodyPoints:
    """`body`'s points, then OpenPose's 25. `plain`: the 23 points of the same model without a detector's offsets."""
    theirs = plain.mixed(_NAMES, _shares()).with_offsets(offsets_m())
    return body.beside(theirs)


@cache
def _shares() -> Float[np.ndarray, "25 23"]:
    """OpenPose's points as averages of MediaPipe's; both toes are its one."""
    shares = np.zeros((len(BODY_25), len(POINTS)))
    for row, name in zip(shares, BODY_25, strict=True):
        for source in _sides(name):
            row[POINTS.index(_mediapipe_name(source))] += 1 / len(_sides(name))
    return shares


def coco_points(model: BodyModel) -> BodyPoints:
    """BODY_25 by regressors of COCO's points, of a model that carries them: AssetError for others."""
    names = tuple(sorted({_regressor_name(source) for name in BODY_25 for source in _sides(name)}))
    shares = np.zeros((len(BODY_25), len(names)))
    for row, name in zip(shares, BODY_25, strict=True):
        for source in _sides(name):
            row[names.index(_regressor_name(source))] += 1 / len(_sides(name))
    return body_points(model, names).mixed(_NAMES, shares)


@cache
def offsets_m() -> Float[np.ndarray, "25 3"]:
    """OpenPose's points minus those averages on the mean shipped body in T pose."""
    body = load_body()
    rest, mean = torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 10)
    theirs, ours = (points(rest, mean).points[0] for points in (coco_points(body), body_points(body, POINT_NAMES)))
    return theirs.double().numpy() - _shares() @ ours.double().numpy()


def _sides(name: str) -> tuple[str, ...]:
    part = _MIDDLES.get(name)
    return (name,) if part is None else (f"left_{part}", f"right_{part}")


def _mediapipe_name(name: str) -> str:
    side, _, part = name.partition("_")
    return f"{side}_foot_index" if part.endswith("toe") else name


def _regressor_name(name: str) -> str:
    return f"foot/{name}" if name.endswith(("toe", "heel")) else f"coco/{name}"
