"""3DMM from 68 landmarks: MAP by Gauss-Newton through Deep3DFaceRecon's perspective camera, many faces at a time.

Unknowns: rotation (left increment), translation, 80 identity and 64 expression coefficients, solved jointly with unit
normal priors on the coefficients. A prior on depth is needed: size and distance trade off. Landmarks are weighed by the
measured covariance of the detector's errors (`landmark_errors`), or by guessed ones where nobody measured. The
detector's blendshapes, where they were read, are evidence of the expression (`blendshape_response`). On a face
whose facial units are known the expression is then solved again for non-negative units (`expression_units`).

Faces do not touch each other's numbers: one alone comes out as it does among others.
Shape suffixes: B faces, L = 68 landmarks, K = 144 coefficients, U = 6 + K unknowns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.spatial.transform import Rotation

from dataprep.errors import Rejected
from dataprep.fits.face.blendshape_response import BlendshapeResponse
from dataprep.fits.face.contour import Contour
from dataprep.fits.face.expression_solver import likeliest
from dataprep.fits.face.expression_units import ExpressionUnits
from dataprep.fits.face.face_fit import FaceFit, FaceFitConfig
from dataprep.fits.face.landmark_errors import LandmarkErrors
from dataprep.frames.face_frames import (
    CENTRE_PX,
    DISTANCE_DM,
    FOCAL_PX,
    Alignment,
    align,
    angle_from_head,
    pitch_yaw_of_head,
    weak_pose,
)
from dataprep.models.face.bfm import EXP, ID, FaceModel

Rotation3 = Float[np.ndarray, "3 3"]
Blendshapes = Sequence[Float[np.ndarray, "52"] | None]  # one entry a face; None: not read

_JAW = np.arange(17)
_POSE = 6  # rotation and translation come first among the unknowns
_REST = _POSE + ID  # ... and the expression last
_AT_ONCE = 16  # faces: their Jacobians stay in the cache
_ROUNDS = 2  # of facial units and the rest
_PX_PER_DM = FOCAL_PX / DISTANCE_DM
_NO_FACE = "the 68 landmarks do not form a face that the 3DMM can explain"


def fit_face(
    model: FaceModel,
    landmarks_px: Float[np.ndarray, "68 2"],
    config: FaceFitConfig,
    errors: LandmarkErrors | None = None,
    contour: Contour | None = None,
    units: ExpressionUnits | None = None,
) -> FaceFit:
    """Fit one face; raises Rejected where `FaceFitter` returns it."""
    (fit,) = FaceFitter(model, config, errors, contour, units)(landmarks_px[None])
    if isinstance(fit, Rejected):
        raise fit
    return fit


class Faces(NamedTuple):
    """The unknowns of several faces."""

    rotation: Float[np.ndarray, "b 3 3"]
    trans_dm: Float[np.ndarray, "b 3"]
    coefficients: Float[np.ndarray, "b 144"]

    def moved(self, step_BU: Float[np.ndarray, "b 150"]) -> Faces:
        turn = Rotation.from_rotvec(step_BU[:, :3]).as_matrix()
        return Faces(turn @ self.rotation, self.trans_dm + step_BU[:, 3:6], self.coefficients + step_BU[:, _POSE:])

    def take(self, rows: np.ndarray) -> Faces:
        return Faces(self.rotation[rows], self.trans_dm[rows], self.coefficients[rows])

    @property
    def from_prior(self) -> Float[np.ndarray, "b 150"]:
        """Distance of each unknown from its prior's mean; rotations have none."""
        return np.concatenate((np.zeros((len(self.trans_dm), 3)), self.trans_dm, self.coefficients), 1)


class Measured(NamedTuple):
    """What was measured of several faces."""

    landmarks_px: Float[np.ndarray, "b 68 2"]  # in 224 px
    score: Float[np.ndarray, "b 64"]  # of the blendshapes (`BlendshapeResponse.score`); 0 where they were not read
    read: Float[np.ndarray, "b"]  # 1 where they were, else 0

    @classmethod
    def landmarks(cls, landmarks_px: Float[np.ndarray, "b 68 2"]) -> Measured:
        """Landmarks alone."""
        return cls(landmarks_px, np.zeros((len(landmarks_px), EXP)), np.zeros(len(landmarks_px)))

    def take(self, rows: np.ndarray) -> Measured:
        return Measured(self.landmarks_px[rows], self.score[rows], self.read[rows])


