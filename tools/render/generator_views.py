"""What the generator's two cameras see of a posed figure, and the labels that say so exactly. No OpenGL here.

The generator knows nothing below the chest: its frame is the chest's, its unit the face unit. A figure is in the scene
of its recipe, whose axes are those of the photograph's camera. Labels hold for the generator's own geometry: a camera
is where `gan.rendering.cameras` puts it, and the face camera goes with the head as `gan.rendering.posed_body` poses it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dataprep.fits import generator_labels as labels
from dataprep.frames.geometry import BODY_UNIT_M, FACE_ORIGIN_BODY, FACE_UNIT_BODY
from gan.config import GeneratorConfig
from gan.rendering.body_arrays import BETAS, BodyArrays
from gan.rendering.cameras import camera_origin, face_camera, portrait_camera, world_from_camera
from gan.rendering.posed_body import PosableBody
from tools.render import exact_truth
from tools.render.figure import Figure
from tools.render.poses import CHEST, NECK
from tools.render.scene import SceneCamera, View

Array = NDArray[np.float64]

FACE_UNIT_M = BODY_UNIT_M * FACE_UNIT_BODY
LABEL_PX = 512  # portrait in whose pixels the landmarks are given
FRONT_RAD = math.pi / 2
# Of the mean diagonal. Without it betas are a quarter larger, up to 5.4, for 0.1 mm of 4 at the face's landmarks.
BETAS_RIDGE = 1e-2
PITCH_SPREAD_RAD, YAW_SPREAD_RAD = 0.08, 0.43  # as of the cameras of the recipes' photographs, over 40 people
FARTHEST_PITCH_RAD, FARTHEST_YAW_RAD = 0.27, 0.9  # from the front, of chest and of face: beyond, no face is to be seen
_PORTRAIT, _FACE = (make(GeneratorConfig()) for make in (portrait_camera, face_camera))


@dataclass(frozen=True)
class NeckedBody:
    """The stand-in as the generator uses it: vertices that joints above the chest carry, about the neck."""

    model: PosableBody
    upper: NDArray[np.int64]  # rows of the stand-in's vertices
    mean_m: Array  # (U, 3) from the neck
    shape_dirs_m: Array  # (U, 3, 10)

    @classmethod
    def of(cls, arrays: BodyArrays) -> NeckedBody:
        """Choose the vertices as the generator does; the model poses joints only."""
        upper = arrays.upper_body(GeneratorConfig().outside_weight_max)
        mean, dirs, neck = arrays.v_template, arrays.shapedirs[..., :BETAS], arrays.J_regressor[NECK]
        about_neck = mean[upper] - neck @ mean, dirs[upper] - np.einsum("v,vck->ck", neck, dirs)
        return cls(PosableBody(arrays, upper[:1]), upper, *about_neck)

    def betas(self, standin: exact_truth.StandIn, neutral_tpose_m: Array) -> Array:
        """Shape (10,) whose upper body is nearest; feet and hips, which no camera sees, have no say."""
        neck_m = standin.skeleton.joints_m(neutral_tpose_m)[NECK]
        about_neck = neutral_tpose_m[standin.body_vertex[self.upper]] - neck_m
        return exact_truth.solve(self.shape_dirs_m, about_neck - self.mean_m, BETAS_RIDGE)

    def posed_from_canonical_head(self, betas: Array, joints_zyx: Array) -> Array:
        """Where the head goes (3, 4), face units."""
        codes = (torch.tensor(values[None], dtype=torch.float32) for values in (betas, joints_zyx))
        with torch.no_grad():
            return self.model(*codes).posed_from_canonical_head_B34[0].double().numpy()


@dataclass(frozen=True)
class Sitter:
    """A figure as the generator is told of it: codes, and the transforms between its frame and the scene."""

    figure: Figure
    standin: exact_truth.StandIn
    joints_zyx: Array  # (6, 3) rad
    betas: Array  # (10,)
    bfm_id: Array  # (80,)
    bfm_exp: Array  # (64,)
    posed_from_canonical_head: Array  # (3, 4), face units

    @classmethod
    def of(cls, figure: Figure, standin: exact_truth.StandIn, body: NeckedBody) -> Sitter:
        """Measure a figure in the stand-in's bases."""
        zyx, betas = labels.joints_zyx(figure.rotations_local), body.betas(standin, figure.neutral_tpose_m)
        codes = exact_truth.face_coefficients(standin, figure.neutral_tpose_m, figure.base_tpose_m)
        return cls(figure, standin, zyx, betas, *codes, body.posed_from_canonical_head(betas, zyx))

    def in_face_units(self, scene_m: Array) -> Array:
        """Points (..., 3) of the scene in the generator's frame."""
        chest_m = (scene_m - self.figure.joints_cam_m[NECK]) @ self.figure.rotations_cam[CHEST]
        return (chest_m / BODY_UNIT_M - np.array(FACE_ORIGIN_BODY)) / FACE_UNIT_BODY

    def own_pitch_yaw(self) -> Array:
        """The portrait camera (2,) that looks as the photograph's did."""
        return _pitch_yaw(self.in_face_units(np.zeros(3)) - _PORTRAIT.offset)

    def face_pitch_yaw(self, portrait_pitch_yaw: Array) -> Array:
        """The face camera (2,), in the head's frame, that looks from where the portrait camera stands."""
        _, stand = _placed(portrait_pitch_yaw, _PORTRAIT.radius)
        head, centre = self.posed_from_canonical_head[:, :3], self.posed_from_canonical_head[:, 3]
        return _pitch_yaw((stand + _PORTRAIT.offset - centre) @ head)

    def portrait(self, pitch_yaw: Array, size_px: int) -> View:
        """The generator's portrait camera in the scene."""
        rotation, stand = _placed(pitch_yaw, _PORTRAIT.radius)
        return self._view(rotation, stand + _PORTRAIT.offset, _PORTRAIT.fov_rad, size_px)

    def face(self, pitch_yaw: Array, size_px: int) -> View:
        """The generator's face camera in the scene, carried along with the head."""
        rotation, stand = _placed(pitch_yaw, _FACE.radius)
        head, centre = self.posed_from_canonical_head[:, :3], self.posed_from_canonical_head[:, 3]
        return self._view(head @ rotation, head @ stand + centre, _FACE.fov_rad, size_px)

    def _view(self, face_from_camera: Array, stand: Array, fov_rad: float, size_px: int) -> View:
        """A square camera; `face_from_camera` has OpenGL axes, `stand` is in face units."""
        chest, neck_m = self.figure.rotations_cam[CHEST], self.figure.joints_cam_m[NECK]
        rotation = exact_truth.GL_FROM_CAM @ face_from_camera.T @ chest.T
        stand_m = neck_m + chest @ (stand * FACE_UNIT_M + np.array(FACE_ORIGIN_BODY) * BODY_UNIT_M)
        focal_px = size_px / 2 / math.tan(fov_rad / 2)  # rims at -1 and 1, as crops of photographs have them
        camera = SceneCamera(focal_px, focal_px, size_px / 2, size_px / 2, size_px, size_px)
        return View(camera, np.column_stack([rotation, -rotation @ stand_m]))

    def label_row(self, portrait_pitch_yaw: Array) -> dict[str, Any]:
        """The label columns of the view from one portrait camera."""
        seen = _as_seen(self.figure, self.portrait(portrait_pitch_yaw, LABEL_PX))
        head = exact_truth.head_rotation(self.standin, seen.base_cam_m, self.bfm_id, self.bfm_exp)
        return {
            "camera_pitch_yaw": portrait_pitch_yaw,
            "face_pitch_yaw": self.face_pitch_yaw(portrait_pitch_yaw),
            "joints_zyx": self.joints_zyx,
            "cam2world": labels.cam2world(portrait_pitch_yaw),
            "intrinsics": labels.intrinsics(),
            "landmarks68": exact_truth.landmarks_px(seen, self.standin, head),
            "bfm_id": self.bfm_id,
            "bfm_exp": self.bfm_exp,
            "smpl_betas": self.betas,
        }


