"""The error budget: a run whose images fail in numbers has another fault than its images, and stops early.

Counted are the rows of this run that ended as error, crash or timeout. A rejected image is no error.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

FAULTS = ("error", "crash", "timeout")
ENOUGH_ROWS = 256  # before that many rows, two or three broken files would stop a run
DEFAULT_FRACTION = 0.01  # a wrong setting or a full disk fails far more; single bad photographs far fewer


@dataclass
class ErrorBudget:
    """`max_fraction` of a stage's rows may fail; judged once the stage has seen 256 of them."""

    max_fraction: float
    rows: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def count(self, stage: str, counts: Mapping[str, int], reasons: Mapping[str, int]) -> None:
        """Add one part: its rows by status, and its faults by reason."""
        self.rows[stage] += sum(n for status, n in counts.items() if status != "upstream")
        self.faults[stage] += sum(counts.get(status, 0) for status in FAULTS)
        self.reasons[stage].update(reasons)

    def overdrawn(self) -> str:
        """Why the run should stop, in words; "" while it may go on."""
        for stage, rows in self.rows.items():
            faults = self.faults[stage]
            if rows >= ENOUGH_ROWS and faults > self.max_fraction * rows:
                top = ", ".join(f"{reason} ({n})" for reason, n in self.reasons[stage].most_common(3))
                return (
                    f"{faults} of {rows} images failed in stage {stage}, more than --max-error-fraction "
                    f"{self.max_fraction:g} allows; top reasons: {top}"
                )
        return ""
