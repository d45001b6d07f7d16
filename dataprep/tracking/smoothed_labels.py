"""Smooth lines through the fits of single frames, and the generator's labels from both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dataprep.errors import ConfigError
from dataprep.frames.smpl_joints import CHEST, HEAD, LEFT_COLLAR, LEFT_SHOULDER, NECK, RIGHT_COLLAR, RIGHT_SHOULDER
from dataprep.models.face.bfm import EXP
from dataprep.tracking.frame_fits import BodyFitRow, FaceFitRow
from dataprep.tracking.frame_labels import Tie, labels, unseen_body
from dataprep.tracking.whittaker import nearest, smooth, smooth_rotations, stretches

_SPINE = (0, 3, 6, CHEST)
_SMOOTHED = (*_SPINE, NECK, LEFT_COLLAR, RIGHT_COLLAR, HEAD, LEFT_SHOULDER, RIGHT_SHOULDER)
MEASURED, BRIDGED, HELD = "measured", "bridged", "held"


@dataclass(frozen=True)
class Smoothing:
    """Cut-off frequencies in hertz, where the smoother lets half of a movement through; gaps in seconds."""

    expression_hz: float = 6.0
    head_hz: float = 4.0
    body_hz: float = 1.5
    max_gap_s: float = 0.5

    def __post_init__(self) -> None:
        for name in ("expression_hz", "head_hz", "body_hz"):
            if not 0 < getattr(self, name) < 1000:
                raise ConfigError(f"--{name.replace('_', '-')} {getattr(self, name)}: expected hertz above 0")
        if not 0 <= self.max_gap_s <= 60:
            raise ConfigError(f"--max-gap-s {self.max_gap_s}: expected seconds from 0 to 60")

    def longest_gap(self, fps: float) -> int:
        return round(self.max_gap_s * fps)


@dataclass(frozen=True, eq=False)
class Lines:
    """Every frame smoothed, and raw where there was something to measure (NaN elsewhere). Head: cam axes."""

    expression: Float[np.ndarray, "n 64"]
    joints_zyx: Float[np.ndarray, "n 6 3"]
    camera: Float[np.ndarray, "n 2"]
    head: Float[np.ndarray, "n 3 3"]
    face_in_cam: Float[np.ndarray, "n 3 3"]
    square: Float[np.ndarray, "n 4"]  # of the portrait: centre px, side px, roll rad
    raw_expression: Float[np.ndarray, "n 64"]
    raw_joints_zyx: Float[np.ndarray, "n 6 3"]
    raw_camera: Float[np.ndarray, "n 2"]
    raw_head: Float[np.ndarray, "n 3 3"]
    raw_face_in_cam: Float[np.ndarray, "n 3 3"]
    face_source: list[str]  # measured, bridged or held
    body_source: list[str]
    any_body: bool  # False: nobody's body was seen, and an upright one was assumed


def lines_of(
    bodies: Sequence[BodyFitRow | None],
    faces: Sequence[FaceFitRow | None],
    occluded: Bool[np.ndarray, " n"],
    shot: np.ndarray,
    tie: Tie,
    smoothing: Smoothing,
    fps: float,
) -> Lines:
    """Smooth within shots. Covered faces are not measurements; gaps up to the limit are bridged, longer ones held."""
    found = np.array([fit is not None for fit in faces])
    face_known = found & ~occluded if (found & ~occluded).any() else found  # covered throughout: better than nothing
    body_known = np.array([fit is not None for fit in bodies])
    line = _Line(shot, smoothing.longest_gap(fps), fps)
    face = _stacked([fit.face_in_cam if fit and k else None for fit, k in zip(faces, face_known, strict=True)], (3, 3))
    expression = _stacked(
        [fit.expression if fit and k else None for fit, k in zip(faces, face_known, strict=True)], (EXP,)
    )
    local, square = np.tile(unseen_body(), (len(shot), 1, 1, 1)), np.full((len(shot), 4), np.nan)
    smooth_local, smooth_square = local, square
    if body_known.any():
        local = _stacked([fit.rotations if fit else None for fit in bodies], (24, 3, 3))
        square = _stacked([_square(fit) if fit else None for fit in bodies], (4,))
        smooth_local = smooth_local.copy()
        for joint in _SMOOTHED:
            smooth_local[:, joint] = line.rotations(local[:, joint], body_known, smoothing.body_hz)
        smooth_square = line.values(square, body_known, smoothing.body_hz)
    smooth_face = line.rotations(face, face_known, smoothing.head_hz)
    joints, camera, head = _labels(smooth_local, smooth_face, tie)
    measured = face_known & body_known if body_known.any() else face_known
    raw_joints, raw_camera, raw_head = _labels(local, face, tie, measured)
    return Lines(
        expression=line.values(expression, face_known, smoothing.expression_hz),
        joints_zyx=joints,
        camera=camera,
        head=head,
        face_in_cam=smooth_face,
        square=smooth_square,
        raw_expression=expression,
        raw_joints_zyx=raw_joints,
        raw_camera=raw_camera,
        raw_head=raw_head,
        raw_face_in_cam=face,
        face_source=line.source(face_known),
        body_source=line.source(body_known) if body_known.any() else [HELD] * len(shot),
        any_body=bool(body_known.any()),
    )


@dataclass(frozen=True, eq=False)
class _Line:
    shot: np.ndarray
    longest_gap: int
    fps: float

    def values(self, y: np.ndarray, known: np.ndarray, hz: float) -> np.ndarray:
        out = np.full_like(y, np.nan)
        for first, end in stretches(known, self.shot, self.longest_gap):
            out[first:end] = smooth(y[first:end], known[first:end].astype(float), hz, self.fps)
        return out[self._from(known)]

    def rotations(self, y: np.ndarray, known: np.ndarray, hz: float) -> np.ndarray:
        out = np.full_like(y, np.nan)
        for first, end in stretches(known, self.shot, self.longest_gap):
            out[first:end] = smooth_rotations(y[first:end], known[first:end].astype(float), hz, self.fps)
        return out[self._from(known)]

    def source(self, known: np.ndarray) -> list[str]:
        inside = self._inside(known)
        return [MEASURED if k else BRIDGED if i else HELD for k, i in zip(known, inside, strict=True)]

    def _inside(self, known: np.ndarray) -> np.ndarray:
        inside = np.zeros(len(known), bool)
        for first, end in stretches(known, self.shot, self.longest_gap):
            inside[first:end] = True
        return inside

    def _from(self, known: np.ndarray) -> np.ndarray:
        """The frame whose value each frame shows: its own, or for frames outside of every stretch the nearest."""
        return nearest(self._inside(known), self.shot)


def _labels(
    local: np.ndarray, face_in_cam: np.ndarray, tie: Tie, rows: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    joints, camera, head = (np.full((len(local), *shape), np.nan) for shape in ((6, 3), (2,), (3, 3)))
    for i in range(len(local)) if rows is None else np.flatnonzero(rows):
        joints[i], camera[i], head[i] = labels(local[i], face_in_cam[i], tie)
    return joints, camera, head


def _square(fit: BodyFitRow) -> np.ndarray:
    return np.array([*fit.square.centre_px, fit.square.side_px, fit.square.roll_rad])


def _stacked(values: Sequence[np.ndarray | None], shape: tuple[int, ...]) -> np.ndarray:
    return np.stack([np.full(shape, np.nan) if value is None else np.asarray(value, np.float64) for value in values])
