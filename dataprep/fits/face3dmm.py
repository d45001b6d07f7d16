"""3DMM from 68 landmarks: MAP by Gauss-Newton through Deep3DFaceRecon's perspective camera.

Unknowns: rotation (left increment), translation, 80 identity and 64 expression coefficients, solved jointly with unit
normal priors on the coefficients. A prior on depth is needed: size and distance trade off. Texture and lighting
follow by alternating linear fits; they are weakly determined and say so through `residual`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from scipy.linalg import cho_factor, cho_solve
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from dataprep.errors import Rejected
from dataprep.fits.contour import Contour
from dataprep.fits.face_frames import (
    CENTRE_PX,
    DISTANCE_DM,
    FOCAL_PX,
    Alignment,
    align,
    angle_from_head,
    head_from_3dmm,
    pitch_yaw_of_head,
    project_224,
    weak_pose,
)
from dataprep.models.bfm import EXP, ID, TEX, FaceModel, harmonics

Rotation3 = Float[np.ndarray, "3 3"]

_JAW = np.arange(17)
_POSE = 6  # rotation and translation come first among the unknowns


@dataclass(frozen=True)
class FaceFitConfig:
    """Noise levels in px at 224 and prior widths; the coefficients' prior is N(0, 1)."""

    landmark_sigma_px: float = 3.0
    jaw_weight: float = 0.35
    far_jaw_weight: float = 0.08  # beyond `far_yaw_deg` the detector slides the far contour along the visible edge
    far_yaw_deg: tuple[float, float] = (15.0, 45.0)
    depth_sigma_dm: float = 0.3
    iterations: int = 12
    tolerance: float = 1e-4


