"""How well a body estimate explains what was seen of it: the losses and errors that the body fits share.

Crop units are EFT's: the square around the visible points, 1.2 times their larger extent, spans [-1, 1].
Shape suffixes: B batch, P = 23 points of MediaPipe, K = P, or P + 25 where OpenPose's follow them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from dataprep.fits.body.evidence import Evidence
from dataprep.models.body.body_points import BodyPoints
from dataprep.models.body.mediapipe_points import POINTS
from dataprep.models.body.openpose_points import BODY_25
from dataprep.models.regressors.lifter import BodyEstimate, LifterInput

_CROP_MARGIN = 1.2
_COCO_LIMBS_AND_FACE = 17  # of the 49 joints of EFT, the ones MediaPipe sees

POINT_SIGMA = 0.014  # standard deviation of a shoulder, normalised units (about metres)
# ... and that of other points relative to it: the face is found best, limbs and feet worst.
_SPREAD = {"nose": 0.5, "eye": 0.5, "ear": 0.8, "left": 0.5, "right": 0.5, "shoulder": 1.0, "neck": 1.0}
_POINT_SPREAD = torch.tensor([_SPREAD.get(name.split("_")[-1], 1.4) for name in (*POINTS, *BODY_25)])
_PORTRAIT = torch.tensor([name.split("_")[-1] in (*_SPREAD, "elbow") for name in POINTS])
_IN_COCO = torch.tensor([not name.startswith("mouth") and name.split("_")[-1] not in ("heel", "index")
                         for name in POINTS])  # fmt: skip
_COMPAT = _IN_COCO & torch.tensor([name.split("_")[-1] not in ("hip", "ankle") for name in POINTS])
_LEGS = tuple((POINTS.index(f"{side}_knee"), POINTS.index(f"{side}_ankle")) for side in ("left", "right"))
_SHORTEST_SHIN = 1 / 112  # crop units; a shorter one has no direction


class Target(NamedTuple):
    """What a fit compares its projection with: the same for every step, so made once (`target_of`)."""

    points: Float[Tensor, "b k 2"]  # normalised units
    half_crop: Float[Tensor, "b 1 1"]  # half the side of EFT's crop square, normalised units
    precision: Float[Tensor, "b k"]  # 1 / standard deviation, normalised units; 0 where a point is not seen
    weight: Float[Tensor, "b k"]  # confidence of each seen point, sum 1
    log_scale: Float[Tensor, " b"]  # of the camera, as the face's size says it
    scale_precision: Float[Tensor, " b"]  # 1 / its standard deviation; 0 where no face was read
    seen_49: Float[Tensor, "b 23"]  # 1 where the published 49-joint mean has the point
    compat_49: Float[Tensor, "b 23"]  # the same without hips and ankles
    shins: tuple[Shin, ...]


class Shin(NamedTuple):
    """A leg that some exemplar of the batch shows below the knee."""

    knee: int
    ankle: int
    direction: Float[Tensor, "b 2"]
    known: Float[Tensor, " b"]  # 1 where knee and ankle are seen and apart


def target_of(inputs: LifterInput, evidence: Evidence | None = None) -> Target:
    """The constants of a fit to `inputs` and to what else is known."""
    points, seen = inputs.points, inputs.visible
    if evidence is not None and evidence.openpose_px is not None and evidence.openpose_seen is not None:
        theirs = (evidence.openpose_px - inputs.centre_px[:, None]) / inputs.scale_px[:, None, None]
        points, seen = torch.cat((points, theirs), 1), torch.cat((seen, evidence.openpose_seen), 1)
    precision = seen / (POINT_SIGMA * _POINT_SPREAD[: points.shape[1]])
    weight = precision.square()
    half = half_crop(inputs)
    known = torch.zeros(len(points)) if evidence is None else 1 / evidence.log_sigma
    px_per_m = inputs.scale_px if evidence is None else evidence.px_per_m
    return Target(
        points,
        half[:, None, None],
        precision,
        weight / weight.sum(1, keepdim=True),
        (px_per_m / inputs.scale_px).log(),
        known,
        (inputs.visible & _IN_COCO).float(),
        (inputs.visible & _COMPAT).float(),
        tuple(shin for knee, ankle in _LEGS if (shin := _shin(inputs, half, knee, ankle)).known.any()),
    )


def _shin(inputs: LifterInput, half: Tensor, knee: int, ankle: int) -> Shin:
    direction = inputs.points[:, ankle] - inputs.points[:, knee]
    known = inputs.visible[:, knee] & inputs.visible[:, ankle] & (direction.norm(dim=-1) > _SHORTEST_SHIN * half)
    return Shin(knee, ankle, direction, known.float())


def project(estimate: BodyEstimate, body: BodyPoints) -> Float[Tensor, "b k 2"]:
    """Weak-perspective projection of the key points, normalised units."""
    points = body(estimate.rotations, estimate.betas).points
    return estimate.camera[:, :1, None] * points[..., :2] + estimate.camera[:, None, 1:]


def half_crop(inputs: LifterInput) -> Float[Tensor, " b"]:
    """Half the side of EFT's crop square, normalised units."""
    seen = inputs.visible[..., None]
    low = inputs.points.masked_fill(~seen, torch.inf).amin(1)
    high = inputs.points.masked_fill(~seen, -torch.inf).amax(1)
    return _CROP_MARGIN / 2 * (high - low).amax(1)


