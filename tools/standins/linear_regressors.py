"""Linear regressors from T-posed body vertices to joints and key points.

All are affine combinations of vertices (weights sum to 1), so they move with the body under any rigid motion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataprep.frames.smpl_joints import JOINTS

Array = NDArray[np.float64]
Index = NDArray[np.int64]

RIDGE_M2 = 5e-5  # damps the weights: about (7 mm)^2 of error for a unit weight
MAX_CANDIDATES = 800


@dataclass(frozen=True)
class Slab:
    """Vertices that may vote for a joint: a box about its mean position, within some SMPL joints' skin.

    ``half_x_m``, ``half_y_m``: half extents (z is free, so that front and back both vote); ``skins``: SMPL joints, with
    "{side}" for left or right, that must hold over half of a vertex's skin weight.
    """

    half_x_m: float
    half_y_m: float
    skins: tuple[str, ...]


_TRUNK = ("pelvis", "left_hip", "right_hip", "spine1", "spine2", "spine3", "neck", "left_collar", "right_collar")
_LEG = ("{side}_hip", "{side}_knee", "{side}_ankle", "{side}_foot")
_ARM = ("spine3", "{side}_collar", "{side}_shoulder", "{side}_elbow", "{side}_wrist", "{side}_hand")
_UPPER = (*_TRUNK, "head")

SLABS: dict[str, Slab] = {
    "pelvis": Slab(1.0, 0.15, _TRUNK),
    "hip": Slab(1.0, 0.15, _TRUNK),
    "spine1": Slab(1.0, 0.15, _TRUNK),
    "spine2": Slab(1.0, 0.15, _TRUNK),
    "spine3": Slab(1.0, 0.15, _TRUNK),
    "neck": Slab(0.3, 0.15, _UPPER),
    "collar": Slab(0.3, 0.15, _UPPER),
    "head": Slab(0.3, 0.15, _UPPER),
    "knee": Slab(0.3, 0.35, _LEG),
    "ankle": Slab(0.15, 0.15, _LEG),
    "foot": Slab(0.15, 0.15, _LEG),
    "shoulder": Slab(0.15, 0.2, _ARM),
    "elbow": Slab(0.15, 0.2, _ARM),
    "wrist": Slab(0.15, 0.2, _ARM),
    "hand": Slab(0.15, 0.2, _ARM),
}


def candidates(slab: Slab, side: str, centre_m: Array, mean_m: Array, weights: Array, symmetric: Index | None) -> Index:
    """Return the vertices of a slab, thinned evenly to ``MAX_CANDIDATES``.

    With ``symmetric`` (the mirror permutation of the vertices) the choice is closed under mirroring.
    """
    columns = [JOINTS.index(name.format(side=side)) for name in slab.skins]
    offset = np.abs(mean_m - centre_m)
    inside = (offset[:, 0] < slab.half_x_m) & (offset[:, 1] < slab.half_y_m) & (weights[:, columns].sum(1) > 0.5)
    if symmetric is None:
        return _thinned(np.flatnonzero(inside), MAX_CANDIDATES)
    half = _thinned(np.flatnonzero(inside & (mean_m[:, 0] >= 0)), MAX_CANDIDATES // 2)
    return np.union1d(half, symmetric[half])


def _thinned(index: Index, most: int) -> Index:
    if len(index) <= most:
        return index
    return index[np.linspace(0, len(index) - 1, most).astype(int)]


def fit_affine(offsets_m: Array, skin_weights: Array | None = None, ridge_m2: float = RIDGE_M2) -> Array:
    """Return weights (C,), sum 1, that minimise the mean squared error in m^2 plus ``ridge_m2`` |w|^2.

    ``offsets_m`` (N, C, 3): candidate vertices minus the wanted point on N bodies. With ``skin_weights`` (C, J) the
    error is taken for each joint's share of the skin by itself (sum_v w_v W_vj offset_v = 0 for every j); then the
    point stays where it is when those joints rotate about it, as a joint centre must.
    """
    count, c, _ = offsets_m.shape
    rows = offsets_m.transpose(0, 2, 1).reshape(-1, c)
    gram = rows.T @ rows / count
    if skin_weights is not None:
        gram = gram * (skin_weights @ skin_weights.T)
    solution = np.linalg.solve(gram + ridge_m2 * np.eye(c), np.ones(c))
    return solution / solution.sum()


def symmetrised(index: Index, weights: Array, mirror: Index) -> tuple[Index, Array]:
    """Average a regressor of a midline point with its mirror image."""
    dense = np.zeros(len(mirror))
    dense[index] = weights / 2
    dense[mirror[index]] += weights / 2
    kept = np.flatnonzero(dense)
    return kept, dense[kept]


def coo(rows: Mapping[str, tuple[Index, Array]] | list[tuple[Index, Array]]) -> dict[str, np.ndarray]:
    """Return sparse triplets ``row`` (int32), ``col`` (int32), ``val`` (float32) of regressor rows, in order."""
    values = list(rows.values()) if isinstance(rows, Mapping) else rows
    return {
        "row": np.concatenate([np.full(len(index), r) for r, (index, _) in enumerate(values)]).astype(np.int32),
        "col": np.concatenate([index for index, _ in values]).astype(np.int32),
        "val": np.concatenate([weight for _, weight in values]).astype(np.float32),
    }
