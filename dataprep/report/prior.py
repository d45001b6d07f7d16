"""What the generator will see: draws from the label prior that training uses, and the rows it leaves out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataprep.report.census import Census
from dataprep.tables.labels import CAMERA_PITCH_YAW, JOINTS_ZYX, OUTLIER_CUT, PriorGroup, drawn
from dataprep.tables.outliers import distance_by_parts, usual_rows

SEED = 0


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
    cut: float  # of the labels, unless the list gives one its own
    trimmed: dict[str, int]  # rows left out, by kind
    draws: tuple[PriorDraw, ...]
    left_out: tuple[LeftOut, ...]  # the farthest first, up to a limit


def prior(census: Census, draws: int, limit: int) -> Prior | None:
    """None when there is nothing to train on."""
    train = np.array([split == "train" for split in census.column("split")], bool) & census.selected
    rows = np.flatnonzero(train)
    names = [label.name for label in drawn()]
    if not len(rows) or not census.has(*names):
        return None
    distances = {name: _distance(census, name, rows) for name in names}
    kept = usual_rows(distances)
    ids = [census.ids[i] for i in rows]
    return Prior(
        len(rows), OUTLIER_CUT, {group.value: int((~usual).sum()) for group, usual in kept.items()},
        _draws(census, rows, kept, draws), _left_out(ids, distances, limit),
    )  # fmt: skip


def _distance(census: Census, name: str, rows: np.ndarray) -> np.ndarray:
    """`robust_distance` of a label, of which a few dimensions are in memory at a time."""
    return distance_by_parts(lambda dimensions: census.matrix(name, dimensions)[rows], census.width(name))


def _draws(census: Census, rows: np.ndarray, kept: dict[PriorGroup, np.ndarray], count: int) -> tuple[PriorDraw, ...]:
    if not all(usual.any() for usual in kept.values()):
        return ()
    random = np.random.default_rng(SEED)
    chosen = {group: rows[random.choice(np.flatnonzero(usual), count)] for group, usual in kept.items()}
    pose = chosen[PriorGroup.POSE]
    cameras = 90 - np.degrees(census.matrix(CAMERA_PITCH_YAW)[pose].astype(np.float64))
    turns = np.degrees(census.matrix(JOINTS_ZYX)[pose].reshape(-1, 6, 3)[:, [0, 3], 1].sum(axis=1))
    return tuple(
        PriorDraw(
            *(census.ids[chosen[group][i]] for group in PriorGroup), *(round(float(v), 2) for v in (yaw, pitch, turn))
        )
        for i, ((pitch, yaw), turn) in enumerate(zip(cameras, turns, strict=True))
    )


def _left_out(ids: list[str], distances: dict[str, np.ndarray], limit: int) -> tuple[LeftOut, ...]:
    found = [
        (float(distances[label.name][i]), ids[i], group.value, label.name)
        for group in PriorGroup
        for label in drawn(group)
        for i in np.flatnonzero(distances[label.name] > label.outlier_cut)
    ]
    worst: dict[str, LeftOut] = {}
    for distance, sample_id, kind, name in sorted(found, key=lambda one: (-one[0], one[1])):
        worst.setdefault(sample_id, LeftOut(sample_id, kind, name, round(distance, 2)))
    return tuple(list(worst.values())[:limit])
