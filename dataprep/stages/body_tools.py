"""What the body stage works with: the loaded models, and one image's key points to its columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from dataprep.errors import AssetError, Rejected
from dataprep.fits.body.body_fit import BodyFit
from dataprep.fits.body.detector_errors import load_detector
from dataprep.fits.body.eft import ExemplarTuner
from dataprep.fits.body.eft_config import EFT_COMPAT, EftConfig
from dataprep.fits.body.evidence import Evidence, with_openpose
from dataprep.fits.body.image_joints import with_joints
from dataprep.fits.body.map_body import MapConfig, fit_map, solve_map
from dataprep.fits.body.reprojection import target_of
from dataprep.fits.face.face3dmm import FaceFitter
from dataprep.fits.face.face_scale import face_px_per_m, scale_evidence
from dataprep.fits.generator_labels import chest_rotation
from dataprep.fits.head_tie import neck_head_covariance, rest_face_points
from dataprep.frames.geometry import PORTRAIT_SIDE_M
from dataprep.frames.rotations import axis_angle_from_matrix
from dataprep.frames.smpl_joints import NECK
from dataprep.models.body.body_files import STANDIN, open_body
from dataprep.models.body.body_points import BodyPoints, body_points
from dataprep.models.body.mediapipe_points import POINT_NAMES
from dataprep.models.body.openpose_points import beside_openpose
from dataprep.models.body.smpl import BodyModel
from dataprep.models.body.smpl_keypoints import SMPL_VERTICES
from dataprep.models.devices import resolve_device
from dataprep.models.licensed import find_file
from dataprep.models.regressors.hmr import image_exemplar, load_hmr
from dataprep.models.regressors.lifter import Lifter, LifterInput, from_mediapipe, open_lifter
from dataprep.models.regressors.mhr_joints import SETTING, MhrJoints
from dataprep.pictures.codecs import decode_rgb
from dataprep.stages.base import Item, Result
from dataprep.stages.face import Face
from dataprep.tables.labels import SMPL_BETAS

_MIN_POINTS = 8


@dataclass(frozen=True)
class BodyChoices:
    """How bodies are fitted: parameters of the body stage, which says what each means."""

    model: str
    regressor: str
    hmr: str
    method: Literal["eft", "map"]
    eft: EftConfig
    eft_compat: bool
    face_scale: bool
    openpose: bool
    device: str


@dataclass(frozen=True)
class BodyTools:
    """Loaded models of one process. `lifter` is None when the regressor is HMR; `faces` may be empty.

    `joints` reads 3D joints from pixels, None where MediaPipe's world landmarks serve.
    """

    model: BodyModel
    points: BodyPoints  # the 23 points, where the detector puts them
    residual_chol: torch.Tensor
    lifter: Lifter | None
    tuner: ExemplarTuner
    faces: Mapping[str, FaceFitter]
    choices: BodyChoices
    joints: MhrJoints | None = None

    def fit(self, item: Item) -> Result:
        """Fit one image; raises Rejected."""
        inputs = _inputs(item, self._world_m(item))
        evidence = self._evidence(item.row, inputs)
        points = self.points if evidence.openpose_px is None else self._with_openpose
        return Result(columns=self._columns(self._fit(item, inputs, evidence, points), inputs, evidence))

    def _fit(self, item: Item, inputs: LifterInput, evidence: Evidence, points: BodyPoints) -> BodyFit:
        if self.choices.eft_compat:
            return self.tuner.fit(self._exemplar(item, inputs))
        if self.lifter is None:
            return self.tuner.fit(self._exemplar(item, inputs), evidence, points)
        with torch.no_grad():
            start = self.lifter(inputs)
        if self.choices.method == "map":
            return fit_map(start, inputs, points, self.residual_chol, MapConfig(), evidence)[0]
        found = solve_map(start, target_of(inputs, evidence), points, self.residual_chol, MapConfig())
        return self.tuner.fit(inputs, evidence, points, found.residual)

    def _world_m(self, item: Item) -> np.ndarray:
        world_m = item.row["keypoints33_world_m"]
        if self.joints is None:
            return world_m
        return with_joints(world_m, self.joints(decode_rgb(item.source()), item.row["person_bbox_px"]))

    def _exemplar(self, item: Item, inputs: LifterInput) -> LifterInput:
        return inputs if self.lifter is not None else image_exemplar(inputs, decode_rgb(item.source()))

    def _evidence(self, row: Mapping[str, Any], inputs: LifterInput) -> Evidence:
        """What the row knows besides MediaPipe's points; frames of a video may know nothing."""
        evidence = scale_evidence(None)
        if self.choices.eft_compat:  # the reference knows MediaPipe's kind of points alone
            return evidence
        if self.choices.face_scale:
            found_by = row.get("landmarks68_method")
            evidence = scale_evidence(face_px_per_m(self.faces, row.get("landmarks68_px"), found_by))
        if self.choices.openpose and (openpose := row.get("openpose25")) is not None:
            evidence = with_openpose(evidence, openpose, inputs)
        return evidence

    @cached_property
    def _with_openpose(self) -> BodyPoints:
        return beside_openpose(self.points, body_points(self.model, POINT_NAMES))

    def _columns(self, fit: BodyFit, inputs: LifterInput, evidence: Evidence) -> dict[str, Any]:
        """The stage's columns from one fit."""
        rotvecs = axis_angle_from_matrix(torch.from_numpy(fit.rotations)).numpy()
        rotations, betas = torch.from_numpy(fit.rotations)[None], torch.from_numpy(fit.betas)[None]
        joints = self.points(rotations, betas).joints[0].numpy()
        side_px = float(fit.camera_px[0]) * PORTRAIT_SIDE_M
        return self.constants | {
            SMPL_BETAS: fit.betas,
            "smpl_global_orient": rotvecs[0],
            "smpl_body_pose_first": rotvecs[1:],
            "body_camera": fit.camera_px,
            "smpl_joints_px": fit.joints_px,
            "smpl_joints_cam_m": joints,
            "neck_cam_m": joints[NECK],
            "chest_rotation_cam": chest_rotation(fit.rotations.astype(np.float64)),
            "body_fit_rmse": fit.rmse_px,
            "body_fit_rmse_relative": fit.rmse_px / side_px,
            "body_fit_portrait_rmse": fit.portrait_rmse_px,
            "body_fit_portrait_rmse_relative": fit.portrait_rmse_px / side_px,
            "body_face_scale": float(evidence.px_per_m) if bool(evidence.log_sigma.isfinite()) else None,
            "body_openpose_points": 0 if evidence.openpose_seen is None else int(evidence.openpose_seen.sum()),
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
            "body_regressor": Path(self.choices.regressor).name,
            "neck_head_covariance": neck_head_covariance(self.residual_chol.numpy()),
            "face_points_rest_m": rest_face_points(self.model),
        }


