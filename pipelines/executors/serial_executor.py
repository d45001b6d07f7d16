"""Everything in this process, in order: for tests and debuggers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from dataprep.errors import Damaged
from pipelines.executors.base import Executor
from pipelines.executors.worker_process import prepare_process


class SerialExecutor(Executor):
    """Runs a task when its outcome is asked for."""

    workers = 1
    capacity = 1

    def __init__(self) -> None:
        self._queue: list[tuple[Callable[[Any], Any], Any]] = []

    @property
    def pending(self) -> int:
        return len(self._queue)

    def submit(
        self,
        function: Callable[[Any], Any],
        task: Any,
        key: str,
        resources: Mapping[str, float],
        spare: Collection[str] = (),
    ) -> None:
        self._queue.append((function, task))

    def completed(self) -> Iterator[tuple[Any, Any]]:
        prepare_process()
        function, task = self._queue.pop(0)
        try:
            outcome = function(task)
        except Damaged as error:  # of what the task read: the driver repairs it
            outcome = error
        yield task, outcome

    def close(self) -> None:
        self._queue.clear()
