"""The key-point lifter: from MediaPipe's 2D and world 3D points to SMPL rotations, shape and camera.

It plays the part that HMR plays in EFT: a feed-forward regressor whose weights are then tuned on one exemplar. It
holds no evidence beyond its key points, and it belongs to one body model (its sha256 is in the weights file).

Normalised units: 2D points and world points are divided by one body-size measure taken from the world points, so that
both are "about metres"; the origin is the midpoint of the shoulders. World points may be absent (zeros): the size is
then the same measure in the picture, and the regressor's errors grow. Rotations are in the *view frame*: cam axes
(x right, y down, z forward) turned so that z runs along the ray to the neck, which is all that a photograph of
unknown focal length can tell, and what a portrait camera that looks at the subject needs.
Shape suffixes: B batch, P = 23 points.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dataprep.frames.rotations import matrix_from_sixd
from dataprep.frames.smpl_joints import NECK
from dataprep.models.body.body_points import BodyPoints, body_points
from dataprep.models.body.mediapipe_points import (
    LEFT_EAR,
    LEFT_SHOULDER,
    MEDIAPIPE_INDEX,
    POINT_NAMES,
    POINTS,
    RIGHT_EAR,
    RIGHT_SHOULDER,
)
from dataprep.models.body.smpl import BodyModel
from dataprep.models.regressors.lifter_file import WEIGHTS_PATH, LifterFile, open_lifter_file, read_lifter

# Shoulder width plus shoulder-to-ear height of the mean adult, so that normalised units come out near metres.
_BODY_SIZE_M = 0.60
_INPUT_GAIN = 3.0
_MIN_VISIBILITY = 0.5


class LifterInput(NamedTuple):
    """A batch of exemplars in normalised units, and how to get back to pixels: u = centre + scale * p."""

    points: Float[Tensor, "b 23 2"]
    world: Float[Tensor, "b 23 3"]
    visible: Bool[Tensor, "b 23"]
    centre_px: Float[Tensor, "b 2"]
    scale_px: Float[Tensor, " b"]


class BodyEstimate(NamedTuple):
    """SMPL parameters in the view frame and the weak-perspective camera: p = s * X_xy + (tx, ty)."""

    rotations: Float[Tensor, "b 24 3 3"]
    betas: Float[Tensor, "b 10"]
    camera: Float[Tensor, "b 3"]


def normalise(
    points_px: Float[Tensor, "b 23 2"], world_m: Float[Tensor, "b 23 3"], visible: Bool[Tensor, "b 23"]
) -> LifterInput:
    """Centre on the shoulders and scale by the body; pixels per unit come from matching 2D to world x, y.

    Only visible points take part in the match; the shoulders are used for the centre in any case. World points that
    are all zero count as absent.
    """
    centre = points_px[:, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(1)
    known = world_m.abs().amax((1, 2)) > 0
    world = world_m - world_m[:, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(1, keepdim=True)
    world = world * (_BODY_SIZE_M / _body_size(world))[:, None, None]
    weight = visible.to(points_px.dtype)[..., None]
    total = weight.sum(1, keepdim=True).clamp_min(1)
    flat = world[..., :2] - (weight * world[..., :2]).sum(1, keepdim=True) / total
    image = points_px - (weight * points_px).sum(1, keepdim=True) / total
    scale = (weight * flat * image).sum((1, 2)) / (weight * flat * flat).sum((1, 2)).clamp_min(1e-9)
    scale = torch.where(known, scale, _body_size(points_px - centre[:, None]) / _BODY_SIZE_M).clamp_min(1e-6)
    return LifterInput((points_px - centre[:, None]) / scale[:, None, None], world, visible, centre, scale)


def _body_size(points: Float[Tensor, "b 23 d"]) -> Float[Tensor, " b"]:
    """Shoulder width plus shoulder-to-ear distance of points about the middle of the shoulders."""
    ears = points[:, [LEFT_EAR, RIGHT_EAR]].mean(1)
    width = (points[:, LEFT_SHOULDER] - points[:, RIGHT_SHOULDER]).norm(dim=-1)
    return (width + ears.norm(dim=-1)).clamp_min(1e-6)


def from_mediapipe(
    keypoints_px: np.ndarray, visibility: np.ndarray, world_m: np.ndarray, image_size_px: tuple[int, int]
) -> LifterInput:
    """One exemplar from MediaPipe's (33, 2) pixels, (33,) visibility and (33, 3) world metres; size is (w, h).

    Points outside the picture are guesses of the detector and count as unseen.
    """
    rows = list(MEDIAPIPE_INDEX.values())
    points = np.asarray(keypoints_px, np.float32)[rows]
    inside = ((points >= 0) & (points <= np.array(image_size_px, np.float32))).all(-1)
    visible = inside & (np.asarray(visibility)[rows] >= _MIN_VISIBILITY)
    world = np.asarray(world_m, np.float32)[rows]
    return normalise(torch.from_numpy(points)[None], torch.from_numpy(world)[None], torch.from_numpy(visible)[None])


class Lifter(nn.Module):
    """Residual MLP; `forward` makes a BodyEstimate. The camera is anchored at the neck, where 2D evidence is best."""

    def __init__(self, body: BodyPoints, hidden: int, mean_sixd: Float[Tensor, "24 6"]) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("mean_sixd", mean_sixd.clone())
        self.first = _block(len(POINTS) * 6, hidden)
        self.second = nn.Sequential(_block(hidden, hidden), _block(hidden, hidden))
        self.third = nn.Sequential(_block(hidden, hidden), _block(hidden, hidden))
        self.head = nn.Linear(hidden, 24 * 6 + 10 + 3)
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: LifterInput) -> BodyEstimate:
        seen = batch.visible[..., None]
        features = torch.cat((batch.points * seen, batch.world * seen), -1) * _INPUT_GAIN
        x = self.first(torch.cat((features, seen.to(features.dtype)), -1).flatten(1))
        x = x + self.second(x)
        x = x + self.third(x)
        out = self.head(x)
        rotations = matrix_from_sixd(self.mean_sixd + out[:, :144].unflatten(1, (24, 6)))
        betas, camera = out[:, 144:154], out[:, 154:]
        return BodyEstimate(rotations, betas, self._camera(rotations, betas, camera))

    def _camera(self, rotations: Tensor, betas: Tensor, raw: Tensor) -> Tensor:
        """(log scale, neck x, neck y) -> (s, tx, ty)."""
        scale = torch.exp(raw[:, :1])
        neck = self.body.joint_position(rotations, betas, NECK)
        return torch.cat((scale, raw[:, 1:] - scale * neck[:, :2]), 1)

    def parameters_for_eft(self) -> list[nn.Parameter]:
        """Every weight is tuned per exemplar, as in EFT, except those `freeze_norm` has frozen."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def freeze_norm(self) -> None:
        """Keep normalisation as trained while weights are tuned (layer norms have no running state to freeze)."""
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eval()
                for parameter in module.parameters():
                    parameter.requires_grad_(False)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.GELU())


