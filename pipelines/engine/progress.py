"""Progress of a run: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TextIO

from dataprep.files.filenames import printable

_PLAIN_EVERY_S = 10.0
_LIVE_EVERY_S = 0.2


def clock(seconds: float) -> str:
    """1:05 or 2:03:04."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


@dataclass
class Progress:
    """Counts rows per stage and estimates what is left from each stage's own measured cost."""

    total: Mapping[str, int]  # rows to run per stage
    workers: int
    unit: str = "image-stages"
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    _done: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _started: float = field(default_factory=time.monotonic)
    _shown: float = field(default_factory=time.monotonic)

    def advance(self, stage: str, rows: int, seconds: float) -> None:
        """A task of `stage` finished `rows` rows in `seconds` of one worker's time."""
        self._done[stage] += rows
        self._seconds[stage] += seconds
        self._show()

    def say(self, sentence: str) -> None:
        """Print a line of its own, above the live line."""
        self.stream.write(("\r\x1b[2K" if self.stream.isatty() else "") + printable(sentence) + "\n")
        self.stream.flush()

    def close(self) -> None:
        self._show(final=True)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def eta_s(self) -> float | None:
        """Seconds left if every stage goes on as measured; None until every stage with work has been seen."""
        left = 0.0
        for stage, total in self.total.items():
            if total > self._done[stage]:
                if not self._done[stage]:
                    return None
                left += (total - self._done[stage]) * self._seconds[stage] / self._done[stage]
        return left / self.workers

    def _show(self, final: bool = False) -> None:
        live = self.stream.isatty()
        if not final and time.monotonic() - self._shown < (_LIVE_EVERY_S if live else _PLAIN_EVERY_S):
            return
        self._shown = time.monotonic()
        line = self._line()
        if live:
            self.stream.write("\r\x1b[2K" + line + ("\n" if final else ""))
        else:
            self.stream.write(line + "\n")
        self.stream.flush()

    def _line(self) -> str:
        total, done = sum(self.total.values()), sum(self._done.values())
        finished = 1.0 if total == 0 else done / total
        bar = "#" * int(20 * finished)
        busy = [f"{stage} {self._done[stage]}/{n}" for stage, n in self.total.items() if 0 < self._done[stage] < n]
        eta = self.eta_s()
        rate = done / max(self.elapsed_s, 1e-6)
        left = "done" if done == total else f"ETA {clock(eta)}" if eta is not None else "ETA -"
        return f"[{bar:<20}] {done}/{total} {self.unit}  {rate:.1f}/s  {clock(self.elapsed_s)} elapsed  {left}" + (
            f"  ({', '.join(busy)})" if busy else ""
        )
