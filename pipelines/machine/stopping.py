"""A clean stop: the first SIGINT, SIGTERM, SIGHUP or SIGUSR1 finishes what is in flight, a second one abandons it.

SIGHUP comes when a terminal closes; what is printed afterwards goes nowhere. Under nohup it stays ignored. SIGUSR1 is
how Slurm announces the end of a job (`--signal`); the SIGTERM that follows it abandons nothing.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTED = 130  # exit status when a person stopped it
REQUEUE = 75  # EX_TEMPFAIL of sysexits.h: when the machine is being taken away, start the same command again
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_SAID = "stopping: parts in flight are being finished; once more abandons them"


class StopRequest:
    """Whether somebody asked the run to stop."""

    def __init__(self, said: str, patient: bool) -> None:
        self.requested = False
        self.signal: int | None = None  # the first one
        self._said, self._patient = said, patient

    @property
    def exit_status(self) -> int:
        """INTERRUPTED after Ctrl-C or a closed terminal, REQUEUE after SIGTERM, SIGUSR1, or another process's stop."""
        return INTERRUPTED if self.signal in (signal.SIGINT, signal.SIGHUP) else REQUEUE

    def _handle(self, number: int, frame: Any) -> None:
        if number == signal.SIGHUP:
            print_nowhere()
        announced = number != signal.SIGINT and signal.SIGUSR1 in (number, self.signal)
        if self.requested and not self._patient and not announced:
            raise KeyboardInterrupt
        if not self.requested:
            self.signal = number
            print(f"\n{self._said}", file=sys.stderr, flush=True)
        self.requested = True


@contextmanager
def stop_request(said: str = _SAID, patient: bool = False) -> Iterator[StopRequest]:
    """Listen to the signals inside the block. Outside the main thread there is nothing to listen to.

    `patient` takes repeated signals for one: whoever starts several processes passes an interrupt on to each of them,
    and the terminal has sent it before.
    """
    request = StopRequest(said, patient)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    stays = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else set()
    earlier = {number: signal.signal(number, request._handle) for number in _SIGNALS if number not in stays}
    try:
        yield request
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def ignore_interrupts() -> None:
    """For worker processes: stopping is the driver's affair.

    A terminal sends Ctrl-C to all processes, and a hang-up when it closes.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def print_nowhere() -> None:
    """The terminal is gone: writing to it would be an error, and it no longer says that it is one (`isatty`)."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
