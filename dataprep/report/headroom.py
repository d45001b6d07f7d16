"""Headroom: how far a portrait's weakest score lies above its threshold, in [.., 1]; 0 = exactly on it, 1 = perfect.

Scores have different scales, so their plain minimum would always be the same score. Headroom is
min over the rejecting rules of (score - threshold) / (1 - threshold).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataprep.stages.quality import RULES, Quality

REJECTING = tuple(rule for rule in RULES if rule.rejects)


@dataclass(frozen=True)
class Headroom:
    """Per row of a table: the headroom (NaN before quality) and the score it comes from."""

    value: np.ndarray
    weakest: np.ndarray  # index into REJECTING


def headroom(scores: Mapping[str, Any], quality: Quality) -> Headroom:
    """`scores`: name of the score -> (n,) float array, NaN where null."""
    thresholds = np.array([getattr(quality, rule.threshold) for rule in REJECTING])
    values = np.stack([np.asarray(scores[rule.score], np.float64) for rule in REJECTING])
    relative = (values - thresholds[:, None]) / np.maximum(1 - thresholds[:, None], 1e-6)
    return Headroom(relative.min(axis=0), np.where(np.isnan(relative), np.inf, relative).argmin(axis=0))
