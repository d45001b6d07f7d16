"""Which frames of a piece of a video are kept: the sharpest of each interval, unless blurred or nothing new.

Intervals lie on the clock of the whole video, so that it does not matter where pieces begin. What is decided across the
edge of two pieces, `across` decides when both are there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import av
import cv2
import numpy as np
from jaxtyping import UInt8
from skimage.measure import blur_effect

from dataprep.inputs.clip_reading import Timed
from dataprep.inputs.gathering import Clips
from dataprep.tracking.video_reader import upright

LOOK_PX = 64
_FOCUS_PX = 512.0  # longer side at which frames are compared for sharpness: noise of large sensors says nothing


@dataclass(frozen=True, eq=False)
class Candidate:
    """A frame that was kept: its time, its interval, how sharp it is, and its grey look."""

    time_s: float
    interval: int
    focus: float  # variance of the Laplacian: orders the frames of one interval, and means nothing beside others
    sharpness: float
    look: UInt8[np.ndarray, "64 64"]


@dataclass(frozen=True, eq=False)
class Kept:
    """A candidate and its picture."""

    candidate: Candidate
    rgb: UInt8[np.ndarray, "h w 3"]


def sampled(frames: Iterable[Timed], clips: Clips) -> Iterator[Kept]:
    """Yield the frames of a piece that are kept, in order of time; one picture is in memory at a time."""
    last: Candidate | None = None
    for interval, some in itertools.groupby(frames, lambda one: int(one.time_s * clips.frames_per_s)):
        focus, best = _sharpest(some)
        rgb = upright(best.frame)
        grey = cv2.cvtColor(_shrunk(rgb), cv2.COLOR_RGB2GRAY)
        sharpness = 1.0 - float(blur_effect(grey))
        look = cv2.resize(grey, (LOOK_PX, LOOK_PX), interpolation=cv2.INTER_AREA)
        found = Candidate(best.time_s, interval, focus, sharpness, look)
        if not sharpness >= clips.min_sharpness:  # a picture of one colour has no sharpness, NaN
            continue
        if last is None or difference(last, found) >= clips.min_difference:
            last = found
            yield Kept(found, rgb)


def across(pieces: Sequence[Sequence[Candidate]], clips: Clips) -> list[list[bool]]:
    """Whether each kept frame stays when its neighbours in the piece before are known, too.

    Of an interval that two pieces share the sharper frame stays; a frame that shows nothing new goes.
    """
    stays = [[True] * len(piece) for piece in pieces]
    flat = [(i, j) for i, piece in enumerate(pieces) for j in range(len(piece))]
    last: tuple[int, int] | None = None
    for place in flat:
        here = pieces[place[0]][place[1]]
        if last is not None:
            before = pieces[last[0]][last[1]]
            if here.interval == before.interval:
                loser = place if here.focus <= before.focus else last
                stays[loser[0]][loser[1]] = False
                last = last if loser == place else place
                continue
            if difference(before, here) < clips.min_difference:
                stays[place[0]][place[1]] = False
                continue
        last = place
    return stays


def difference(a: Candidate, b: Candidate) -> float:
    """Return the mean difference of the grey levels of two frames, over their range."""
    return float(np.abs(a.look.astype(np.int16) - b.look).mean() / 255)


def _sharpest(frames: Iterable[Timed]) -> tuple[float, Timed]:
    """The first of the sharpest, by the plane of brightness alone: turning all frames to RGB takes as long again."""
    best: tuple[float, Timed] | None = None
    for one in frames:
        focus = _focus(one.frame)
        if best is None or focus > best[0]:
            best = focus, one
    assert best is not None
    return best


def _focus(frame: av.VideoFrame) -> float:
    return float(cv2.Laplacian(_shrunk(frame.to_ndarray(format="gray")), cv2.CV_32F).var())


def _shrunk(image: np.ndarray) -> np.ndarray:
    scale = _FOCUS_PX / max(image.shape[:2])
    if scale >= 1:
        return image
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