class FaceFitter:
    """Fits one model to landmarks of one detector.

    `errors`: where the detector puts its landmarks relative to the model's, and how they scatter; without the latter
    the config weighs them. `contour` lets the far side's jaw landmarks slide along the visible edge. `units` and
    `response`: of this very model.
    """

    def __init__(
        self,
        model: FaceModel,
        config: FaceFitConfig,
        errors: LandmarkErrors | None = None,
        contour: Contour | None = None,
        units: ExpressionUnits | None = None,
        response: BlendshapeResponse | None = None,
    ) -> None:
        self.config, self.errors, self.contour, self.units, self.response = config, errors, contour, units, response
        self._mean, self._basis = model.landmark_bases()
        self._precision = np.concatenate(([1e-6] * 5, [config.depth_sigma_dm**-2], np.ones(ID + EXP)))
        self._whiten: np.ndarray | None = None
        if errors is not None and errors.covariance_dm2 is not None:
            spread_px = config.measured_scale * _PX_PER_DM * np.linalg.cholesky(errors.covariance_dm2)
            self._whiten = solve_triangular(spread_px, np.eye(len(spread_px)), lower=True)

    def __call__(
        self, landmarks_px: Float[np.ndarray, "b 68 2"], blendshapes: Blendshapes | None = None
    ) -> list[FaceFit | Rejected]:
        """Fit landmarks in portrait pixels, and blendshapes where the model's response to expressions is known.

        A face is Rejected (`face_fit_failed`) when its landmarks do not look like one.
        """
        found: list[FaceFit | Rejected] = []
        shapes = [None] * len(landmarks_px) if blendshapes is None or self.response is None else blendshapes
        for first in range(0, len(landmarks_px), _AT_ONCE):
            chunk = slice(first, first + _AT_ONCE)
            started = [self._start(*face) for face in zip(landmarks_px[chunk], shapes[chunk], strict=True)]
            usable = [one for one in started if not isinstance(one, Rejected)]
            fitted = iter(self._fit(usable) if usable else [])
            found += [one if isinstance(one, Rejected) else next(fitted) for one in started]
        return found

    def _start(
        self, landmarks_px: Float[np.ndarray, "68 2"], blendshapes: Float[np.ndarray, "52"] | None
    ) -> _Start | Rejected:
        alignment = align(landmarks_px)
        target = alignment.to_224(landmarks_px.astype(np.float64))
        offsets = 0 if self.errors is None else self.errors.offset_dm[0]
        scale, rotation, offset = weak_pose(target, self._mean + offsets)
        depth = DISTANCE_DM - FOCAL_PX / max(scale, 1e-6)
        trans = np.array([*((offset - CENTRE_PX) / max(scale, 1e-6)), depth])
        if not np.isfinite(trans).all() or abs(depth) > DISTANCE_DM / 2:
            return Rejected("face_fit_failed", _NO_FACE)
        score = None if blendshapes is None or self.response is None else self.response.score(blendshapes)
        return _Start(alignment, target, rotation, trans, score)

    def _fit(self, started: list[_Start]) -> list[FaceFit]:
        measured = Measured(
            np.stack([one.target_px for one in started]),
            np.stack([np.zeros(EXP) if one.score is None else one.score for one in started]),
            np.array([float(one.score is not None) for one in started]),
        )
        faces = Faces(
            np.stack([one.rotation for one in started]),
            np.stack([one.trans_dm for one in started]),
            np.zeros((len(started), ID + EXP)),
        )
        faces, iterations = self._descend(faces, measured)
        if self.units is not None:
            for _ in range(_ROUNDS):
                faces = self._settle(faces, measured, self.units)
        normal, _ = self.normal(faces, measured)
        covariance = np.linalg.inv(normal)
        residual, _ = linearise(*self._seen(faces), faces, measured.landmarks_px)
        sigma = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        return [
            FaceFit(
                identity=faces.coefficients[i, :ID],
                expression=faces.coefficients[i, ID:],
                angle_rad=angle_from_head(faces.rotation[i]),
                trans_dm=faces.trans_dm[i],
                sigma=sigma[i, _POSE:],
                rotation_sigma_rad=float(np.linalg.norm(sigma[i, :3])),
                alignment=one.alignment,
                rmse_224_px=float(np.sqrt(2 * (residual[i] ** 2).mean())),
                iterations=int(iterations[i]),
            )
            for i, one in enumerate(started)
        ]

    def _descend(self, faces: Faces, measured: Measured) -> tuple[Faces, np.ndarray]:
        """Gauss-Newton until each face stands still; the steps that each one took."""
        iterations = np.zeros(len(measured.read), int)
        moving = np.arange(len(measured.read))
        for _ in range(self.config.iterations):
            current = faces.take(moving)
            normal, gradient = self.normal(current, measured.take(moving))
            step = -np.linalg.solve(normal, gradient[..., None])[..., 0]
            for whole, part in zip(faces, current.moved(step), strict=True):
                whole[moving] = part
            iterations[moving] += 1
            moving = moving[np.abs(step).max(1) >= self.config.tolerance]
            if not len(moving):
                break
        return faces, iterations

    def _settle(self, faces: Faces, measured: Measured, units: ExpressionUnits) -> Faces:
        """Solve the expression for facial units, the rest following it: what was measured, without its prior."""
        normal, gradient = self.normal(faces, measured)
        steps = np.zeros_like(gradient)
        for i, expression in enumerate(faces.coefficients[:, ID:]):
            information = normal[i, _REST:, _REST:] - np.eye(EXP)
            slope = gradient[i, _REST:] - expression
            rest = cho_factor(normal[i, :_REST, :_REST])
            coupling = normal[i, :_REST, _REST:]
            information = information - coupling.T @ cho_solve(rest, coupling)
            slope = slope - coupling.T @ cho_solve(rest, gradient[i, :_REST])
            moved = likeliest(units, information, information @ expression - slope) - expression
            steps[i, _REST:] = moved
            steps[i, :_REST] = -cho_solve(rest, gradient[i, :_REST] + coupling @ moved)
        return faces.moved(steps)

    def normal(self, faces: Faces, measured: Measured) -> tuple[np.ndarray, np.ndarray]:
        """Second derivatives (B, U, U) and gradient (B, U) of half the squared errors and priors."""
        residual, jacobian = linearise(*self._seen(faces), faces, measured.landmarks_px)
        if self._whiten is not None:
            residual, jacobian = (self._whiten @ residual[..., None])[..., 0], self._whiten @ jacobian
        else:
            weight = np.stack([self._weights(rotation) for rotation in faces.rotation])
            residual, jacobian = residual * weight, jacobian * weight[..., None]
        across = jacobian.swapaxes(1, 2)
        gradient = (across @ residual[..., None])[..., 0] + self._precision * faces.from_prior
        normal = across @ jacobian + np.diag(self._precision)
        if self.response is not None:
            information = measured.read[:, None, None] * self.response.information
            expression = faces.coefficients[:, ID:, None]
            normal[:, _REST:, _REST:] += information
            gradient[:, _REST:] += (information @ expression)[..., 0] - measured.score
        return normal, gradient

    def _seen(self, faces: Faces) -> tuple[np.ndarray, np.ndarray]:
        """Mean (B, L, 3) and basis (B or 1, L, 3, K) of what the detector reports at these rotations and shapes."""
        means, bases = [], []
        for rotation, coefficients in zip(faces.rotation, faces.coefficients, strict=True):
            mean, basis = self._mean, self._basis
            if self.contour is not None:
                mean, basis = self.contour.landmarks(mean, basis, rotation, coefficients)
                bases.append(basis)
            means.append(mean if self.errors is None else mean + self.errors.at(rotation))
        return np.stack(means), np.stack(bases) if bases else self._basis[None]

    def _weights(self, rotation: Rotation3) -> Float[np.ndarray, "136"]:
        """Jaw points count less, and those on the far side of a turned head hardly at all unless they slide."""
        config, weights = self.config, np.ones(68)
        weights[_JAW] = config.jaw_weight
        if self.contour is None:
            yaw_deg = np.degrees(pitch_yaw_of_head(rotation)[1])
            low, high = config.far_yaw_deg
            share = np.clip((abs(yaw_deg) - low) / (high - low), 0, 1)
            far = _JAW[9:] if yaw_deg > 0 else _JAW[:8]
            weights[far] = config.jaw_weight + share * (config.far_jaw_weight - config.jaw_weight)
        return np.repeat(weights, 2) / config.landmark_sigma_px


