"""Question a coarse mask of a person: by colours, where the networks contradict themselves or take in too much.

The networks that give the mask see 256 pixels a side. What they are sure of is mostly right, but a gap between hair and
neck or under an arm is filled, and where they differ over a hand or a shoulder the mean of them is half-transparent.
Colours answer both: histograms of what is surely the person and surely not give every pixel log odds (positive:
person). They decide in areas that are unsure and wider than an edge. Inside the mask they convict a region only when
the rest of the person has nothing like it: the region's own pixels are taken out of the person's histogram first, so
that a white stripe is defended by its neighbours and a gap by nobody. A gap also has just the colour of the background
nearest to it, which the collar of a grey coat before a grey wall has not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import gaussian_filter

SIDE_PX = 256  # what the networks see; all lengths and areas below are at this size
_BINS = 32  # of each Lab channel; smoothed with a deviation of one bin
_FLOOR = 2e-5  # density of a colour that a side does not have: no log odds beyond about 8
_SURE = 0.9
_LEAST_SAMPLES_PX = 200  # a side with fewer pixels has no colours to speak of
_UNSURE = (0.1, 0.9)
_EDGE_PX = 3  # unsure areas up to twice as wide are edges: closed-form matting decides there
_DOUBT = 1.0  # log odds that are no evidence: on textured backgrounds as much is chance
_GAIN = 1.5  # decided areas leave only a narrow band open, so that no hand stays half-transparent
_GAP_OPEN_PX, _GAP_AREA_PX, _GAPS = 2, 40, 16  # thinner and smaller regions are texture; the largest are looked at
_GUILTY = -3.5  # mean log odds from which a region is a gap: grey hair on a grey wall reaches -3.0
_SUSPICIOUS = -2.0  # ... from which it counts in the score
_ALIKE, _NEAREST_PX = 5.0, 400  # a gap differs from the background nearest to it by less: gaps 1 to 4.5, collars 5.7 up
_MOST_POINTED = 0.15  # a region is no gap when a larger part of it lies where the person's points are


@dataclass(frozen=True)
class Questioned:
    """A mask in [0, 1] after the questions, and the part of the person that looks like background but was left."""

    mask: Float[np.ndarray, "h w"]
    enclosed: float


def question_mask(
    portrait: UInt8[np.ndarray, "h w 3"], mask: Float[np.ndarray, "h w"], person: Bool[np.ndarray, "h w"]
) -> Questioned:
    """Decide unsure areas and cut gaps out of sure ones. `person`: pixels that the person's points say are the person.

    A picture with too little of either side is returned as it came.
    """
    coarse, pointed = _shrink(mask), _shrink(person.astype(np.uint8)) > 0
    colours = _Colours.of(_shrink(portrait), (coarse > _SURE) | (pointed & (coarse > 0.5)), coarse < 1 - _SURE)
    if colours is None:
        return Questioned(_with_points(mask, person), 0.0)
    odds = cv2.blur(colours.odds(), (3, 3))
    unsure = _wide_unsure(coarse) & ~pointed
    decided = np.where(unsure, _decide(coarse, odds), coarse)
    enclosed = 0
    for region in _regions((odds < 0) & (coarse > 0.5) & ~unsure, pointed):
        mean_odds = colours.odds_without(region) if colours.difference(region) < _ALIKE else 0.0
        if mean_odds < _GUILTY:
            decided[cv2.dilate(region.astype(np.uint8), _disc(1)) * (odds < 0) > 0] = 0
        elif mean_odds < _SUSPICIOUS:
            enclosed += int(region.sum())
    grown = _grow(decided, mask.shape)
    changed = _grow((np.abs(decided - coarse) > 0.02).astype(np.float32), mask.shape) > 0
    part = enclosed / max(float((decided > 0.5).sum()), 1.0)
    return Questioned(_with_points(np.where(changed, grown, mask), person), part)


@dataclass(frozen=True)
class _Colours:
    """The picture's colours as histogram cells, and how often the person and the background have each."""

    lab: Float[np.ndarray, "s s 3"]
    cells: Int[np.ndarray, "s s"]
    sure_person: Bool[np.ndarray, "s s"]
    sure_background: Bool[np.ndarray, "s s"]
    person: Float[np.ndarray, "c"]
    background: Float[np.ndarray, "c"]

    @classmethod
    def of(cls, picture: np.ndarray, person: np.ndarray, background: np.ndarray) -> _Colours | None:
        """None when one side has too few pixels."""
        if min(person.sum(), background.sum()) < _LEAST_SAMPLES_PX:
            return None
        level = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.int64) * _BINS >> 8
        cells = (level[..., 0] * _BINS + level[..., 1]) * _BINS + level[..., 2]
        lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        return cls(lab, cells, person, background, _histogram(cells[person]), _histogram(cells[background]))

    def odds(self) -> Float[np.ndarray, "s s"]:
        """Log odds of the person against the background, by colour alone."""
        return (_log_density(self.person) - _log_density(self.background))[self.cells]

    def odds_without(self, region: np.ndarray) -> float:
        """Mean log odds of a region, its own pixels not counted as the person's."""
        cells = self.cells[region]
        others = np.maximum(self.person - _histogram(self.cells[region & self.sure_person]), 0)
        return float((_log_density(others) - _log_density(self.background))[cells].mean())

    def difference(self, region: np.ndarray) -> float:
        """Between the region's colour and that of the background nearest to it, in Lab units (2 can just be seen)."""
        away = cv2.distanceTransform((~region).astype(np.uint8), cv2.DIST_L2, 5)[self.sure_background]
        nearest = self.lab[self.sure_background][np.argsort(away, kind="stable")[:_NEAREST_PX]]
        return float(np.linalg.norm(np.median(self.lab[region], axis=0) - np.median(nearest, axis=0)))


