"""Where the fitted face and body lie in a portrait: outlines of their projected meshes, in pixels of 512."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from dataprep.frames.face_frames import Alignment, head_from_3dmm, project_224
from dataprep.frames.geometry import PORTRAIT_PX
from dataprep.frames.smpl_joints import PARENTS
from dataprep.models.body.smpl import BodyModel
from dataprep.models.face.bfm import FaceModel
from dataprep.tables.labels import (
    BFM_ANGLE,
    BFM_EXP,
    BFM_ID,
    BFM_TRANS,
    INTRINSICS,
    SMPL_BETAS,
    SMPL_BODY_POSE,
    SMPL_GLOBAL_ORIENT_PORTRAIT,
    SMPL_TRANSL,
)

_GRID_PX = 128  # outlines are found at a quarter of the portrait's resolution
_MIN_AREA = 12.0  # of a contour, grid pixels
_BARYCENTRIC = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4]], np.float32)
Row = Mapping[str, Any]
Contours = list[Float[np.ndarray, "n 2"]]


@dataclass(frozen=True)
class Outliner:
    """The models that a data set's coefficients belong to; None: their file is not there."""

    face: FaceModel | None
    body: BodyModel | None

    def face_outline(self, row: Row) -> Contours:
        """Of the 3DMM's mesh; [] without the model or the labels."""
        if self.face is None or row.get(BFM_ID) is None or row.get("face_alignment") is None:
            return []
        shape = self.face.shape(row[BFM_ID], row[BFM_EXP])
        placed = shape @ head_from_3dmm(row[BFM_ANGLE].astype(np.float64)).T + row[BFM_TRANS]
        scale, *centre = row["face_alignment"].astype(np.float64)
        points = Alignment(float(scale), np.array(centre)).to_portrait(project_224(placed))
        return _outline(points, self.face.triangles)

    def body_outline(self, row: Row) -> Contours:
        """Of the SMPL mesh before the portrait's camera, with the released pose; [] without the model or the labels."""
        if self._posing is None or row.get(SMPL_TRANSL) is None:
            return []
        vertices = self._posing(row[SMPL_BETAS], row[SMPL_GLOBAL_ORIENT_PORTRAIT], row[SMPL_BODY_POSE])
        placed = vertices + row[SMPL_TRANSL]
        points = placed @ row[INTRINSICS].astype(np.float64).T
        return _outline(PORTRAIT_PX * points[:, :2] / points[:, 2:], self._posing.model.faces)

    @cached_property
    def _posing(self) -> Posing | None:
        return None if self.body is None else Posing(self.body)


class Posing:
    """Linear blend skinning in numpy: fast for one body at a time."""

    def __init__(self, model: BodyModel) -> None:
        self.model = model
        self._joint_regressor = model.joint_regressor

    def __call__(
        self, betas: Float[np.ndarray, "10"], orient: Float[np.ndarray, "3"], pose: Float[np.ndarray, "23 3"]
    ) -> Float[np.ndarray, "v 3"]:
        """Posed vertices in metres, camera axes, about the body model's origin."""
        model = self.model
        shaped = model.v_template + model.shapedirs @ betas.astype(np.float32)
        joints = self._joint_regressor @ shaped
        rotations = Rotation.from_rotvec(np.concatenate([orient[None], pose]).astype(np.float64)).as_matrix()
        if model.posedirs is not None:
            feature = (rotations[1:] - np.eye(3)).reshape(-1).astype(np.float32)
            shaped = shaped + model.posedirs.reshape(*shaped.shape, -1) @ feature
        moved = _joint_transforms(rotations, joints)
        blended = np.einsum("vj,jab->vab", model.weights, moved.astype(np.float32))
        return np.einsum("vab,vb->va", blended[:, :, :3], shaped) + blended[:, :, 3]


def _joint_transforms(
    rotations: Float[np.ndarray, "j 3 3"], joints: Float[np.ndarray, "j 3"]
) -> Float[np.ndarray, "j 3 4"]:
    """Rest to posed, of every joint."""
    world = np.tile(np.eye(4), (len(joints), 1, 1))
    for j, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3], local[:3, 3] = rotations[j], joints[j] - (joints[parent] if parent >= 0 else 0)
        world[j] = local if parent < 0 else world[parent] @ local
    world[:, :3, 3] -= np.einsum("jab,jb->ja", world[:, :3, :3], joints)
    return world[:, :3]


def _outline(points_px: Float[np.ndarray, "v 2"], triangles: Int[np.ndarray, "t 3"]) -> Contours:
    """Outer contours of a projected mesh: points spread over its triangles, gaps closed."""
    grid = points_px.astype(np.float32) * (_GRID_PX / PORTRAIT_PX)
    weights = _BARYCENTRIC / _BARYCENTRIC.sum(axis=1, keepdims=True)
    spread = np.einsum("kc,tcd->ktd", weights, grid[triangles]).reshape(-1, 2)
    inside = np.isfinite(spread).all(axis=1) & (spread > -2).all(axis=1) & (spread < _GRID_PX + 2).all(axis=1)
    cells = np.floor(spread[inside]).astype(int) + 2
    mask = np.zeros((_GRID_PX + 4, _GRID_PX + 4), np.uint8)
    mask[cells[:, 1], cells[:, 0]] = 255
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    found, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    large = [cv2.approxPolyDP(contour, 0.7, True)[:, 0] for contour in found if cv2.contourArea(contour) > _MIN_AREA]
    return [(contour - 2 + 0.5) * (PORTRAIT_PX / _GRID_PX) for contour in large]
