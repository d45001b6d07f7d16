"""The time that is left, in replays of whole runs on a clock of their own: right within a factor of two."""

import heapq
import io
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pipelines.engine import progress as module
from pipelines.engine.cost.assumed_costs import assumed_s
from pipelines.engine.progress import Progress
from pipelines.paper_stages import build

ASSUMED = assumed_s(build().stages)
QUICK = assumed_s(build(["superres.model=span"]).stages)
PARTS, ROWS, AFTER_S = 20, 4, 20.0


@dataclass
class Machine:
    """Replays a run: parts of four rows, the deepest ready stage first; every fourth row is lost in `detect`.

    `true_s` are seconds a row by stage, `load_at` how many times as slow the machine is at a time.
    """

    true_s: dict[str, float]
    workers: int = 2
    load_at: Callable[[float], float] = field(default=lambda now: 1.0)
    now: float = 0.0
    told: list[tuple[float, float]] = field(default_factory=list)  # when, and how much was said to be left

    def run(self, assumed):
        """Return when the run ended, outputs included."""
        stages = list(self.true_s)
        total = dict.fromkeys(stages, PARTS * ROWS)
        progress = Progress(total, self.workers, stream=io.StringIO(), assumed_s=assumed, after_s=AFTER_S)
        ready, busy = [(0, part) for part in range(PARTS)], []
        while ready or busy:
            while ready and len(busy) < self.workers:
                depth, part = heapq.heappop(ready)
                idle = 1 if -depth > stages.index("detect") else 0
                seconds = (ROWS - idle) * self.true_s[stages[-depth]] * self.load_at(self.now)
                heapq.heappush(busy, (self.now + seconds, seconds, depth, part, idle))
            end, seconds, depth, part, idle = heapq.heappop(busy)
            for share in (0.25, 0.5, 0.75):  # who watches sees it between two tasks
                self._hear(self.now + share * (end - self.now), progress)
            self.now = end
            stage = stages[-depth]
            progress.advance(stage, ROWS, seconds, lost=int(stage == "detect"), idle=idle)
            progress.workers = max(1, min(self.workers, len({p for _, p in ready} | {b[3] for b in busy} | {part})))
            if -depth + 1 < len(stages):
                heapq.heappush(ready, (depth - 1, part))
            self._hear(self.now, progress)
        return self.now + AFTER_S * self.load_at(self.now)

    def _hear(self, moment, progress):
        before, self.now = self.now, moment
        self.told.append((moment, progress.eta_s()))
        self.now = before

    def ratios(self, assumed, begin=0.2, until=0.9):
        """Return what was said to be left over what was left, between two parts of the run."""
        end = self.run(assumed)
        return [said / (end - when) for when, said in self.told if begin * end <= when <= until * end]


@pytest.fixture
def machine(monkeypatch):
    def of(*arguments, **more):
        made = Machine(*arguments, **more)
        monkeypatch.setattr(module.time, "monotonic", lambda: made.now)
        return made

    return of


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("assumed", [ASSUMED, QUICK])
@pytest.mark.parametrize("slower", [0.5, 1.0, 4.0])
def test_a_machine_of_any_speed(machine, workers, assumed, slower):
    ratios = machine(assumed, workers, lambda now: slower).ratios(assumed)
    assert min(ratios) > 0.5
    assert max(ratios) < 2


@pytest.mark.parametrize("stage", ["detect", "superres", "likeness", "matte"])
@pytest.mark.parametrize("dearer", [0.4, 3.0])
def test_a_stage_that_costs_otherwise_than_assumed(machine, stage, dearer):
    for assumed in (ASSUMED, QUICK):
        ratios = machine(assumed | {stage: dearer * assumed[stage]}).ratios(assumed)
        assert min(ratios) > 0.5
        assert max(ratios) < 2


@pytest.mark.parametrize(("before", "after"), [(3.0, 1.0), (1.0, 3.0)])
def test_load_that_comes_or_goes_is_believed_soon(machine, before, after):
    """What is left cannot be known before; a quarter of the run later it is."""
    change = 200.0
    made = machine(ASSUMED, load_at=lambda now: before if now < change else after)
    end = made.run(ASSUMED)
    late = [said / (end - when) for when, said in made.told if change + end / 4 <= when <= 0.9 * end]
    assert min(late) > 0.5
    assert max(late) < 2
