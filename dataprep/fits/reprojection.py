"""How well a body estimate explains its 2D points: the losses and errors that the body fits share.

Crop units are EFT's: the square around the visible points, 1.2 times their larger extent, spans [-1, 1].
Shape suffixes: B batch, P = 23 points.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from dataprep.models.body_points import BodyPoints
from dataprep.models.lifter import BodyEstimate, LifterInput
from dataprep.models.mediapipe_points import POINTS

_CROP_MARGIN = 1.2
_COCO_LIMBS_AND_FACE = 17  # of the 49 joints of EFT, the ones MediaPipe sees

# Standard deviation of MediaPipe's points relative to the shoulders': the face is found best, limbs and feet worst.
_SPREAD = {"nose": 0.5, "eye": 0.5, "ear": 0.8, "left": 0.5, "right": 0.5, "shoulder": 1.0}
POINT_SPREAD = torch.tensor([_SPREAD.get(name.split("_")[-1], 1.4) for name in POINTS])
_CONFIDENCE = (0.5 / POINT_SPREAD).square()  # at most 1, as a detector's own would be
_IN_COCO = torch.tensor([not name.startswith("mouth") and name.split("_")[-1] not in ("heel", "index")
                         for name in POINTS])  # fmt: skip
_COMPAT = _IN_COCO & torch.tensor([name.split("_")[-1] not in ("hip", "ankle") for name in POINTS])
_LEGS = tuple((POINTS.index(f"{side}_knee"), POINTS.index(f"{side}_ankle")) for side in ("left", "right"))
_SHORTEST_SHIN = 1 / 112  # crop units; a shorter one has no direction


class Target(NamedTuple):
    """What a fit compares its projection with: the same for every step, so made once (`target_of`)."""

    points: Float[Tensor, "b 23 2"]  # normalised units
    half_crop: Float[Tensor, "b 1 1"]  # half the side of EFT's crop square, normalised units
    weight: Float[Tensor, "b 23"]  # confidence of each seen point, sum 1
    seen_49: Float[Tensor, "b 23"]  # 1 where the published 49-joint mean has the point
    compat_49: Float[Tensor, "b 23"]  # the same without hips and ankles
    shins: tuple[Shin, ...]


class Shin(NamedTuple):
    """A leg that some exemplar of the batch shows below the knee."""

    knee: int
    ankle: int
    direction: Float[Tensor, "b 2"]
    known: Float[Tensor, " b"]  # 1 where knee and ankle are seen and apart


def target_of(inputs: LifterInput) -> Target:
    """The constants of a fit to `inputs`."""
    weight = _CONFIDENCE * inputs.visible
    half = half_crop(inputs)
    return Target(
        inputs.points,
        half[:, None, None],
        weight / weight.sum(1, keepdim=True),
        (inputs.visible & _IN_COCO).float(),
        (inputs.visible & _COMPAT).float(),
        tuple(shin for knee, ankle in _LEGS if (shin := _shin(inputs, half, knee, ankle)).known.any()),
    )


def _shin(inputs: LifterInput, half: Tensor, knee: int, ankle: int) -> Shin:
    direction = inputs.points[:, ankle] - inputs.points[:, knee]
    known = inputs.visible[:, knee] & inputs.visible[:, ankle] & (direction.norm(dim=-1) > _SHORTEST_SHIN * half)
    return Shin(knee, ankle, direction, known.float())


def project(estimate: BodyEstimate, body: BodyPoints) -> Float[Tensor, "b 23 2"]:
    """Weak-perspective projection of the key points, normalised units."""
    points = body(estimate.rotations, estimate.betas).points
    return estimate.camera[:, :1, None] * points[..., :2] + estimate.camera[:, None, 1:]


def half_crop(inputs: LifterInput) -> Float[Tensor, " b"]:
    """Half the side of EFT's crop square, normalised units."""
    seen = inputs.visible[..., None]
    low = inputs.points.masked_fill(~seen, torch.inf).amin(1)
    high = inputs.points.masked_fill(~seen, -torch.inf).amax(1)
    return _CROP_MARGIN / 2 * (high - low).amax(1)


def loss_2d(projected: Float[Tensor, "b 23 2"], target: Target) -> Float[Tensor, " b"]:
    """Confidence-weighted mean squared error per valid coordinate, crop units."""
    return 0.5 * (target.weight * _squared(projected, target)).sum(1)


def loss_49(projected: Float[Tensor, "b 23 2"], target: Target) -> Float[Tensor, " b"]:
    """The published form: plain mean over 49 x 2 coordinates, absent joints counting as zero error."""
    return (target.seen_49 * _squared(projected, target)).sum(1) / (49 * 2)


def loss_49_compat(projected: Float[Tensor, "b 23 2"], target: Target) -> Float[Tensor, " b"]:
    """What EFT's own code minimises: the 49-joint mean with hips and ankles left out."""
    return (target.compat_49 * _squared(projected, target)).sum(1) / (49 * 2)


def _squared(projected: Tensor, target: Target) -> Tensor:
    return ((projected - target.points) / target.half_crop).square().sum(-1)


def leg_loss(projected: Float[Tensor, "b 23 2"], target: Target) -> Float[Tensor, " b"]:
    """1 - cosine between fitted and seen shin directions, summed over legs whose knee and ankle are seen."""
    total = torch.zeros(len(projected))
    for shin in target.shins:
        fitted = projected[:, shin.ankle] - projected[:, shin.knee]
        total = total + shin.known * (1 - torch.cosine_similarity(fitted, shin.direction, dim=-1))
    return total


def rmse_px(projected: Float[Tensor, "b 23 2"], inputs: LifterInput) -> Float[Tensor, " b"]:
    """Root mean squared distance of visible points in source pixels."""
    squared = (projected - inputs.points).square().sum(-1)
    return ((squared * inputs.visible).sum(1) / inputs.visible.sum(1)).sqrt() * inputs.scale_px


assert int(_IN_COCO.sum()) == _COCO_LIMBS_AND_FACE
