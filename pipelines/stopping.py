"""A clean stop: the first SIGINT or SIGTERM finishes what is in flight, a second one abandons it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self.requested = False

    def _handle(self, number: int, frame: Any) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print("\nstopping: parts in flight are being finished; once more abandons them", file=sys.stderr, flush=True)


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Listen to the signals inside the block. Outside the main thread there is nothing to listen to."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    earlier = {number: signal.signal(number, request._handle) for number in _SIGNALS}
    try:
        yield request
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def ignore_interrupts() -> None:
    """For worker processes: a terminal sends Ctrl-C to all of them, but stopping is the driver's affair."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
