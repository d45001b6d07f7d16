"""How much work is left: what every stage costs on this machine, now.

A machine is faster or slower than assumed: its *slowness* is how many times as long as assumed all work took lately.
Photographs and parameters make a stage dearer or cheaper beside the others: its *factor*. Others come and go on a
machine: its *pace* is how many times as long as these factors foretell work took lately. So a stage that was last
measured under load is not thought to be as slow now, and one that never ran is scaled by what did.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

_PRIOR_S = 20.0  # of work as assumed, which what is measured must outweigh: first rows wait for imports and cold files
_PRIOR_ROWS = 16  # of which none is lost, likewise
_RECENT_S = 90.0  # of work; what was measured so much earlier counts 1/e for the pace


@dataclass
class StageWork:
    """Rows that a stage has seen: `lost` by itself, `idle` those that an earlier stage had lost."""

    rows: int = 0
    lost: int = 0
    idle: int = 0
    seconds: float = 0.0
    assumed_s: float = 0.0  # at the pace of that time

    @property
    def worked(self) -> int:
        return self.rows - self.idle


@dataclass
class Forecast:
    """Seconds of one worker that are left of `total` rows by stage, stages in order.

    Attributes:
        total: Rows to run by stage.
        assumed_s: Seconds a row by stage; a stage without must be measured first.

    """

    total: Mapping[str, int]
    assumed_s: Mapping[str, float] = field(default_factory=dict)
    done: dict[str, StageWork] = field(default_factory=lambda: defaultdict(StageWork))
    _recent_s: float = 0.0
    _recent_assumed_s: float = 0.0
    _recent_foretold_s: float = 0.0

    @property
    def slowness(self) -> float:
        """How many times as long as assumed work takes at present."""
        return (self._recent_s + _PRIOR_S) / (self._recent_assumed_s + _PRIOR_S)

    @property
    def _pace(self) -> float:
        return (self._recent_s + _PRIOR_S) / (self._recent_foretold_s + _PRIOR_S)

    def note(self, stage: str, rows: int, seconds: float, lost: int = 0, idle: int = 0) -> None:
        """Take in that `rows` rows took `seconds`."""
        work, assumed = self.done[stage], self.assumed_s.get(stage, 0.0) * (rows - idle)
        if assumed:
            kept = math.exp(-seconds / _RECENT_S)
            foretold = assumed * self._factor(work)
            self._recent_foretold_s = self._recent_foretold_s * kept + foretold
            self._recent_assumed_s = self._recent_assumed_s * kept + assumed
            self._recent_s = self._recent_s * kept + seconds
        work.rows += rows
        work.lost += lost
        work.idle += idle
        work.seconds += seconds
        work.assumed_s += assumed * self._pace

    def left_s(self) -> float | None:
        """Seconds left; None while a stage with work was neither measured nor has an assumed cost."""
        seconds = [self._stage_left_s(stage, rows) for stage, rows in self._rows_left().items()]
        return None if None in seconds else sum(one or 0.0 for one in seconds)

    def slowest(self) -> str:
        """The stage that most of what is left will go into, where several have something left; "" while unknown."""
        left = {stage: self._stage_left_s(stage, rows) for stage, rows in self._rows_left().items()}
        return "" if len(left) < 2 or None in left.values() else max(left, key=lambda stage: left[stage] or 0.0)

    def _rows_left(self) -> dict[str, float]:
        """Rows that each unfinished stage will still work on.

        What was lost before is none, nor what earlier stages will lose of their own if they go on as they did.
        """
        left = dict[str, float]()
        lost = 0.0
        for stage, total in self.total.items():
            work = self.done[stage]
            rows = max(0.0, total - work.rows - max(0.0, lost - work.idle))
            if total > work.rows:
                left[stage] = rows
            lost += work.lost + rows * work.lost / (work.worked + _PRIOR_ROWS)
        return left

    def _stage_left_s(self, stage: str, rows: float) -> float | None:
        work, assumed = self.done[stage], self.assumed_s.get(stage)
        if assumed:
            return rows * assumed * self._factor(work) * self._pace
        return rows * work.seconds / work.worked if work.worked else None  # no measurable time says nothing

    def _factor(self, work: StageWork) -> float:
        """Of a stage that never ran such that it is as slow as all the others."""
        return (work.seconds + _PRIOR_S * self.slowness / self._pace) / (work.assumed_s + _PRIOR_S)
