"""A limit on how long code may take, enforced by ending the process: nothing else stops a hang inside C code.

Off unless a worker process switches it on, so that a debugger or a test may take its time. The driver finds a worker
that ended so like one that crashed, and looks for the guilty image in isolation.

Setting the timer costs a thread, more than many an image: it is set anew only when a tenth of its time has passed, and
allows a tenth more. So a limit of 10 s ends what takes longer than 11 s and lets pass what takes less than 10 s.
"""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Iterator
from contextlib import contextmanager

_SLACK = 0.1  # of the limit
_enabled = False
_armed: tuple[float, float] | None = None  # limit, time at which the timer was set; both in seconds


def enable() -> None:
    """Let `limit` end this process. Called once by worker processes, never by the driver."""
    global _enabled
    _enabled = True


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
def limit(seconds: float) -> Iterator[None]:
    """Within `watch`: end this process, with all its threads' stacks on stderr, when the block takes longer."""
    if _enabled:
        _arm(seconds)
    yield


def _arm(seconds: float) -> None:
    global _armed
    now = time.monotonic()
    if _armed is not None and _armed[0] == seconds and now - _armed[1] < _SLACK * seconds:
        return
    faulthandler.dump_traceback_later(seconds * (1 + _SLACK), exit=True, file=2)
    _armed = seconds, now