def open_tools(choices: BodyChoices) -> BodyTools:
    """Open the models; raises AssetError."""
    model = open_body(choices.model)
    faces = Face().load().fitters if choices.face_scale else {}
    config = EFT_COMPAT if choices.eft_compat else choices.eft
    if choices.regressor != "hmr":
        lifter = open_lifter(model, choices.model)
        points, tuner = lifter.network.body, ExemplarTuner(lifter.network, lifter.network.body, config)
        joints = None if choices.regressor == "lifter" else _open_joints(choices)
        return BodyTools(model, points, lifter.residual_chol, lifter.network, tuner, faces, choices, joints)
    if len(model.v_template) != SMPL_VERTICES:
        raise AssetError(f"body.regressor=hmr needs SMPL's {SMPL_VERTICES} vertices; {choices.model} is another body")
    hmr = load_hmr(find_file(choices.hmr, "body.hmr")).to(resolve_device(choices.device))
    points = body_points(model, POINT_NAMES).with_offsets(load_detector().image_offset_m)
    # What HMR leaves open of neck and head was never measured; the shipped lifter's residuals stand in for it.
    residual_chol = open_lifter(open_body(), STANDIN).residual_chol
    return BodyTools(model, points, residual_chol, None, ExemplarTuner(hmr, points, config), faces, choices)


def _open_joints(choices: BodyChoices) -> MhrJoints:
    return MhrJoints(find_file(choices.regressor, SETTING), choices.device)


def _inputs(item: Item, world_m: np.ndarray) -> LifterInput:
    row = item.row
    points = row["keypoints33"]
    size = (row["source_width"], row["source_height"])
    inputs = from_mediapipe(points[:, :2], points[:, 2], world_m, size)
    seen = int(inputs.visible.sum())
    if seen < _MIN_POINTS:
        raise Rejected("too_few_keypoints", f"{seen} body points are visible, at least {_MIN_POINTS} are needed")
    return inputs
