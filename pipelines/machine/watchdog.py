"""Limits on one image's work, enforced by ending the process: nothing else stops a hang inside C code.

The limit counts *processor time*, which a busy machine does not use up: an image that waits for its turn beside eight
other programs is as healthy as on an idle one. What neither works nor ends, a real hang, is ended by the clock: after
HANG_FACTOR times the limit, times how much more work the machine has than processors.

Off unless a worker process switches it on, so that a debugger or a test may take its time. A worker says which image
it ends for, if it still can, and writes all threads' stacks to the run's log. The driver finds that it died, and looks
for the guilty image in isolation, where the same limits hold.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

HANG_FACTOR = 10.0  # of the limit, in seconds of the clock
_MOST_BUSY = 10.0  # the load average may be of a host that has far more to do than this container
_SLACK = 0.1  # of the clock's limit: setting that timer costs a thread, so it is set anew only after this part of it
_RULE = signal.SIGPROF  # sent by the kernel when the process has used its processor time

_log: TextIO | None = None  # where stacks go; None: the watchdog is off
_hand: tuple[str, str] | None = None  # stage and sample id of the image that is worked on
_armed: tuple[float, float, float] | None = None  # limit, the clock's limit, time when that timer was set; seconds


def enable(log: TextIO, tell: Callable[[str, str], None]) -> None:
    """Let `limit` end this process. Called by worker processes, in their main thread, never by the driver.

    `log` must stay open; stacks are written there. `tell` gets stage and sample id of the image that took too long.
    """
    global _log
    _log = log

    def end(number: int, frame: object) -> None:
        if _hand is not None:
            tell(*_hand)

    faulthandler.unregister(_RULE)  # or the handler below would replace the one that writes stacks, the second time
    if threading.current_thread() is threading.main_thread():  # elsewhere the signal ends the process without a word
        signal.signal(_RULE, end)
    faulthandler.register(_RULE, file=log, all_threads=True, chain=True)


def hang_s(limit_s: float) -> float:
    """Seconds of the clock after which an image with a limit of `limit_s` processor seconds counts as hanging."""
    with contextlib.suppress(OSError):  # a system that does not count its load
        busy = os.getloadavg()[0] / (os.cpu_count() or 1)
        return limit_s * HANG_FACTOR * min(max(busy, 1.0), _MOST_BUSY)
    return limit_s * HANG_FACTOR


@contextmanager
def watch() -> Iterator[None]:
    """Around a series of `limit`s: no timer is left behind."""
    global _armed
    try:
        yield
    finally:
        if _armed is not None:
            faulthandler.cancel_dump_traceback_later()
            _armed = None


@contextmanager
def limit(seconds: float, stage: str = "", sample_id: str = "") -> Iterator[None]:
    """Within `watch`: end this process when the block uses more than `seconds` of processor time, or hangs."""
    global _hand
    if _log is None:
        yield
        return
    _hand = stage, sample_id
    _arm(seconds)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        _hand = None


def _arm(limit_s: float) -> None:
    """Set the clock's timer, unless it was set a moment ago; it allows a tenth more, so that nothing ends too early."""
    global _armed
    now = time.monotonic()
    if _armed is not None and _armed[0] == limit_s and now - _armed[2] < _SLACK * _armed[1]:
        return
    wall_s = hang_s(limit_s)
    faulthandler.dump_traceback_later(wall_s * (1 + _SLACK), exit=True, file=_log or sys.stderr)
    _armed = limit_s, wall_s, now
