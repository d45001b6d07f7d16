"""body: SMPL on the whole photograph, by EFT on the key-point lifter or by batched MAP (spec 3, section 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from dataprep.errors import ConfigError, Rejected
from dataprep.fits.body_fit import BodyFit
from dataprep.fits.camera import chest_rotation
from dataprep.fits.eft import EftConfig, ExemplarTuner
from dataprep.fits.map_body import MapConfig, fit_map
from dataprep.geometry import PORTRAIT_SIDE_M
from dataprep.models.lifter import LifterInput, TrainedLifter, from_mediapipe, load_lifter
from dataprep.models.rotations import axis_angle_from_matrix
from dataprep.models.smpl import NECK, BodyModel, load_body
from dataprep.schema import BOOL, FLOAT, STRING, UINT16, Column, floats
from dataprep.stages.base import Item, Result, Stage, Weight

_CAM = {"unit": "rad", "frame": "cam"}
_MIN_POINTS = 8


@dataclass(frozen=True)
class BodyTools:
    """Loaded models of one process."""

    model: BodyModel
    lifter: TrainedLifter
    tuner: ExemplarTuner


@dataclass(frozen=True)
class Body(Stage):
    """Fits shape, pose and a weak-perspective camera to the visible key points.

    Reasons: too_few_keypoints.
    """

    name: ClassVar[str] = "body"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("ingest", "detect")
    columns: ClassVar[tuple[Column, ...]] = (
        floats("smpl_betas", (10,), "body shape coefficients of the named body model", unit="standard deviation"),
        floats("smpl_global_orient", (3,), "rotation vector of the pelvis; 180 deg about x = upright, frontal", **_CAM),
        floats(
            "smpl_body_pose_first",
            (23, 3),
            "rotation vectors of joints 1-23 before the head tie (the crop is made from this fit)",
            unit="rad",
            frame="parent joint",
        ),
        floats("body_camera", (3,), "s px/m, ox px, oy px: u = s X + ox, v = s Y + oy", frame="source"),
        floats("smpl_joints_px", (24, 2), "projected SMPL joints of the first fit", unit="px", frame="source"),
        floats("neck_cam_m", (3,), "posed neck joint, translation zero", unit="m", frame="cam"),
        floats("chest_rotation_cam", (3, 3), "global rotation of joint 9; columns are the chest's axes", frame="cam"),
        Column("body_fit_rmse", FLOAT, "root mean square distance of visible key points", unit="px", frame="source"),
        Column("body_fit_rmse_relative", FLOAT, "the same as a part of the portrait's side", unit="fraction"),
        Column("body_fit_loss_before", FLOAT, "regressor's 2D loss per valid coordinate", unit="crop units squared"),
        Column("body_fit_loss", FLOAT, "2D loss per valid coordinate after the fit", unit="crop units squared"),
        Column("body_fit_loss49", FLOAT, "2D loss in EFT's published 49-joint mean", unit="crop units squared"),
        Column("body_fit_points", UINT16, "visible key points the fit used", unit="count"),
        Column("body_fit_iterations", UINT16, "optimisation steps", unit="count"),
        Column("body_fit_method", STRING, "eft or map"),
        Column("body_fit_fallback", BOOL, "the fit did not improve and the regressor's output stands"),
    )

    method: Literal["eft", "map"] = "eft"
    learning_rate: float = EftConfig.learning_rate
    max_steps: int = EftConfig.max_steps
    stop_loss: float = EftConfig.stop_loss

    def __post_init__(self) -> None:
        if self.method not in ("eft", "map"):
            raise ConfigError(f"body.method is {self.method!r}, expected eft or map")

    @property
    def batched(self) -> bool:
        return self.method == "map"

    def weights(self) -> tuple[Weight, ...]:
        model = load_body()
        lifter = load_lifter(model)
        return (Weight(model.name, model.sha256, model.licence), Weight("lifter", lifter.sha256, model.licence))

    def load(self) -> BodyTools:
        model = load_body()
        lifter = load_lifter(model)
        config = EftConfig(learning_rate=self.learning_rate, max_steps=self.max_steps, stop_loss=self.stop_loss)
        return BodyTools(model, lifter, ExemplarTuner(lifter.network, lifter.network.body, config))

    def process(self, items: Sequence[Item], tools: BodyTools) -> list[Result]:
        """EFT goes image by image; MAP takes the batch at once."""
        if self.method == "eft":
            return [self.guarded(item, tools) for item in items]
        inputs: list[LifterInput | Rejected] = [_guarded_inputs(item) for item in items]
        usable = [one for one in inputs if not isinstance(one, Rejected)]
        fits = iter(_fit_map_batch(usable, tools.lifter))
        results = []
        for one in inputs:
            if isinstance(one, Rejected):
                results.append(Result.rejected(one.reason, one.message))
            else:
                results.append(Result(columns=body_columns(next(fits), one, tools.lifter)))
        return results

    def process_item(self, item: Item, tools: BodyTools) -> Result:
        inputs = _inputs(item)
        return Result(columns=body_columns(tools.tuner.fit(inputs), inputs, tools.lifter))


def _guarded_inputs(item: Item) -> LifterInput | Rejected:
    try:
        return _inputs(item)
    except Rejected as rejected:
        return rejected


def _inputs(item: Item) -> LifterInput:
    row = item.row
    points = row["keypoints33"]
    size = (row["source_width"], row["source_height"])
    inputs = from_mediapipe(points[:, :2], points[:, 2], row["keypoints33_world_m"], size)
    seen = int(inputs.visible.sum())
    if seen < _MIN_POINTS:
        raise Rejected("too_few_keypoints", f"{seen} body points are visible, at least {_MIN_POINTS} are needed")
    return inputs


def _fit_map_batch(inputs: list[LifterInput], lifter: TrainedLifter) -> list[BodyFit]:
    if not inputs:
        return []
    batch = LifterInput(*(torch.cat(parts) for parts in zip(*inputs, strict=True)))
    with torch.no_grad():
        start = lifter.network(batch)
    return fit_map(start, batch, lifter.network.body, lifter.residual_chol, MapConfig())


def body_columns(fit: BodyFit, inputs: LifterInput, lifter: TrainedLifter) -> dict[str, Any]:
    """The stage's columns from one fit."""
    rotvecs = axis_angle_from_matrix(torch.from_numpy(fit.rotations)).numpy()
    neck = lifter.network.body.joint_position(
        torch.from_numpy(fit.rotations)[None], torch.from_numpy(fit.betas)[None], NECK
    )[0]
    return {
        "smpl_betas": fit.betas,
        "smpl_global_orient": rotvecs[0],
        "smpl_body_pose_first": rotvecs[1:],
        "body_camera": fit.camera_px,
        "smpl_joints_px": fit.joints_px,
        "neck_cam_m": neck.numpy(),
        "chest_rotation_cam": chest_rotation(fit.rotations.astype(np.float64)),
        "body_fit_rmse": fit.rmse_px,
        "body_fit_rmse_relative": fit.rmse_px / (float(fit.camera_px[0]) * PORTRAIT_SIDE_M),
        "body_fit_loss_before": fit.loss_before,
        "body_fit_loss": fit.loss_after,
        "body_fit_loss49": fit.loss_49,
        "body_fit_points": int(inputs.visible.sum()),
        "body_fit_iterations": fit.iterations,
        "body_fit_method": fit.method,
        "body_fit_fallback": fit.fallback,
    }
