"""Everything in this process, in order: for tests and debuggers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dataprep.errors import Damaged
from pipelines.executors.base import Executor, Work
from pipelines.executors.worker_process import prepare_process


class SerialExecutor(Executor):
    """Runs a task when its outcome is asked for."""

    workers = 1
    capacity = 1

    def __init__(self) -> None:
        self._queue: list[Work] = []

    @property
    def pending(self) -> int:
        return len(self._queue)

    def submit(self, work: Work) -> None:
        self._queue.append(work)

    def completed(self) -> Iterator[tuple[Any, Any]]:
        prepare_process()
        work = self._queue.pop(0)
        try:
            outcome = work.function(work.task)
        except Damaged as error:  # of what the task read: the driver repairs it
            outcome = error
        yield work.task, outcome

    def close(self) -> None:
        self._queue.clear()
