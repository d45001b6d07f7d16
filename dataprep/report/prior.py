"""What the generator will see: draws from the label prior that training uses, and the rows it leaves out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataprep.report.census import Census
from dataprep.tables.outliers import OUTLIER_CUT, robust_distance

_KINDS = {
    "pose": ("camera_pitch_yaw", "face_pitch_yaw", "joints_zyx"),
    "identity": ("bfm_id", "smpl_betas"),
    "expression": ("bfm_exp",),
}
SEED = 0
_DIMENSIONS = 16


@dataclass(frozen=True)
class PriorDraw:
    """One set of codes: which row each part of it came from."""

    pose: str
    identity: str
    expression: str
    camera_yaw_deg: float
    camera_pitch_deg: float
    head_turn_deg: float  # neck and head about y, added up


@dataclass(frozen=True)
class LeftOut:
    """A training row that is never drawn, and its worst label in robust deviations."""

    sample_id: str
    kind: str
    label: str
    distance: float


@dataclass(frozen=True)
class Prior:
    """The label prior over the training split."""

    rows: int
    cut: float
    trimmed: dict[str, int]  # rows left out, by kind
    draws: tuple[PriorDraw, ...]
    left_out: tuple[LeftOut, ...]  # the farthest first, up to a limit


def prior(census: Census, draws: int, limit: int) -> Prior | None:
    """None when there is nothing to train on."""
    train = np.array([split == "train" for split in census.column("split")], bool) & census.selected
    rows = np.flatnonzero(train)
    if not len(rows) or not census.has(*(name for names in _KINDS.values() for name in names)):
        return None
    distances = {name: _distance(census, name, rows) for names in _KINDS.values() for name in names}
    kept = {kind: np.all([distances[name] <= OUTLIER_CUT for name in names], axis=0) for kind, names in _KINDS.items()}
    ids = [census.ids[i] for i in rows]
    return Prior(
        len(rows), OUTLIER_CUT, {kind: int((~usual).sum()) for kind, usual in kept.items()},
        _draws(census, rows, kept, draws), _left_out(ids, distances, limit),
    )  # fmt: skip


def _distance(census: Census, name: str, rows: np.ndarray) -> np.ndarray:
    """`robust_distance` of a label, a few dimensions at a time: it is a mean over them."""
    width, total = census.width(name), np.zeros(len(rows))
    for first in range(0, width, _DIMENSIONS):
        values = census.matrix(name, slice(first, first + _DIMENSIONS))[rows]
        total += values.shape[1] * robust_distance(values) ** 2
    return np.sqrt(total / max(width, 1))


def _draws(census: Census, rows: np.ndarray, kept: dict[str, np.ndarray], count: int) -> tuple[PriorDraw, ...]:
    if not all(usual.any() for usual in kept.values()):
        return ()
    random = np.random.default_rng(SEED)
    chosen = {kind: rows[random.choice(np.flatnonzero(usual), count)] for kind, usual in kept.items()}
    cameras = 90 - np.degrees(census.matrix("camera_pitch_yaw")[chosen["pose"]].astype(np.float64))
    turns = np.degrees(census.matrix("joints_zyx")[chosen["pose"]].reshape(-1, 6, 3)[:, [0, 3], 1].sum(axis=1))
    return tuple(
        PriorDraw(*(census.ids[chosen[kind][i]] for kind in _KINDS), *(round(float(v), 2) for v in (yaw, pitch, turn)))
        for i, ((pitch, yaw), turn) in enumerate(zip(cameras, turns, strict=True))
    )


def _left_out(ids: list[str], distances: dict[str, np.ndarray], limit: int) -> tuple[LeftOut, ...]:
    found = [
        (float(distances[name][i]), ids[i], kind, name)
        for kind, names in _KINDS.items()
        for name in names
        for i in np.flatnonzero(distances[name] > OUTLIER_CUT)
    ]
    worst: dict[str, LeftOut] = {}
    for distance, sample_id, kind, name in sorted(found, key=lambda one: (-one[0], one[1])):
        worst.setdefault(sample_id, LeftOut(sample_id, kind, name, round(distance, 2)))
    return tuple(list(worst.values())[:limit])
