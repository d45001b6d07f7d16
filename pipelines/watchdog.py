"""A limit on how long code may take, enforced by ending the process: nothing else stops a hang inside C code.

Off unless a worker process switches it on, so that a debugger or a test may take its time. The driver finds a worker
that ended so like one that crashed, and looks for the guilty image in isolation.
"""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager

_enabled = False


def enable() -> None:
    """Let `limit` end this process. Called once by worker processes, never by the driver."""
    global _enabled
    _enabled = True


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """End this process, with all its threads' stacks on stderr, when the block takes longer than `seconds`."""
    if not _enabled:
        yield
        return
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