@dataclass(frozen=True, eq=False)
class FaceFit:
    """Coefficients in Deep3DFaceRecon's order and units, and how they were obtained."""

    identity: Float[np.ndarray, "80"]
    expression: Float[np.ndarray, "64"]
    angle_rad: Float[np.ndarray, "3"]
    trans_dm: Float[np.ndarray, "3"]
    sigma: Float[np.ndarray, "144"]  # posterior standard deviations, identity first
    rotation_sigma_rad: float
    alignment: Alignment
    rmse_224_px: float
    iterations: int

    @property
    def head_from_face(self) -> Float[np.ndarray, "3 3"]:
        return head_from_3dmm(self.angle_rad)

    @property
    def rmse_px(self) -> float:
        """Landmark error in portrait pixels."""
        return self.rmse_224_px / self.alignment.scale

    def place(self, shape_dm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Rotate and translate model points into the camera's GL axes."""
        return shape_dm @ self.head_from_face.T + self.trans_dm

    def to_portrait(self, shape_dm: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
        """Model points to portrait pixels."""
        return self.alignment.to_portrait(project_224(self.place(shape_dm)))


def fit_face(
    model: FaceModel,
    landmarks_px: Float[np.ndarray, "68 2"],
    config: FaceFitConfig,
    offsets_dm: Float[np.ndarray, "3 68 3"] | None = None,
    contour: Contour | None = None,
) -> FaceFit:
    """Fit the model to landmarks in portrait pixels.

    `offsets_dm`: where the detector puts its landmarks relative to the model's, in the face frame: a constant, and
    slopes per radian of pitch and of yaw (`pitch_yaw_of_head`). `contour` lets the far side's jaw landmarks slide along
    the visible edge. Raises Rejected (`face_fit_failed`) when the landmarks do not look like a face.
    """
    mean, basis = model.landmark_bases()
    offsets = np.zeros((3, len(mean), 3)) if offsets_dm is None else offsets_dm
    alignment = align(landmarks_px)
    target = alignment.to_224(landmarks_px.astype(np.float64))
    scale, rotation, offset = weak_pose(target, mean + offsets[0])
    depth = DISTANCE_DM - FOCAL_PX / max(scale, 1e-6)
    trans = np.array([*((offset - CENTRE_PX) / max(scale, 1e-6)), depth])
    if not np.isfinite(trans).all() or abs(depth) > DISTANCE_DM / 2:
        raise Rejected("face_fit_failed", "the 68 landmarks do not form a face that the 3DMM can explain")
    coefficients = np.zeros(ID + EXP)
    precision = _prior_precision(config)
    iteration = 0
    while iteration < config.iterations:
        iteration += 1
        detected, directions = _detected(mean, basis, offsets, contour, rotation, coefficients)
        residual, jacobian = _linearise(detected, directions, rotation, trans, coefficients, target)
        weight = np.repeat(_weights(rotation, config, contour is not None), 2) / config.landmark_sigma_px
        jacobian, residual = jacobian * weight[:, None], residual * weight
        prior = np.concatenate((np.zeros(3), trans, coefficients))
        factor = cho_factor(jacobian.T @ jacobian + np.diag(precision))
        step = -cho_solve(factor, jacobian.T @ residual + precision * prior)
        rotation = Rotation.from_rotvec(step[:3]).as_matrix() @ rotation
        trans, coefficients = trans + step[3:6], coefficients + step[6:]
        if np.abs(step).max() < config.tolerance:
            break
    covariance = cho_solve(factor, np.eye(len(step)))
    detected, directions = _detected(mean, basis, offsets, contour, rotation, coefficients)
    placed = (detected + directions @ coefficients) @ rotation.T + trans
    error = project_224(placed) - target
    return FaceFit(
        identity=coefficients[:ID],
        expression=coefficients[ID:],
        angle_rad=angle_from_head(rotation),
        trans_dm=trans,
        sigma=np.sqrt(np.diag(covariance)[_POSE:]),
        rotation_sigma_rad=float(np.sqrt(np.trace(covariance[:3, :3]))),
        alignment=alignment,
        rmse_224_px=float(np.sqrt((error**2).sum(1).mean())),
        iterations=iteration,
    )


def _detected(
    mean: np.ndarray, basis: np.ndarray, offsets_dm: np.ndarray, contour: Contour | None, rotation: np.ndarray,
    coefficients: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Mean and basis of what the detector reports at this rotation and shape."""
    if contour is not None:
        mean, basis = contour.landmarks(mean, basis, rotation, coefficients)
    return mean + landmark_offsets(offsets_dm, rotation), basis


def landmark_offsets(offsets_dm: Float[np.ndarray, "3 68 3"], head_from_face: Rotation3) -> Float[np.ndarray, "68 3"]:
    """The detector's landmark offsets at a head rotation: detectors see turned heads as less turned than they are."""
    pitch, yaw = pitch_yaw_of_head(head_from_face)
    return offsets_dm[0] + pitch * offsets_dm[1] + yaw * offsets_dm[2]


def _prior_precision(config: FaceFitConfig) -> np.ndarray:
    ridge = 1e-6
    return np.concatenate(([ridge] * 5, [config.depth_sigma_dm**-2], np.ones(ID + EXP)))


def _linearise(
    mean: np.ndarray, basis: np.ndarray, rotation: np.ndarray, trans: np.ndarray, coefficients: np.ndarray,
    target: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Residual (136,) and Jacobian (136, 150) of the projected landmarks, in 224 px."""
    turned = (mean + basis @ coefficients) @ rotation.T
    placed = turned + trans
    inverse_depth = 1 / (DISTANCE_DM - placed[:, 2])
    residual = (FOCAL_PX * placed[:, :2] * inverse_depth[:, None] + CENTRE_PX - target).ravel()
    by_point = np.zeros((len(mean), 2, 3))
    by_point[:, 0, 0] = by_point[:, 1, 1] = FOCAL_PX * inverse_depth
    by_point[:, :, 2] = FOCAL_PX * placed[:, :2] * inverse_depth[:, None] ** 2
    x, y, z = turned.T
    zero = np.zeros_like(x)
    turn = np.stack((zero, z, -y, -z, zero, x, y, -x, zero), 1).reshape(-1, 3, 3)  # d(w x p)/dw = -[p]x
    moved = np.concatenate((turn, np.broadcast_to(np.eye(3), turn.shape), rotation @ basis), axis=2)
    return residual, (by_point @ moved).reshape(2 * len(mean), -1)


def _weights(rotation: np.ndarray, config: FaceFitConfig, sliding: bool = False) -> np.ndarray:
    """Jaw points count less, and those on the far side of a turned head hardly at all unless they slide."""
    weights = np.ones(68)
    weights[_JAW] = config.jaw_weight
    if sliding:
        return weights
    yaw_deg = np.degrees(pitch_yaw_of_head(rotation)[1])
    low, high = config.far_yaw_deg
    share = np.clip((abs(yaw_deg) - low) / (high - low), 0, 1)
    far = _JAW[9:] if yaw_deg > 0 else _JAW[:8]
    weights[far] = config.jaw_weight + share * (config.far_jaw_weight - config.jaw_weight)
    return weights


@dataclass(frozen=True, eq=False)
class Appearance:
    """Texture and lighting: low confidence, since one picture cannot tell a dark skin from dim light."""

    tex: Float[np.ndarray, "80"]
    gamma: Float[np.ndarray, "27"]
    residual: float  # root mean square colour error at visible skin vertices, 0-255


def fit_appearance(model: FaceModel, fit: FaceFit, portrait: UInt8[np.ndarray, "h w 3"], rounds: int = 5) -> Appearance:
    """Alternate two linear solves: 27 lighting numbers (prior 0.1) and 80 texture coefficients (prior 1)."""
    tex, gamma = np.zeros(TEX), np.zeros(27)
    seen = _visible_skin(model, fit, portrait)
    if seen is None:
        return Appearance(tex, gamma, float("nan"))
    used, normals, observed = seen
    basis_tex = model.tex_base[used].astype(np.float64) / 255
    mean_tex, light_basis = model.mean_texture[used] / 255, harmonics(normals)
    trusted = np.ones(len(used))
    for _ in range(rounds):
        albedo = mean_tex + basis_tex @ tex
        gamma = _solve_light(light_basis, albedo, observed, trusted)
        shading = light_basis @ _light(gamma).T
        tex = _solve_texture(basis_tex, mean_tex, shading, observed, trusted)
        error = np.linalg.norm(shading * (mean_tex + basis_tex @ tex) - observed, axis=1)
        trusted = _trust(error)
    return Appearance(tex, gamma, _weighted_rmse(error, trusted))


def colour_rmse(
    model: FaceModel, fit: FaceFit, portrait: UInt8[np.ndarray, "h w 3"], tex: np.ndarray, gamma: np.ndarray
) -> float:
    """Colour error (0-255) of given texture and light at visible skin, weighted as in `fit_appearance`."""
    seen = _visible_skin(model, fit, portrait)
    if seen is None:
        return float("nan")
    used, normals, observed = seen
    albedo = (model.mean_texture[used] + model.tex_base[used] @ tex) / 255
    error = np.linalg.norm(harmonics(normals) @ _light(gamma).T * albedo - observed, axis=1)
    return _weighted_rmse(error, _trust(error))


def _trust(error: np.ndarray) -> np.ndarray:
    """Robust weights: hair, glasses and shadows are not skin."""
    scale = max(1.4826 * float(np.median(error)), 0.02)
    return 1 / (1 + (error / (2 * scale)) ** 2)


def _weighted_rmse(error: np.ndarray, trusted: np.ndarray) -> float:
    return 255 * float(np.sqrt((trusted * error**2).sum() / trusted.sum() / 3))


def _visible_skin(
    model: FaceModel, fit: FaceFit, portrait: UInt8[np.ndarray, "h w 3"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Up to about 1,500 to 3,000 visible skin vertices, their rotated normals and the portrait's colours (0-1) there.

    None when fewer than 200 are seen.
    """
    shape = model.shape(fit.identity, fit.expression).astype(np.float64)
    placed = fit.place(shape)
    normals = model.normals(shape) @ fit.head_from_face.T
    view = -placed + np.array([0, 0, DISTANCE_DM])
    facing = (normals * view).sum(1) / np.linalg.norm(view, axis=1)
    pixels = fit.to_portrait(shape)
    height, width = portrait.shape[:2]
    inside = ((pixels > 0.5) & (pixels < np.array([width, height]) - 0.5)).all(1)
    used = np.flatnonzero((facing > 0.3) & (model.skin > 0.5) & inside)
    if len(used) < 200:
        return None
    used = used[:: max(1, len(used) // 1500)]
    rows, columns = pixels[used, 1] - 0.5, pixels[used, 0] - 0.5
    colour = np.stack([map_coordinates(portrait[..., c].astype(float), (rows, columns), order=1) for c in range(3)], 1)
    return used, normals[used], colour / 255


_COLOUR_SIGMA = 0.02
_GAMMA_SIGMA = 0.1
_GREY_LIGHT = np.array([0.8] + [0.0] * 8)


def _light(gamma: np.ndarray) -> np.ndarray:
    return gamma.reshape(3, 9) + _GREY_LIGHT


def _solve_light(basis: np.ndarray, albedo: np.ndarray, observed: np.ndarray, trusted: np.ndarray) -> np.ndarray:
    gamma = np.zeros((3, 9))
    ridge = (_COLOUR_SIGMA / _GAMMA_SIGMA) ** 2 * np.eye(9)
    for channel in range(3):
        design = basis * albedo[:, channel, None]
        missing = observed[:, channel] - design @ _GREY_LIGHT
        gamma[channel] = np.linalg.solve(design.T @ (trusted[:, None] * design) + ridge, design.T @ (trusted * missing))
    return gamma.ravel()


def _solve_texture(
    basis: np.ndarray, mean: np.ndarray, shading: np.ndarray, observed: np.ndarray, trusted: np.ndarray
) -> np.ndarray:
    design = (basis * shading[..., None]).reshape(-1, basis.shape[-1])
    missing = (observed - shading * mean).ravel()
    weight = np.repeat(trusted, 3)
    normal = design.T @ (weight[:, None] * design) + _COLOUR_SIGMA**2 * np.eye(basis.shape[-1])
    return np.linalg.solve(normal, design.T @ (weight * missing))
