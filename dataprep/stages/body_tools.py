"""What the body stage works with: the loaded models, and one image's key points to its columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dataprep.errors import AssetError, Rejected
from dataprep.fits.body_fit import BodyFit
from dataprep.fits.camera import chest_rotation
from dataprep.fits.detector_errors import load_detector
from dataprep.fits.eft import ExemplarTuner
from dataprep.fits.eft_config import EFT_COMPAT, EftConfig
from dataprep.fits.head_tie import neck_head_covariance, rest_face_points
from dataprep.fits.map_body import MapConfig, fit_map
from dataprep.geometry import PORTRAIT_SIDE_M
from dataprep.images import decode_rgb
from dataprep.licensed import find_file
from dataprep.models.body_files import STANDIN, open_body
from dataprep.models.body_points import BodyPoints, body_points
from dataprep.models.devices import resolve_device
from dataprep.models.hmr import image_exemplar, load_hmr
from dataprep.models.lifter import Lifter, LifterInput, from_mediapipe, open_lifter
from dataprep.models.mediapipe_points import POINT_NAMES
from dataprep.models.rotations import axis_angle_from_matrix
from dataprep.models.smpl import NECK, BodyModel
from dataprep.models.smpl_keypoints import SMPL_VERTICES
from dataprep.stages.base import Item, Result

if TYPE_CHECKING:
    from dataprep.stages.body import Body

_MIN_POINTS = 8


@dataclass(frozen=True)
class BodyTools:
    """Loaded models of one process. `lifter` is None when the regressor is HMR."""

    model: BodyModel
    points: BodyPoints  # the 23 points, where the detector puts them
    residual_chol: torch.Tensor
    lifter: Lifter | None
    tuner: ExemplarTuner

    def fit(self, item: Item) -> Result:
        """Exemplar fine-tuning on one image; raises Rejected."""
        inputs = _inputs(item)
        exemplar = inputs if self.lifter is not None else image_exemplar(inputs, decode_rgb(item.source()))
        return Result(columns=self._columns(self.tuner.fit(exemplar), inputs))

    def fit_batch(self, items: Sequence[Item]) -> list[Result]:
        """MAP fits of all images at once."""
        inputs: list[LifterInput | Rejected] = [_guarded_inputs(item) for item in items]
        usable = [one for one in inputs if not isinstance(one, Rejected)]
        fits = iter(self._map_fits(usable))
        results = []
        for one in inputs:
            if isinstance(one, Rejected):
                results.append(Result.rejected(one.reason, one.message))
            else:
                results.append(Result(columns=self._columns(next(fits), one)))
        return results

    def _map_fits(self, inputs: list[LifterInput]) -> list[BodyFit]:
        if not inputs:
            return []
        assert self.lifter is not None
        batch = LifterInput(*(torch.cat(parts) for parts in zip(*inputs, strict=True)))
        with torch.no_grad():
            start = self.lifter(batch)
        return fit_map(start, batch, self.points, self.residual_chol, MapConfig())

    def _columns(self, fit: BodyFit, inputs: LifterInput) -> dict[str, Any]:
        """The stage's columns from one fit."""
        rotvecs = axis_angle_from_matrix(torch.from_numpy(fit.rotations)).numpy()
        rotations, betas = torch.from_numpy(fit.rotations)[None], torch.from_numpy(fit.betas)[None]
        joints = self.points(rotations, betas).joints[0].numpy()
        return self.constants | {
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

    @property
    def constants(self) -> dict[str, Any]:
        """Columns that are the same in every row: what later stages must know of the body model and its regressor."""
        return {
            "body_model": self.model.name,
            "body_model_sha256": self.model.sha256,
            "body_regressor": "hmr" if self.lifter is None else "lifter",
            "neck_head_covariance": neck_head_covariance(self.residual_chol.numpy()),
            "face_points_rest_m": rest_face_points(self.model),
        }


def load_tools(stage: Body) -> BodyTools:
    """Open the stage's models; raises AssetError."""
    model = open_body(stage.model)
    config = EftConfig(learning_rate=stage.learning_rate, max_steps=stage.max_steps, stop_loss=stage.stop_loss)
    config = EFT_COMPAT if stage.eft_compat else config
    if stage.regressor == "lifter":
        lifter = open_lifter(model, stage.model)
        points, tuner = lifter.network.body, ExemplarTuner(lifter.network, lifter.network.body, config)
        return BodyTools(model, points, lifter.residual_chol, lifter.network, tuner)
    if len(model.v_template) != SMPL_VERTICES:
        raise AssetError(f"body.regressor=hmr needs SMPL's {SMPL_VERTICES} vertices; {stage.model} is another body")
    hmr = load_hmr(find_file(stage.hmr, "body.hmr")).to(resolve_device(stage.device))
    points = body_points(model, POINT_NAMES).with_offsets(load_detector().image_offset_m)
    # What HMR leaves open of neck and head was never measured; the shipped lifter's residuals stand in for it.
    residual_chol = open_lifter(open_body(), STANDIN).residual_chol
    return BodyTools(model, points, residual_chol, None, ExemplarTuner(hmr, points, config))


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
