"""Smoothing over time: the Whittaker-Henderson smoother of order 2, weighted and robust.

It minimises sum w_t |x_t - y_t|^2 + strength sum |x_{t-1} - 2 x_t + x_{t+1}|^2, which is what a Rauch-Tung-Striebel
Kalman smoother of a locally linear trend returns: zero phase, gain 1 / (1 + (f / cutoff)^4), frames without an
observation (w = 0) filled in from both sides. Rotations are smoothed as rotation vectors about their mean.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import solveh_banded
from scipy.spatial.transform import Rotation

_ROBUST_ROUNDS = 3
_OUTLIER = 3.0  # robust standard deviations from where Huber's weights fall
_TINY = 1e-9  # keeps a line that no frame holds solvable


def strength(cutoff_hz: float, fps: float) -> float:
    """The factor of the second differences at which `cutoff_hz` passes by half."""
    return float((2 * np.sin(np.pi * min(cutoff_hz / fps, 0.5))) ** -4)


def smooth(
    values: Float[np.ndarray, "n k"], weights: Float[np.ndarray, " n"], cutoff_hz: float, fps: float
) -> Float[np.ndarray, "n k"]:
    """Smooth rows at equal steps of time; `values` where the weight is 0 do not matter. Needs one weight above 0.

    A row far from the line that the others make counts less (Huber, `_OUTLIER` robust deviations).
    """
    n = len(values)
    if n == 1:
        return values.copy()
    factor, known = strength(cutoff_hz, fps), weights > 0
    y = np.where(known[:, None], values, 0.0)
    trust = weights.astype(np.float64)
    line = _solve(y, trust, factor)
    for _ in range(_ROBUST_ROUNDS):
        away = np.sqrt(np.square(y - line).sum(1))
        spread = 1.4826 * np.median(away[known])
        if spread < _TINY:
            break
        trust = weights * np.minimum(1.0, _OUTLIER * spread / np.maximum(away, _TINY))
        line = _solve(y, trust, factor)
    return line


def smooth_rotations(
    rotations: Float[np.ndarray, "n 3 3"], weights: Float[np.ndarray, " n"], cutoff_hz: float, fps: float
) -> Float[np.ndarray, "n 3 3"]:
    """The same for rotations, in the tangent space at their mean."""
    known = weights > 0
    mean = Rotation.from_matrix(rotations[known]).mean()
    about = np.zeros((len(rotations), 3))
    about[known] = (mean.inv() * Rotation.from_matrix(rotations[known])).as_rotvec()
    return (mean * Rotation.from_rotvec(smooth(about, weights, cutoff_hz, fps))).as_matrix()


def stretches(known: Bool[np.ndarray, " n"], scene: np.ndarray, longest_gap: int) -> list[tuple[int, int]]:
    """Ranges (first, end) to smooth on their own: they end at cuts and at gaps of over `longest_gap` frames."""
    out: list[tuple[int, int]] = []
    for row in np.flatnonzero(known):
        if out and scene[row] == scene[out[-1][1] - 1] and row - out[-1][1] <= longest_gap:
            out[-1] = (out[-1][0], int(row) + 1)
        else:
            out.append((int(row), int(row) + 1))
    return out


def nearest(covered: Bool[np.ndarray, " n"], scene: np.ndarray) -> np.ndarray:
    """For each frame the nearest covered one, of its own scene where that has any."""
    rows, out = np.flatnonzero(covered), np.empty(len(covered), int)
    for number in np.unique(scene):
        frames = np.flatnonzero(scene == number)
        own = rows[scene[rows] == number]
        choice = own if len(own) else rows
        after = np.minimum(np.searchsorted(choice, frames), len(choice) - 1)
        before = np.maximum(after - 1, 0)
        nearer = np.abs(choice[before] - frames) <= np.abs(choice[after] - frames)
        out[frames] = np.where(nearer, choice[before], choice[after])
    return out


def _solve(y: np.ndarray, weights: np.ndarray, factor: float) -> np.ndarray:
    n = len(y)
    bands = np.zeros((3, n))  # lower form of strength D'D + W
    for row in range(n - 2):
        for i, a in enumerate((1.0, -2.0, 1.0)):
            for j, b in enumerate((1.0, -2.0, 1.0)[i:]):
                bands[j, row + i] += factor * a * b
    bands[0] += weights + _TINY * weights.max()
    return solveh_banded(bands, weights[:, None] * y, lower=True)
