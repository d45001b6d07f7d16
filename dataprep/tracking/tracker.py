"""Track one person through a video: look at every frame, fit, smooth, write.

looks   detectors, frame after frame, following the person; committed in chunks (the long part)
fits    SMPL and 3DMM of all frames; the identity of a person once, from all of that person's frames
lines   smoothing within scenes, gaps bridged, then the labels of every frame
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from dataprep.errors import ConfigError, Rejected
from dataprep.fits.face.occlusion import view_mouth
from dataprep.meter import Meter
from dataprep.models.detection.facing import head_lean
from dataprep.models.detection.mediapipe_graphs import MODEL_SHA256
from dataprep.models.face.bfm import ID
from dataprep.stages.quality import MOUTH_CONTRAST, Quality
from dataprep.tracking.detection_chunks import CHUNK_FRAMES, DetectionChunks, Look, look_of, row_of
from dataprep.tracking.follow import COVERED, Follower, Sighting, same_place
from dataprep.tracking.frame_fits import BodyFitRow, FaceFitRow, Fitter
from dataprep.tracking.scene_cuts import (
    AROUND,
    OTHER_SCENE,
    THUMB_PX,
    covered,
    cuts,
    difference,
    face_patch,
    is_cut,
    thumb,
)
from dataprep.tracking.smoothed_labels import Lines, Smoothing, lines_of
from dataprep.tracking.video_reader import Frame, Video

VERSION = 2  # of what is in the chunks
UNDECODABLE = "undecodable"  # why nobody was found in a frame whose bytes are damaged
_LEAST_MOUTH = Quality.min_mouth * MOUTH_CONTRAST
_MOST_TURNED_RAD = np.radians(90) * (1 - Quality.min_frontal)
_MOST_TILTED_RAD = np.radians(90) * (1 - Quality.min_head_roll)
_SAME_PICTURE = 0.15  # difference of two looks at one scene
_FIT_BLOCK = 256  # frames fitted between two signs of progress


class NobodyFound(Exception):
    """The video shows no person whose face can be read."""


@dataclass(frozen=True, eq=False)
class Tracked:
    """All frames: what was seen, what was fitted, and the smooth lines through it."""

    looks: list[Look]
    shot: np.ndarray  # (n,): number of each frame's scene
    occluded: Bool[np.ndarray, " n"]
    turned_away: Bool[np.ndarray, " n"]
    tilted: Bool[np.ndarray, " n"]
    bodies: list[BodyFitRow | None]
    faces: list[FaceFitRow | None]
    person: np.ndarray  # (n,): number of each frame's person
    identity: np.ndarray  # (n, 80): of that person
    lines: Lines
    fps: float

    @property
    def frames_read(self) -> int:
        """Frames that could be decoded."""
        return sum(look.lost != UNDECODABLE for look in self.looks)


def track(
    video: Video,
    fitter: Fitter,
    smoothing: Smoothing,
    output: Path,
    start_meter: Callable[[Mapping[str, int]], Meter],
    most_frames: int | None = None,
    identity_by: str = "clip",
) -> Tracked:
    """Track the person of a video; the chunks lie beside `output` until `DetectionChunks.remove`.

    `identity_by`: "clip", one person throughout, or "shot", another one after each cut. Raises NobodyFound, and
    ConfigError for a video without frames.
    """
    key = {"version": VERSION, "video": video.sha256(), "detectors": MODEL_SHA256, "frames": most_frames}
    total = min(video.frames or 0, most_frames or video.frames or 0)
    meter = start_meter({"look": total, "body": total, "face": total})
    try:
        looks = _look_at(video, DetectionChunks.open(output, key), most_frames, meter)
        if not looks:
            raise ConfigError(f"VIDEO {video.path}: no frame could be decoded")
        if not any(look.sighting for look in looks):
            raise NobodyFound(_why_nobody(looks))
        fps = frame_rate(looks, video.fps)
        longest_gap = smoothing.longest_gap(fps)
        found = np.array([look.sighting is not None for look in looks])
        cut = cuts(np.stack([look.thumb for look in looks]), found, longest_gap)
        shot = np.cumsum(cut | _others(looks, np.cumsum(cut)))
        occluded = _occluded(looks, shot)
        turned_away = np.array([look.sighting is not None and _turned_away(look.sighting) for look in looks])
        unread = occluded | turned_away
        person = np.zeros(len(looks), int) if identity_by == "clip" else shot
        bodies, faces, identity = _fit(fitter, looks, (video.width, video.height), unread, person, meter)
    finally:
        meter.close()
    lines = lines_of(bodies, faces, unread, shot, fitter.tie, smoothing, fps)
    tilted = np.array(
        [look.sighting is not None and _tilted(look.sighting, body) for look, body in zip(looks, bodies, strict=True)]
    )
    return Tracked(looks, shot, occluded, turned_away, tilted, bodies, faces, person, identity, lines, fps)


def frame_rate(looks: list[Look], declared: float) -> float:
    """Frames a second by the median step of time: containers of webcams declare what they like."""
    steps = np.diff([look.time_s for look in looks])
    return float(np.round(1 / np.median(steps), 4)) if len(steps) and np.median(steps) > 0 else declared


# -- looking


def _look_at(video: Video, chunks: DetectionChunks, most_frames: int | None, meter: Meter) -> list[Look]:
    looks = chunks.read()
    meter.advance("look", len(looks), 0.0)
    follower, pending, began = Follower(), [], time.monotonic()
    for frame in video.read(len(looks)):
        if most_frames is not None and frame.number >= most_frames:
            break
        look = _rounded(_look(frame, looks, follower))
        looks.append(look)
        pending.append(look)
        meter.advance("look", 1, time.monotonic() - began)
        began = time.monotonic()
        if len(looks) % CHUNK_FRAMES == 0:
            chunks.commit(len(looks) // CHUNK_FRAMES - 1, pending)
            pending = []
    return looks


def _look(frame: Frame, looks: list[Look], follower: Follower) -> Look:
    """One frame; one that could not be decoded shows nobody, and looks as the one before it."""
    if frame.rgb is None:
        blank = looks[-1].thumb if looks else np.zeros((THUMB_PX, THUMB_PX, 3), np.uint8)
        return Look(frame.number, frame.time_s, UNDECODABLE, None, blank, None, None)
    picture = thumb(frame.rgb)
    try:
        sighting = _seen_in(frame, frame.rgb, picture, looks, follower)
    except Rejected as rejected:
        return Look(frame.number, frame.time_s, rejected.reason, None, picture, None, None)
    patch = face_patch(frame.rgb, sighting.landmarks68_px)
    mouth = view_mouth(frame.rgb, sighting.landmarks68_px).contrast
    return Look(frame.number, frame.time_s, "", sighting, picture, patch, mouth)


def _seen_in(frame: Frame, rgb: np.ndarray, picture: np.ndarray, looks: list[Look], follower: Follower) -> Sighting:
    """Whoever was followed; anybody, when that one is gone and the picture is another than where he was last seen.

    In a restless picture a cut shows only afterwards (`cuts`), but a face that is gone shows at once.
    """
    last, away_s = _last(looks, picture, frame.time_s)
    try:
        return follower.follow(rgb, last, away_s, frame.landmarks68_px)
    except Rejected:
        seen = next((look.thumb for look in reversed(looks) if look.sighting is not None), picture)
        if last is None or difference(seen, picture) < OTHER_SCENE:
            raise
        return follower.follow(rgb, None, 0.0, frame.landmarks68_px)


def _last(looks: list[Look], picture: np.ndarray, time_s: float) -> tuple[Sighting | None, float]:
    """Whom to follow into a frame: nobody right after a cut."""
    if not looks:
        return None, 0.0
    thumbs = [look.thumb for look in looks[-AROUND - 1 :]]
    usual = [difference(a, b) for a, b in itertools.pairwise(thumbs)]
    if is_cut(difference(thumbs[-1], picture), usual):
        return None, 0.0
    for look in reversed(looks):
        if look.sighting is not None:
            return look.sighting, time_s - look.time_s
    return None, 0.0


def _rounded(look: Look) -> Look:
    """The look as its chunk will hold it (float32), so that a run that goes on sees the same numbers."""
    return look_of(row_of(look))


def _why_nobody(looks: list[Look]) -> str:
    reasons = sorted({look.lost for look in looks})
    return f"no person was found in any of the {len(looks)} frames ({', '.join(reasons)})"


def _others(looks: list[Look], shot: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Frames where somebody else is followed from, within a scene: whoever was there is out of sight for good."""
    out = np.zeros(len(looks), bool)
    seen = [(i, look.sighting) for i, look in enumerate(looks) if look.sighting is not None]
    for (before, last), (i, now) in itertools.pairwise(seen):
        out[i] = shot[before] == shot[i] and not same_place(now, last)
    return out


