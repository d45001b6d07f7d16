"""How frames and faces look, small: enough to find scene cuts and covered faces.

A frame's look is its picture at 24 x 24; a face's look is the face at 16 x 16, warped so that eyes and mouth lie still.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from dataprep.frames import geometry

THUMB_PX, PATCH_PX = 24, 16
_LEVELS = 4  # a colour channel, in histograms
_THUMB_SPAN = 60.0  # grey levels between pictures that have nothing in common
AROUND = 6  # frames on either side that say how much change is usual
_CUT, _CUT_OVER_USUAL = 0.25, 4.0
_LASTING, _LASTING_OVER_DRIFT = 0.18, 2.5  # of a cut between pictures alike, or restless: what stays, over what drifts
_SAME_SCENE, OTHER_SCENE = 0.15, 0.25
# Eye centres, then mouth corners (image left first), in patch px.
_PATCH_POINTS = np.array([[4.6, 5.0], [11.4, 5.0], [5.3, 12.2], [10.7, 12.2]])
_SKIN_SPAN = 28.0  # Lab distance of a patch cell that shows something else
_COVERED_SHARE = 0.22


def thumb(rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "24 24 3"]:
    return cv2.resize(rgb, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)


def difference(a: UInt8[np.ndarray, "24 24 3"], b: UInt8[np.ndarray, "24 24 3"]) -> float:
    """How different two pictures are, in [0, 1]: half by their colour histograms, half by place."""
    histograms = np.abs(_histogram(a) - _histogram(b)).sum() / 2
    place = np.abs(a.astype(np.float64) - b).mean() / _THUMB_SPAN
    return float((histograms + min(1.0, place)) / 2)


def is_cut(now: float, around: list[float]) -> bool:
    """Whether a difference between neighbouring frames starts a new scene, judged by the differences around it."""
    usual = float(np.median(around)) if around else 0.0
    return now >= _CUT and now >= _CUT_OVER_USUAL * usual


def cuts(
    thumbs: UInt8[np.ndarray, "n 24 24 3"], seen: Bool[np.ndarray, " n"], longest_gap: int
) -> Bool[np.ndarray, " n"]:
    """First frames of new scenes (never frame 0). A short blank between two looks of one scene is a dropout, no cut."""
    steps = [0.0, *(difference(a, b) for a, b in itertools.pairwise(thumbs))]
    cut = np.zeros(len(thumbs), bool)
    for i in range(1, len(thumbs)):
        around = [*steps[max(1, i - AROUND) : i], *steps[i + 1 : i + 1 + AROUND]]
        cut[i] = is_cut(steps[i], around) or _lasts(thumbs, i, steps)
    starts = np.flatnonzero(cut)
    for a, b in itertools.pairwise(starts):
        blank = not seen[a:b].any() and b - a <= longest_gap
        if blank and difference(thumbs[a - 1], thumbs[b]) < _SAME_SCENE:
            cut[[a, b]] = False
    return cut


def _lasts(thumbs: UInt8[np.ndarray, "n 24 24 3"], i: int, steps: list[float]) -> bool:
    """Whether the largest step about frame `i` is one from scene to scene, and no jolt.

    Half of the frames around it are averaged on each side: shaking and flicker average out, a new scene does not.
    """
    half = AROUND // 2
    largest = max(steps[max(1, i - half) : i + half + 1])
    if steps[i] < max(_LASTING, largest) or not half <= i <= len(thumbs) - half:
        return False
    before, after = _halves(thumbs[max(0, i - AROUND) : i]), _halves(thumbs[i : i + AROUND])
    drift = max(difference(*before), difference(*after))
    lasting = difference(_mean(thumbs[i - half : i]), _mean(thumbs[i : i + half]))
    return lasting >= _LASTING and lasting >= _LASTING_OVER_DRIFT * drift


def _halves(thumbs: UInt8[np.ndarray, "n 24 24 3"]) -> tuple[np.ndarray, np.ndarray]:
    middle = max(1, len(thumbs) // 2)
    return _mean(thumbs[:middle]), _mean(thumbs[-middle:])


def _mean(thumbs: UInt8[np.ndarray, "n 24 24 3"]) -> UInt8[np.ndarray, "24 24 3"]:
    return np.round(thumbs.mean(axis=0)).astype(np.uint8)


def face_patch(
    rgb: UInt8[np.ndarray, "h w 3"], landmarks68_px: Float[np.ndarray, "68 2"]
) -> UInt8[np.ndarray, "16 16 3"]:
    """The face by an affine map of its eye centres and mouth corners."""
    lm = landmarks68_px
    points = np.stack([lm[36:42].mean(0), lm[42:48].mean(0), lm[48], lm[54]])
    design = np.column_stack([points, np.ones(4)])
    patch_from_source = np.linalg.lstsq(design, _PATCH_POINTS, rcond=None)[0].T
    if geometry.scale_of(patch_from_source) < 1e-6:
        return np.zeros((PATCH_PX, PATCH_PX, 3), np.uint8)
    return geometry.resample(rgb, patch_from_source, PATCH_PX, fill=128)


def covered(
    patches: UInt8[np.ndarray, "n 16 16 3"], known: Bool[np.ndarray, " n"], shot: np.ndarray
) -> Bool[np.ndarray, " n"]:
    """Faces of which much looks unlike the same face in the rest of its scene: a hand, a cup, a passer-by."""
    out = np.zeros(len(patches), bool)
    for number in np.unique(shot):
        rows = np.flatnonzero(known & (shot == number))
        if len(rows) < 3:
            continue
        lab = np.stack([cv2.cvtColor(patches[row].astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for row in rows])
        lab[..., 0] *= 0.6  # light changes more than what is lit
        usual = np.median(lab, axis=0)
        away = np.linalg.norm(lab - usual, axis=-1)
        out[rows] = (away > _SKIN_SPAN).mean(axis=(1, 2)) > _COVERED_SHARE
    return out


def _histogram(thumb: np.ndarray) -> np.ndarray:
    bins = (thumb // (256 // _LEVELS)).reshape(-1, 3).astype(int)
    index = (bins[:, 0] * _LEVELS + bins[:, 1]) * _LEVELS + bins[:, 2]
    return np.bincount(index, minlength=_LEVELS**3) / len(index)
