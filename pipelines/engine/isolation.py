"""Isolation: which image of a part kills its process? Only that one is to blame.

A child process works on one item at a time and reports each; when it dies or exceeds the time limit, the item
in its hands is guilty, and a fresh child goes on with the rest. An innocent part therefore costs one child, and every
guilty item one more. An item whose child was killed from outside (SIGKILL) is tried twice.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import resource
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from dataprep.errors import ShhqError
from dataprep.stages.base import Item, Result
from dataprep.tables.store import Store
from pipelines.engine.task import (
    TOO_MUCH_MEMORY,
    PartReport,
    PartTask,
    load_items,
    load_tools,
    process_one,
    run_part_with,
)
from pipelines.executors.worker_process import prepare_process
from pipelines.machine.resources import memory_bytes, processor_seconds, resident_bytes, worker_bytes
from pipelines.machine.stopping import ignore_interrupts
from pipelines.machine.watchdog import hang_s

_LOOK_EVERY_S = 0.05
_STARTUP_S = 180.0  # a child imports torch and loads its models before the first item counts
_spawn = multiprocessing.get_context("spawn")
_TOO_LONG = "not done after {:g} s of processor time"
_HANGS = "it hangs: it neither ends nor uses the {:g} s of processor time that it may"
_KILLED = Result("crash", reason="out_of_memory", message="the process was killed twice, most likely for its memory")


def run_part_isolated(task: PartTask) -> PartReport:
    """`run_part` with every item in a child process that may die."""
    return run_part_with(_process_in_children, task)


def _process_in_children(task: PartTask, items: Sequence[Item], errors: dict[str, str]) -> list[Result]:
    results: list[Result] = []
    doubtful = ""  # the item in whose hands a child was killed from outside, perhaps for another's memory
    while len(results) < len(items):
        with _Child(task) as child:
            for item in items[len(results) :]:
                result, alive = child.process(item.sample_id, errors)
                if not alive and result == _KILLED and doubtful != item.sample_id:
                    doubtful = item.sample_id
                    break
                results.append(result)
                if not alive:
                    break
    return results


class _Child:
    """A process that serves items of one part by their id."""

    def __init__(self, task: PartTask) -> None:
        self._limit_s = task.limit_s
        self._connection, theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=_serve, args=(task, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._await_start()

    def _await_start(self) -> None:
        """The child says when its models are loaded; if it never does, no image is to blame."""
        if not self._connection.poll(_STARTUP_S):
            self._process.kill()
            raise TimeoutError(f"a process that isolates images did not start within {_STARTUP_S:.0f} s")
        try:
            self._connection.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"a process that isolates images ended at start ({self._process.exitcode})") from None

    def process(self, sample_id: str, errors: dict[str, str]) -> tuple[Result, bool]:
        """The item's result, and whether the child lives on."""
        try:
            self._connection.send(sample_id)
            if stopped := self._await_result():
                return stopped, False
            result, found = self._connection.recv()
            if isinstance(result, ShhqError):
                raise result
        except (EOFError, ConnectionError):
            self._process.join()
            return _crashed(self._process.exitcode), False
        errors |= found
        return result, True

    def _await_result(self) -> Result | None:
        """None when the child has something to say; else why it is given up."""
        pid = self._process.pid
        began_s, used_s = time.monotonic(), processor_seconds(pid)
        while not self._connection.poll(_LOOK_EVERY_S):
            if processor_seconds(pid) - used_s > self._limit_s:
                return Result("timeout", reason="timeout", message=_TOO_LONG.format(self._limit_s))
            if time.monotonic() - began_s > hang_s(self._limit_s):
                return Result("timeout", reason="timeout", message=_HANGS.format(self._limit_s))
            if resident_bytes(pid) > worker_bytes():
                return TOO_MUCH_MEMORY
        return None

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()
        self._process.kill()
        self._process.join()


def _serve(task: PartTask, connection: Connection) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    ignore_interrupts()
    prepare_process()
    _limit_memory()
    inputs = load_items(Store(task.store_root), task)
    by_id = dict(zip(inputs.ids, inputs.items, strict=True))
    tools: Any = load_tools(task)
    connection.send("ready")
    while True:
        try:
            sample_id = connection.recv()
        except EOFError:
            return
        errors: dict[str, str] = {}
        try:
            result: Result | ShhqError = process_one(task, by_id[sample_id], tools, errors)
        except ShhqError as error:  # no fault of the image
            result = error
        connection.send((result, errors))


def _limit_memory() -> None:
    """An image may take at most 85% of the machine's memory: the kernel would otherwise end other processes too."""
    resource.setrlimit(resource.RLIMIT_DATA, (int(0.85 * memory_bytes()), resource.RLIM_INFINITY))


def _end_with_parent() -> None:
    """A child whose worker was killed must not stay behind, least of all one that hangs."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _crashed(exitcode: int | None) -> Result:
    if exitcode == -signal.SIGKILL:
        return _KILLED
    reason = f"signal_{-exitcode}" if exitcode and exitcode < 0 else f"exit_{exitcode}"
    what = reason.replace("_", " ")
    return Result("crash", reason=reason, message=f"the process working on this image died ({what})")