def _turned_away(sighting: Sighting) -> bool:
    """By the limit that q_frontal has for photographs, and the witnesses of yaw that a frame has."""
    return abs(sighting.head_turn_rad) > _MOST_TURNED_RAD


def _tilted(sighting: Sighting, body: BodyFitRow | None) -> bool:
    """As the rule q_head_roll has it: against the chest, or the picture where no body was found."""
    tilt = head_lean(sighting.landmarks68_px) - (body.square.roll_rad if body else 0.0)
    return abs(math.remainder(tilt, math.tau)) > _MOST_TILTED_RAD


def _occluded(looks: list[Look], shot: np.ndarray) -> Bool[np.ndarray, " n"]:
    blank = np.zeros_like(next(look.face_patch for look in looks if look.face_patch is not None))
    patches = np.stack([blank if look.face_patch is None else look.face_patch for look in looks])
    unlike = covered(patches, np.array([look.face_patch is not None for look in looks]), shot)
    hidden = [look.mouth_contrast is not None and look.mouth_contrast < _LEAST_MOUTH for look in looks]
    out = unlike | np.array(hidden) | np.array([look.lost == COVERED for look in looks])
    for order in (range(1, len(looks)), range(len(looks) - 2, -1, -1)):
        for i in order:  # a face that goes out of sight, covered in part before or after, is covered wholly
            beside = i - order.step
            gone = looks[i].sighting is None and shot[i] == shot[beside]
            out[i] |= gone and out[beside] and difference(looks[i].thumb, looks[beside].thumb) < _SAME_PICTURE
    return out


