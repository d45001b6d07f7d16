"""Texture and light of a fitted face from the portrait's colours, by alternating linear fits.

Weakly determined: one picture cannot tell a dark skin from dim light. `residual` says how well the colours are
explained. The large products run in single precision, ample for 8-bit colours, and twice as fast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import map_coordinates

from dataprep.fits.face.face_fit import FaceFit
from dataprep.frames.face_frames import DISTANCE_DM
from dataprep.models.face.bfm import TEX, FaceModel, harmonics


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
    basis_tex = model.tex_base[used] / np.float32(255)
    mean_tex, light_basis = model.mean_texture[used] / 255, harmonics(normals)
    trusted = np.ones(len(used))
    for _ in range(rounds):
        albedo = mean_tex + basis_tex @ tex.astype(np.float32)
        gamma = _solve_light(light_basis, albedo, observed, trusted)
        shading = light_basis @ _light(gamma).T
        tex = _solve_texture(basis_tex, mean_tex, shading, observed, trusted)
        error = np.linalg.norm(shading * (mean_tex + basis_tex @ tex.astype(np.float32)) - observed, axis=1)
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
    """Coefficients (80,) of a basis (n, 3, 80) under given shading (n, 3); `trusted` (n,) weighs the vertices."""
    weight = np.sqrt(trusted)[:, None]
    design = (basis * (weight * shading).astype(np.float32)[..., None]).reshape(-1, basis.shape[-1])
    missing = (weight * (observed - shading * mean)).astype(np.float32).ravel()
    normal = (design.T @ design).astype(np.float64) + _COLOUR_SIGMA**2 * np.eye(basis.shape[-1])
    return np.linalg.solve(normal, (design.T @ missing).astype(np.float64))