@dataclass(frozen=True, eq=False)
class TrainedLifter:
    """Weights plus what a fit needs to know about them.

    `residual_chol` (85, 85): Cholesky factor of the covariance of what the lifter leaves unexplained on held-out
    people, over (24 local rotation vectors, 10 betas, log scale, neck x, neck y in normalised units);
    `worldless_chol` is the same for people without world points.
    `point_offsets_m` (23, 3): where MediaPipe puts its points relative to the body model's regressors, in T pose.
    """

    network: Lifter
    sha256: str
    meta: Mapping[str, Any]
    residual_chol: Tensor
    worldless_chol: Tensor
    point_offsets_m: np.ndarray


def save_lifter(
    path: Path,
    network: Lifter,
    residual_chol: Tensor,
    worldless_chol: Tensor,
    offsets_m: np.ndarray,
    meta: dict[str, Any],
) -> None:
    """Write plain arrays: weights as float16, the rest as float32, and `meta` as JSON."""
    arrays = {f"net/{key}": value.numpy().astype(np.float16) for key, value in network.state_dict().items()}
    arrays["residual_chol"] = residual_chol.numpy().astype(np.float32)
    arrays["worldless_chol"] = worldless_chol.numpy().astype(np.float32)
    arrays["point_offsets_m"] = np.asarray(offsets_m, np.float32)
    arrays["meta"] = np.array(json.dumps(meta, sort_keys=True))
    np.savez_compressed(path, **arrays)


def load_lifter(body: BodyModel, path: Path = WEIGHTS_PATH) -> TrainedLifter:
    """The lifter of `body` from a file; raises what `read_lifter` raises."""
    return trained_lifter(body, read_lifter(body, path))


def open_lifter(body: BodyModel, named: str) -> TrainedLifter:
    """The lifter trained for `body`; raises what `open_lifter_file` raises. `named` is the body's setting."""
    return trained_lifter(body, open_lifter_file(body, named))


def trained_lifter(body: BodyModel, file: LifterFile) -> TrainedLifter:
    """The network of a file, in float32, in eval mode."""
    state = {key: torch.from_numpy(value.astype(np.float32)) for key, value in file.state.items()}
    points = body_points(body, POINT_NAMES).with_offsets(file.point_offsets_m)
    network = Lifter(points, file.meta["hidden"], state["mean_sixd"])
    network.load_state_dict(state)
    network.eval()
    chol, worldless = torch.from_numpy(file.residual_chol), torch.from_numpy(file.worldless_chol)
    return TrainedLifter(network, file.sha256, file.meta, chol, worldless, file.point_offsets_m)