def loss_2d(projected: Float[Tensor, "b k 2"], target: Target) -> Float[Tensor, " b"]:
    """Confidence-weighted mean squared error per valid coordinate, crop units."""
    return 0.5 * (target.weight * _squared(projected, target)).sum(1)


def scale_loss(estimate: BodyEstimate, target: Target) -> Float[Tensor, " b"]:
    """What the face's size says against the camera's scale, in the unit of `loss_2d`: both of one likelihood."""
    information = 2 * target.half_crop[:, 0, 0].square() * target.precision.square().sum(1)
    error = (estimate.camera[:, 0].log() - target.log_scale) * target.scale_precision
    return error.square() / information


def loss_49(projected: Float[Tensor, "b k 2"], target: Target) -> Float[Tensor, " b"]:
    """The published form: plain mean over 49 x 2 coordinates, absent joints counting as zero error."""
    return (target.seen_49 * _squared(projected, target)[:, : len(POINTS)]).sum(1) / (49 * 2)


def loss_49_compat(projected: Float[Tensor, "b k 2"], target: Target) -> Float[Tensor, " b"]:
    """What EFT's own code minimises: the 49-joint mean with hips and ankles left out."""
    return (target.compat_49 * _squared(projected, target)[:, : len(POINTS)]).sum(1) / (49 * 2)


def _squared(projected: Tensor, target: Target) -> Tensor:
    return ((projected - target.points) / target.half_crop).square().sum(-1)


def leg_loss(projected: Float[Tensor, "b k 2"], target: Target) -> Float[Tensor, " b"]:
    """1 - cosine between fitted and seen shin directions, summed over legs whose knee and ankle are seen."""
    total = torch.zeros(len(projected))
    for shin in target.shins:
        fitted = projected[:, shin.ankle] - projected[:, shin.knee]
        total = total + shin.known * (1 - torch.cosine_similarity(fitted, shin.direction, dim=-1))
    return total


def rmse_px(projected: Float[Tensor, "b k 2"], inputs: LifterInput) -> Float[Tensor, " b"]:
    """Root mean squared distance of MediaPipe's visible points in source pixels."""
    return _rmse_px(projected, inputs, inputs.visible)


def portrait_rmse_px(projected: Float[Tensor, "b k 2"], inputs: LifterInput) -> Float[Tensor, " b"]:
    """The same over head, shoulders and elbows: what a portrait shows. Over all points where it shows none of them."""
    shown = inputs.visible & _PORTRAIT
    return _rmse_px(projected, inputs, torch.where(shown.any(1, keepdim=True), shown, inputs.visible))


def _rmse_px(projected: Tensor, inputs: LifterInput, counted: Tensor) -> Tensor:
    squared = (projected[:, : len(POINTS)] - inputs.points).square().sum(-1)
    return ((squared * counted).sum(1) / counted.sum(1)).sqrt() * inputs.scale_px


assert int(_IN_COCO.sum()) == _COCO_LIMBS_AND_FACE