# -- fitting


def _fit(
    fitter: Fitter, looks: list[Look], size_px: tuple[int, int], unread: np.ndarray, person: np.ndarray, meter: Meter
) -> tuple[list[BodyFitRow | None], list[FaceFitRow | None], np.ndarray]:
    """Bodies and faces of all frames, and the identity (n, 80) of each; `person` numbers them."""
    seen = [look.sighting for look in looks]
    bodies: list[BodyFitRow | None] = []
    for first in range(0, len(seen), _FIT_BLOCK):
        began, block = time.monotonic(), seen[first : first + _FIT_BLOCK]
        bodies += fitter.bodies(block, size_px)
        meter.advance("body", len(block), time.monotonic() - began)
    squares = [body and body.square for body in bodies]
    clear = [None if hidden else one for one, hidden in zip(seen, unread, strict=True)]
    identity = np.zeros((len(seen), ID))
    faces: list[FaceFitRow | None] = [None] * len(seen)
    for number in np.unique(person):
        rows, began = np.flatnonzero(person == number), time.monotonic()
        where = [squares[i] for i in rows]
        own = fitter.identity([clear[i] for i in rows], where)
        if own is None:  # covered or turned away throughout: better than nothing
            own = fitter.identity([seen[i] for i in rows], where)
        if own is not None:
            identity[rows] = own
            for i, fit in zip(rows, fitter.faces([seen[i] for i in rows], where, own), strict=True):
                faces[i] = fit
        meter.advance("face", len(rows), time.monotonic() - began)
    if not any(faces):
        raise NobodyFound("faces were found, but none whose landmarks a face model can explain")
    return bodies, faces, identity
