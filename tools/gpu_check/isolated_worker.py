"""A process that does checks: what crashes or hangs there ends one check, and the next one has a new process.

On a GPU every failure is followed by a new process: an illegal access spoils all that comes after it in the same one,
and what a failed check had in memory would be missing.
"""

from __future__ import annotations

import multiprocessing
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from gan.training.cost.gpu_check import CheckResult
from tools.gpu_check.trial import Missed, NotHere, Numbers, Trial

CheckFunction = Callable[[Trial], Numbers]

START_S = 120.0  # for a process to begin: imports, on a busy machine
ROOT = Path(__file__).resolve().parents[2]
_REASON_LENGTH = 400  # characters


class Worker:
    """Does one check after another; `close` ends the process."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None

    def check(self, name: str, function: CheckFunction, budget_s: float) -> CheckResult:
        """Do a check within so many seconds; whatever happens there is a result here."""
        begun = time.monotonic()
        try:
            connection = self._ready()
            begun = time.monotonic()
            connection.send((name, function))
            if not connection.poll(budget_s):
                raise TimeoutError(f"took more than {budget_s:.3g} s")
            found: CheckResult = connection.recv()
        except (EOFError, OSError) as error:
            reason = self._end() if isinstance(error, EOFError | ConnectionError) else str(error)
            self.close()
            return CheckResult(name, "failed", reason, time.monotonic() - begun)
        if found.status == "failed" and self._trial.is_gpu:
            self.close()
        return found

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = self._connection = None

    def _ready(self) -> Connection:
        if self._connection is None:
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, self._trial), daemon=True)
            self._process.start()
            theirs.close()
            if not self._connection.poll(START_S):
                raise TimeoutError(f"the process for it did not begin within {START_S:.0f} s")
            self._connection.recv()
        return self._connection

    def _end(self) -> str:
        """Say how the process ended by itself."""
        assert self._process is not None
        self._process.join(5)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"its process was ended by {signal.Signals(-code).name}" + " (out of memory?)" * (code == -9)
        return f"its process ended with exit status {code}"


def _serve(connection: Connection, trial: Trial) -> None:
    torch.set_num_threads(torch.get_num_threads() if trial.is_gpu else 1)
    connection.send("ready")
    while True:
        try:
            name, function = connection.recv()
        except EOFError:
            return
        connection.send(tried(name, function, trial))


def tried(name: str, function: CheckFunction, trial: Trial) -> CheckResult:
    """Do a check here and say how it went."""
    _forget_peak(trial)
    begun = time.perf_counter()
    status, reason = "ok", ""
    numbers: Numbers = {}
    try:
        numbers = function(trial)
    except NotHere as why:
        status, reason = "skipped", str(why)
    except Missed as missed:
        status, reason, numbers = "failed", str(missed), missed.numbers
    except Exception as error:
        status, reason = "failed", last_line(error)
    seconds = time.perf_counter() - begun
    return CheckResult(name, status, reason, seconds, _peak_gb(trial), numbers)  # type: ignore[arg-type]


def last_line(error: BaseException) -> str:
    """Return an exception's own first line, and the last place of ours that its trace went through."""
    said = traceback.format_exception_only(error)[0].strip().split("\n")[0][:_REASON_LENGTH]
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(ROOT)] or frames
    place = ours[-1]
    return f"{said} ({Path(place.filename).name}:{place.lineno}, {place.name})"


def _forget_peak(trial: Trial) -> None:
    if trial.is_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(trial.where)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak of resident memory begins anew
    except OSError:
        return


def _peak_gb(trial: Trial) -> float:
    if trial.is_gpu:
        return torch.cuda.max_memory_allocated(trial.where) / 1e9
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e9
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