def drawn_cameras(sitter: Sitter, rng: np.random.Generator) -> Iterator[Array]:
    """Portrait cameras (2,) without end: the photograph's own, then others that see the face."""
    yield sitter.own_pitch_yaw()
    while True:
        pitch_yaw = FRONT_RAD + rng.normal(0.0, (PITCH_SPREAD_RAD, YAW_SPREAD_RAD))
        pitch_off, yaw_off = np.abs(pitch_yaw - FRONT_RAD)
        face_yaw_off = abs(sitter.face_pitch_yaw(pitch_yaw)[1] - FRONT_RAD)
        if pitch_off <= FARTHEST_PITCH_RAD and max(yaw_off, face_yaw_off) <= FARTHEST_YAW_RAD:
            yield pitch_yaw


def _as_seen(figure: Figure, view: View) -> Figure:
    """The same person, without surfaces, in the axes of another camera."""
    rotation = view.camera_from_scene[:, :3]
    return replace(
        figure,
        camera=view.camera,
        surfaces=[],
        rotations_cam=rotation @ figure.rotations_cam,
        joints_cam_m=view.seen(figure.joints_cam_m),
        base_cam_m=view.seen(figure.base_cam_m),
    )


def _placed(pitch_yaw: Array, radius: float) -> tuple[Array, Array]:
    """Rotation (3, 3) and place (3,) of a camera of the generator, before its offset."""
    origin = camera_origin(torch.from_numpy(np.asarray(pitch_yaw, np.float64))[None], radius)
    return world_from_camera(origin)[0].numpy(), origin[0].numpy()


def _pitch_yaw(towards_camera: Array) -> Array:
    x, y, z = towards_camera / np.linalg.norm(towards_camera)
    return np.array([math.acos(y), math.atan2(z, x)])
