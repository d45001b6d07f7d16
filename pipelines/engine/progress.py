"""Progress of a run: one live line on a terminal, never wider than it; plain lines elsewhere, at least every 30 s."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field
from typing import Any, TextIO

from dataprep.files.filenames import printable
from pipelines.engine.cost.forecast import Forecast
from pipelines.machine.stopping import print_nowhere
from pipelines.machine.terminal import Terminal

_PLAIN_EVERY_S = 10.0  # while work is finished
_PLAIN_AT_LEAST_EVERY_S = 20.0  # while none is: who reads a pipe, or a CI that looks for life, gives up after 30
_LIVE_EVERY_S = 0.2
_BEAT_S = 1.0
_COLUMNS = 80  # of a terminal that does not say
_BAR = 20  # characters; narrow terminals have better use for most of them
_CLEAR = "\r\x1b[2K"  # moves and erases; no colour


def clock(seconds: float) -> str:
    """1:05 or 2:03:04."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


@dataclass
class Progress:
    """Counts rows per stage and estimates what is left (`pipelines.engine.cost.forecast`).

    Attributes:
        total: Rows to run by stage.
        workers: How many work at a time.
        unit: What rows are, for people.
        stream: Where it is shown.
        assumed_s: Seconds a row by stage, until the stage has been measured.
        after_s: Assumed seconds of what follows, which one process does: part of the time that is left.

    """

    total: Mapping[str, int]
    workers: int
    unit: str = "image-stages"
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    assumed_s: Mapping[str, float] = field(default_factory=dict)
    after_s: float = 0.0
    _told_end: bool = False  # a pipe has the last line already: `close` does not repeat it
    _started: float = field(default_factory=time.monotonic)
    _shown: float = field(default_factory=time.monotonic)
    _logged: float = field(default_factory=time.monotonic)
    _advanced: float = field(default_factory=time.monotonic)
    _begun: str = ""
    _stands: bool = False  # a live line, to be erased before anything else is written
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._forecast = Forecast(self.total, self.assumed_s)

    @property
    def slowness(self) -> float:
        """How many times as long as assumed work takes at present."""
        return self._forecast.slowness

    def begin(self, stage: str) -> None:
        """Work of `stage` is in hand; worth saying where one piece of it takes long."""
        self._begun = stage

    def advance(self, stage: str, rows: int, seconds: float, lost: int = 0, idle: int = 0) -> None:
        """A task of `stage` finished `rows` rows in `seconds` of one worker's time.

        `lost` of them were lost by this stage, so that later stages have no work with them. `idle` were lost before.
        """
        with self._lock:
            self._forecast.note(stage, rows, seconds, lost, idle)
            self._advanced = time.monotonic()
            self._show(_PLAIN_EVERY_S)

    def say(self, sentence: str) -> None:
        """Print a line of its own, above the live line."""
        with self._lock:
            self._erase()
            self._put(printable(sentence) + "\n")

    def close(self) -> None:
        """Show where it ended, and leave the line."""
        with self._lock:
            self._show(0, final=True)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Show that the block is alive while nothing is finished; an error leaves the live line empty.

        Whatever the block prints to stderr stands above the live line.
        """
        ended, above = threading.Event(), _Above(self)

        def beat() -> None:
            while not ended.wait(_BEAT_S):
                with self._lock, suppress(OSError, ValueError):  # nobody listens any more
                    if above.ended_line:
                        self._show(_PLAIN_AT_LEAST_EVERY_S)

        heart = threading.Thread(target=beat, daemon=True)
        heart.start()
        try:
            with redirect_stderr(above if self.stream is sys.stderr else sys.stderr):
                yield
        except BaseException:
            self._erase()
            raise
        finally:
            ended.set()
            heart.join()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def eta_s(self) -> float | None:
        """Seconds left if every stage goes on as measured, or assumed; None while a stage with work is neither."""
        left_s = self._forecast.left_s()
        if left_s is None:
            return None
        left_s /= self.workers
        if self._done:  # else workers start, which is nobody's cost
            left_s = max(left_s - (time.monotonic() - self._advanced), 0.1 * left_s)  # what is in hand goes on
        return left_s + self.after_s * self.slowness

    @property
    def _done(self) -> int:
        return sum(work.rows for work in self._forecast.done.values())

    def _erase(self) -> None:
        if self._stands:
            self._put(_CLEAR, live=True)
        self._stands = False

    def _put(self, text: str, live: bool = False) -> None:
        """Write at once; of a live line a log file needs no copy, since it has lines of its own.

        A terminal that has just closed is no fault of the run: the signal that says so follows, and stops it.
        """
        try:
            (self.stream.write_live if live and isinstance(self.stream, Terminal) else self.stream.write)(text)
            self.stream.flush()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            print_nowhere()

    def _is_live(self) -> bool:
        return self.stream.isatty() and os.environ.get("TERM") != "dumb"

    def _show(self, plain_every_s: float, final: bool = False) -> None:
        terminal = self.stream if isinstance(self.stream, Terminal) else None
        live, quiet = self._is_live(), bool(terminal and terminal.quiet)
        now = time.monotonic()
        if terminal and terminal.log and (live or quiet) and (final or now - self._logged >= plain_every_s):
            self._logged = now
            terminal.log.add(self._line() + "\n")
        if quiet or (not final and now - self._shown < (_LIVE_EVERY_S if live else plain_every_s)):
            return
        self._shown = now
        if live:
            self._put(_CLEAR + self._line(_columns(self.stream) - 1) + ("\n" if final else ""), live=True)
            self._stands = not final
        elif not (final and self._told_end):
            self._told_end = self._done == sum(self.total.values())
            self._put(self._line() + "\n")

    def _line(self, columns: int | None = None) -> str:
        """The most telling first; what does not fit into `columns` is left out."""
        total, done = sum(self.total.values()), self._done
        width = _BAR if columns is None or columns > _COLUMNS else _BAR // 4
        bar = "#" * int(width * (1.0 if total == 0 else done / total))
        line = f"[{bar:<{width}}] {done}/{total} {self.unit}"
        for piece in self._pieces(total, done):
            if columns is None or len(line) + 2 + len(piece) <= columns:
                line += f"  {piece}"
        return line if columns is None else line[:columns]

    def _pieces(self, total: int, done: int) -> Iterator[str]:
        by_stage = {stage: self._forecast.done[stage].rows for stage in self.total}
        eta = None if done == total else self.eta_s()
        if done == total or eta is not None:
            yield "done" if eta is None else f"ETA {clock(eta)}"
        yield f"{clock(self.elapsed_s)} elapsed"
        if self._begun and by_stage.get(self._begun, 0) < self.total.get(self._begun, 0):
            yield self._begun
        if done:
            yield f"{done / max(self.elapsed_s, 1e-6):.1f}/s"
        yield from (f"{stage} {by_stage[stage]}/{n}" for stage, n in self.total.items() if 0 < by_stage[stage] < n)
        if slowest := self._forecast.slowest():
            yield f"most left in {slowest}"


@contextmanager
def beating(unit: str) -> Iterator[Callable[[Mapping[str, int]], Progress]]:
    """Yield what makes a progress of one worker from its totals; it is alive until the block ends."""
    with ExitStack() as stack:

        def begin(total: Mapping[str, int]) -> Progress:
            progress = Progress(total, workers=1, unit=unit)
            stack.enter_context(progress.beating())
            return progress

        yield begin


class _Above:
    """stderr as others see it while a live line stands there; everything but writing is the stream's own."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self.ended_line = progress, True

    def write(self, text: str) -> int:
        with self._progress._lock:
            self._progress._erase()
            self.ended_line = text.endswith("\n") if text else self.ended_line
            return self._progress.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._progress.stream, name)


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or _COLUMNS
    except OSError:
        return _COLUMNS