def _histogram(cells: np.ndarray) -> np.ndarray:
    counts = np.bincount(cells, minlength=_BINS**3).astype(np.float64).reshape(_BINS, _BINS, _BINS)
    return gaussian_filter(counts, 1.0, mode="constant").ravel()


def _log_density(histogram: np.ndarray) -> np.ndarray:
    return np.log(histogram / max(float(histogram.sum()), 1.0) + _FLOOR)


def _wide_unsure(mask: np.ndarray) -> np.ndarray:
    """Unsure areas that are wider than an edge, with the unsure pixels around them."""
    unsure = ((mask > _UNSURE[0]) & (mask < _UNSURE[1])).astype(np.uint8)
    wide = cv2.dilate(cv2.morphologyEx(unsure, cv2.MORPH_OPEN, _disc(_EDGE_PX)), _disc(2)) > 0
    return wide & (mask > 0.03) & (mask < 0.97)


def _decide(mask: np.ndarray, odds: np.ndarray) -> np.ndarray:
    """The mask's own odds and those of the colours, together, as probability."""
    prior = np.log((mask + 1e-3) / (1 - mask + 1e-3))
    evidence = np.sign(odds) * np.maximum(np.abs(odds) - _DOUBT, 0)
    return 1 / (1 + np.exp(-np.clip(_GAIN * (prior + evidence), -8, 8)))


def _regions(like_background: np.ndarray, pointed: np.ndarray) -> Iterator[np.ndarray]:
    """Regions inside the mask that look like background, the largest first; not those where the person's points are."""
    opened = cv2.morphologyEx(like_background.astype(np.uint8), cv2.MORPH_OPEN, _disc(_GAP_OPEN_PX))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA]
    largest = sorted(range(1, len(areas)), key=lambda label: (-areas[label], label))[:_GAPS]
    for label in largest:
        region = labels == label
        if areas[label] >= _GAP_AREA_PX and (region & pointed).sum() <= _MOST_POINTED * areas[label]:
            yield region


def _with_points(mask: np.ndarray, person: np.ndarray) -> np.ndarray:
    """The mask, sure where the person's points are and it does not object."""
    return np.where(person & (mask > 0.3), np.maximum(mask, 0.95), mask)


def _shrink(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)


def _grow(picture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return cv2.resize(picture, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)


def _disc(radius_px: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