class _Start(NamedTuple):
    alignment: Alignment
    target_px: np.ndarray
    rotation: np.ndarray
    trans_dm: np.ndarray
    score: np.ndarray | None  # of the blendshapes


def linearise(
    mean_BL3: Float[np.ndarray, "b 68 3"],
    basis_BL3K: Float[np.ndarray, "c 68 3 144"],
    faces: Faces,
    targets_px: Float[np.ndarray, "b 68 2"],
) -> tuple[Float[np.ndarray, "b 136"], Float[np.ndarray, "b 136 150"]]:
    """Residual and Jacobian of the projected landmarks, in 224 px. One basis may serve all faces (c = 1)."""
    rotation, count = faces.rotation, len(targets_px)
    flat = basis_BL3K.reshape(len(basis_BL3K), -1, basis_BL3K.shape[-1])
    shape = mean_BL3 + (flat @ faces.coefficients[..., None]).reshape(mean_BL3.shape)
    turned = shape @ rotation.swapaxes(1, 2)
    x, y, z = np.moveaxis(turned, 2, 0)
    depth = DISTANCE_DM - z - faces.trans_dm[:, 2:]
    across = FOCAL_PX / depth  # px per dm in the picture's plane, and towards the camera:
    inwards = (turned[..., :2] + faces.trans_dm[:, None, :2]) * (across / depth)[..., None]
    residual = inwards * depth[..., None] + CENTRE_PX - targets_px
    jacobian = np.zeros((count, targets_px.shape[1], 2, _POSE + basis_BL3K.shape[-1]))
    for axis in range(2):
        by_x, by_y, by_z = across * (axis == 0), across * (axis == 1), inwards[..., axis]
        out = jacobian[:, :, axis]
        out[..., 0], out[..., 1], out[..., 2] = by_z * y - by_y * z, by_x * z - by_z * x, by_y * x - by_x * y  # w x p
        out[..., 3], out[..., 4], out[..., 5] = by_x, by_y, by_z
        by_model = across[..., None] * rotation[:, None, axis] + by_z[..., None] * rotation[:, None, 2]
        out[..., _POSE:] = sum(by_model[..., j, None] * basis_BL3K[:, :, j] for j in range(3))
    return residual.reshape(count, -1), jacobian.reshape(count, 2 * targets_px.shape[1], -1)
