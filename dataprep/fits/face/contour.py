"""Jaw landmarks that slide: on a turned head, iBUG's points follow the visible edge of the far cheek, not a vertex.

For each jaw landmark a row of surface points runs from it along its height towards the front of the face. At a given
rotation the far side's landmarks are the points of their rows that reach furthest out in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dataprep.frames.face_frames import pitch_yaw_of_head
from dataprep.models.face.bfm import FaceModel

_IMAGE_LEFT, _IMAGE_RIGHT = range(8), range(9, 17)  # the chin, 8, stays
_STEPS = 14
_NEAR = 8
_FRONT_SHARE = 0.3  # rows end at this part of their landmark's azimuth
_LEAST_YAW_RAD = np.radians(10.0)


@dataclass(frozen=True, eq=False)
class Rows:
    """Surface points of the 17 jaw landmarks' rows, as weightings of near vertices; the first is the landmark."""

    vertices: Int[np.ndarray, "17 s n"]
    weights: Float[np.ndarray, "17 s n"]

    def points(self, vertices: Float[np.ndarray, "v c"]) -> Float[np.ndarray, "17 s c"]:
        """Where they are on a mesh of the model's triangulation."""
        return np.einsum("ksn,ksnc->ksc", self.weights, vertices[self.vertices])


@dataclass(frozen=True, eq=False)
class Contour:
    """The rows' part of the model."""

    mean: Float[np.ndarray, "17 s 3"]
    basis: Float[np.ndarray, "17 s 3 144"]

    def landmarks(
        self,
        mean: Float[np.ndarray, "68 3"],
        basis: Float[np.ndarray, "68 3 144"],
        head_from_face: Float[np.ndarray, "3 3"],
        coefficients: Float[np.ndarray, "144"],
    ) -> tuple[Float[np.ndarray, "68 3"], Float[np.ndarray, "68 3 144"]]:
        """Means and bases with the far side's jaw landmarks moved to the edge seen at this rotation."""
        far = far_side(head_from_face)
        if not far:
            return mean, basis
        shaped = self.mean[far] + self.basis[far] @ coefficients
        chosen = outermost(shaped @ head_from_face.T, head_from_face)
        mean, basis = mean.copy(), basis.copy()
        mean[far], basis[far] = self.mean[far, chosen], self.basis[far, chosen]
        return mean, basis


def far_side(head_from_face: Float[np.ndarray, "3 3"]) -> list[int]:
    """Jaw landmarks that slide at a rotation: none while the head hardly turns."""
    yaw = pitch_yaw_of_head(head_from_face)[1]
    if abs(yaw) < _LEAST_YAW_RAD:
        return []
    return list(_IMAGE_RIGHT if yaw > 0 else _IMAGE_LEFT)


def outermost(turned: Float[np.ndarray, "k s 3"], head_from_face: Float[np.ndarray, "3 3"]) -> Int[np.ndarray, " k"]:
    """Which point of each far row (in the picture's axes, y up) reaches furthest out across the head's up axis."""
    up = head_from_face[:2, 1]
    outward = np.sign(pitch_yaw_of_head(head_from_face)[1]) * (turned[..., :2] @ [up[1], -up[0]])
    return outward.argmax(1)


def contour_of(model: FaceModel) -> Contour:
    """The rows of a face model."""
    rows = rows_of(model)
    basis = np.concatenate((model.id_base, model.exp_base), axis=-1).astype(np.float64)
    flat = rows.points(basis.reshape(len(basis), -1))
    return Contour(rows.points(model.mean.astype(np.float64)), flat.reshape(*flat.shape[:2], *basis.shape[1:]))


def rows_of(model: FaceModel) -> Rows:
    """Each row: the landmark, then points at evenly spaced azimuths and its height."""
    shape = model.mean.astype(np.float64)
    jaw = shape[model.landmarks[:17]]
    axis_z = jaw[[0, 16], 2].mean()  # azimuths are about the vertical through the ears
    azimuth = np.arctan2(shape[:, 0], shape[:, 2] - axis_z)
    radius = np.hypot(shape[:, 0], shape[:, 2] - axis_z)
    vertices = np.empty((17, _STEPS, _NEAR), np.int64)
    weights = np.empty((17, _STEPS, _NEAR))
    for k, (landmark, vertex) in enumerate(zip(jaw, model.landmarks[:17], strict=True)):
        for step, share in enumerate(np.linspace(1, _FRONT_SHARE, _STEPS)):
            aside = radius * (azimuth - share * azimuth[vertex])
            above = shape[:, 1] - landmark[1]
            near = np.argpartition(np.hypot(aside, above), _NEAR)[:_NEAR]
            vertices[k, step], weights[k, step] = near, _affine(aside[near], above[near])
        vertices[k, 0, 0], weights[k, 0] = vertex, [1, *[0] * (_NEAR - 1)]
    return Rows(vertices, weights)


def _affine(aside: Float[np.ndarray, " n"], above: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The smallest weights with sum 1 under which the given offsets average to zero."""
    return np.linalg.lstsq(np.stack((aside, above, np.ones(len(aside)))), np.array([0.0, 0, 1]), rcond=None)[0]
