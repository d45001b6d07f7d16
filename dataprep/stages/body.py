"""body: SMPL on the whole photograph, by EFT on a regressor or by batched MAP (spec 3, section 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from dataprep.errors import AssetError, ConfigError, Rejected
from dataprep.fits.body_fit import BodyFit
from dataprep.fits.camera import chest_rotation
from dataprep.fits.detector import DETECTOR_PATH, load_detector
from dataprep.fits.eft import EFT_COMPAT, EftConfig, ExemplarTuner
from dataprep.fits.head_tie import neck_head_covariance, rest_face_points
from dataprep.fits.map_body import MapConfig, fit_map
from dataprep.geometry import PORTRAIT_SIDE_M
from dataprep.images import decode_rgb
from dataprep.licensed import RESEARCH_ONLY, file_sha256, find_file
from dataprep.models.body_files import STANDIN, open_body, open_lifter
from dataprep.models.body_points import BodyPoints, body_points
from dataprep.models.devices import gpu_wish, resolve_device
from dataprep.models.hmr import image_exemplar, load_hmr
from dataprep.models.lifter import POINT_NAMES, Lifter, LifterInput, from_mediapipe
from dataprep.models.rotations import axis_angle_from_matrix
from dataprep.models.smpl import NECK, BodyModel
from dataprep.models.smpl_keypoints import SMPL_VERTICES
from dataprep.schema import BOOL, FLOAT, STRING, UINT16, Column, floats
from dataprep.stages.base import Item, Result, Stage, Weight

_CAM = {"unit": "rad", "frame": "cam"}
_MIN_POINTS = 8


@dataclass(frozen=True)
class BodyTools:
    """Loaded models of one process. `lifter` is None when the regressor is HMR."""

    model: BodyModel
    points: BodyPoints  # the 23 points, where the detector puts them
    residual_chol: torch.Tensor
    lifter: Lifter | None
    tuner: ExemplarTuner

    @property
    def constants(self) -> dict[str, Any]:
        """Columns that are the same in every row: what later stages must know of the body model and its regressor."""
        return {
            "body_model": self.model.name,
            "body_model_sha256": self.model.sha256,
            "body_regressor": "hmr" if self.lifter is None else "lifter",
            "neck_head_covariance": neck_head_covariance(self.residual_chol),
            "face_points_rest_m": rest_face_points(self.model),
        }


@dataclass(frozen=True)
class Body(Stage):
    """Fits shape, pose and a weak-perspective camera to the visible key points.

    Reasons: too_few_keypoints.
    """

    name: ClassVar[str] = "body"
    version: ClassVar[int] = 2
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
        floats(
            "smpl_joints_cam_m",
            (24, 3),
            "posed SMPL joints of the first fit, translation zero",
            unit="m",
            frame="cam",
            released=False,
        ),
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
        Column("body_regressor", STRING, "what the fit started from: lifter or hmr"),
        Column("body_model", STRING, "body model that the coefficients belong to"),
        Column("body_model_sha256", STRING, "its file"),
        floats(
            "neck_head_covariance",
            (6, 6),
            "what key points leave open of neck and head, for the head tie",
            unit="rad squared",
            released=False,
        ),
        floats(
            "face_points_rest_m",
            (7, 3),
            "nose, eyes, ears and mouth corners of the mean body",
            unit="m",
            frame="T pose",
            released=False,
        ),
        Column("body_fit_fallback", BOOL, "the fit did not improve and the regressor's output stands"),
    )

    model: str = STANDIN  # or an SMPL file: a path, or a name in the assets folder
    regressor: Literal["lifter", "hmr"] = "lifter"
    hmr: str = "model_checkpoint.pt"
    method: Literal["eft", "map"] = "eft"
    learning_rate: float = EftConfig.learning_rate
    max_steps: int = EftConfig.max_steps
    stop_loss: float = EftConfig.stop_loss
    eft_compat: bool = False  # the reference's loss, learning rate and stop instead of the three above
    device: str = "auto"  # HMR only

    def __post_init__(self) -> None:
        if self.method not in ("eft", "map"):
            raise ConfigError(f"body.method is {self.method!r}, expected eft or map")
        if self.regressor not in ("lifter", "hmr"):
            raise ConfigError(f"body.regressor is {self.regressor!r}, expected lifter or hmr")
        if self.regressor == "hmr" and self.model == STANDIN:
            raise ConfigError(
                "body.regressor=hmr predicts coefficients of the real SMPL and cannot drive the shipped body; add "
                "--set body.model=SMPL_NEUTRAL.pkl"
            )
        if self.regressor == "hmr" and self.method == "map":
            raise ConfigError("body.method=map starts from the lifter; use body.method=eft with body.regressor=hmr")

    @property
    def batched(self) -> bool:
        return self.method == "map"

    def weights(self) -> tuple[Weight, ...]:
        model = open_body(self.model)
        body = Weight(model.name, model.sha256, model.licence)
        if self.regressor == "hmr":
            path, detector = find_file(self.hmr, "body.hmr"), load_detector()
            return (
                body,
                Weight(path.name, file_sha256(path), RESEARCH_ONLY),
                Weight(DETECTOR_PATH.stem, detector.sha256, str(detector.meta["licence"])),
            )
        return (body, Weight("lifter", open_lifter(model, self.model).sha256, model.licence))

    def resources(self) -> dict[str, float]:
        return gpu_wish(self.device) if self.regressor == "hmr" else {}

    def load(self) -> BodyTools:
        model = open_body(self.model)
        config = EftConfig(learning_rate=self.learning_rate, max_steps=self.max_steps, stop_loss=self.stop_loss)
        config = EFT_COMPAT if self.eft_compat else config
        if self.regressor == "lifter":
            lifter = open_lifter(model, self.model)
            points, tuner = lifter.network.body, ExemplarTuner(lifter.network, lifter.network.body, config)
            return BodyTools(model, points, lifter.residual_chol, lifter.network, tuner)
        if len(model.v_template) != SMPL_VERTICES:
            raise AssetError(f"body.regressor=hmr needs SMPL's {SMPL_VERTICES} vertices; {self.model} is another body")
        hmr = load_hmr(find_file(self.hmr, "body.hmr")).to(resolve_device(self.device))
        points = body_points(model, POINT_NAMES).with_offsets(load_detector().image_offset_m)
        # What HMR leaves open of neck and head was never measured; the shipped lifter's residuals stand in for it.
        residual_chol = open_lifter(open_body(), STANDIN).residual_chol
        return BodyTools(model, points, residual_chol, None, ExemplarTuner(hmr, points, config))

    def process(self, items: Sequence[Item], tools: BodyTools) -> list[Result]:
        """EFT goes image by image; MAP takes the batch at once."""
        if self.method == "eft":
            return [self.guarded(item, tools) for item in items]
        inputs: list[LifterInput | Rejected] = [_guarded_inputs(item) for item in items]
        usable = [one for one in inputs if not isinstance(one, Rejected)]
        fits = iter(_fit_map_batch(usable, tools))
        results = []
        for one in inputs:
            if isinstance(one, Rejected):
                results.append(Result.rejected(one.reason, one.message))
            else:
                results.append(Result(columns=body_columns(next(fits), one, tools)))
        return results

    def process_item(self, item: Item, tools: BodyTools) -> Result:
        inputs = _inputs(item)
        exemplar = inputs if tools.lifter is not None else image_exemplar(inputs, decode_rgb(item.source()))
        return Result(columns=body_columns(tools.tuner.fit(exemplar), inputs, tools))


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


def _fit_map_batch(inputs: list[LifterInput], tools: BodyTools) -> list[BodyFit]:
    if not inputs:
        return []
    assert tools.lifter is not None
    batch = LifterInput(*(torch.cat(parts) for parts in zip(*inputs, strict=True)))
    with torch.no_grad():
        start = tools.lifter(batch)
    return fit_map(start, batch, tools.points, tools.residual_chol, MapConfig())


def body_columns(fit: BodyFit, inputs: LifterInput, tools: BodyTools) -> dict[str, Any]:
    """The stage's columns from one fit."""
    rotvecs = axis_angle_from_matrix(torch.from_numpy(fit.rotations)).numpy()
    rotations, betas = torch.from_numpy(fit.rotations)[None], torch.from_numpy(fit.betas)[None]
    joints = tools.points(rotations, betas).joints[0].numpy()
    return tools.constants | {
        "smpl_betas": fit.betas,
        "smpl_global_orient": rotvecs[0],
        "smpl_body_pose_first": rotvecs[1:],
        "body_camera": fit.camera_px,
        "smpl_joints_px": fit.joints_px,
        "smpl_joints_cam_m": joints,
        "neck_cam_m": joints[NECK],
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
