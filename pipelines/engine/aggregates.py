"""After the last part: the aggregates that are out of date, their tasks in the hands of the executor."""

from __future__ import annotations

import itertools
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from dataprep.stages.aggregate import Aggregate, DatasetView
from pipelines.engine import outputs
from pipelines.engine.context import Context
from pipelines.engine.cost.estimate import outputs_s
from pipelines.engine.plan import Plan
from pipelines.engine.progress import Progress
from pipelines.executors.base import Executor, Work, WorkerDied
from pipelines.machine.resources import release_freed_memory
from pipelines.machine.stopping import StopRequest

T = TypeVar("T")
R = TypeVar("R")
_ATTEMPTS = 3  # of a task whose worker died: it may have been ended from outside


class Interrupted(Exception):
    """Somebody asked the run to stop while an aggregate was being built; the next run begins it anew."""


def run_aggregates(context: Context, plan: Plan, executor: Executor) -> None:
    """Build, in order, each aggregate that is out of date, or reads one that has changed."""
    stages = {stage.name: stage for stage in context.dag.stages}
    view = DatasetView(context.store, stages, context.dag.refs, tuple(plan.parts), plan.decisions)
    due = list(itertools.dropwhile(lambda one: not plan.aggregates[one.name], context.dag.aggregates))
    rebuilt = False
    progress = Progress({one.name: 1 for one in due}, 1, "outputs", assumed_s=outputs_s(plan))
    with progress.beating():
        for aggregate in due:
            if context.stop.requested:
                break
            started_s = time.monotonic()
            reason = plan.aggregates[aggregate.name] or (rebuilt and plan.outputs.state(aggregate).reason)
            if reason:
                rebuilt = True
                progress.begin(aggregate.name)
                try:
                    _build(context, plan, view, aggregate, executor)
                except Interrupted:
                    break
            progress.advance(aggregate.name, 1, time.monotonic() - started_s)
    if rebuilt:
        progress.close()


def _build(context: Context, plan: Plan, view: DatasetView, aggregate: Aggregate, executor: Executor) -> None:
    """Build one aggregate and record that it is done, last."""
    root, key = view.store.root, plan.outputs.keys[aggregate.name]
    outputs.forget(root, aggregate.name)
    workers = ExecutorWorkers(executor, f"{aggregate.name}-{key}", context.stop)
    if not aggregate.obeys_marks:
        view = replace(view, decisions={})  # nothing to send
    counts = aggregate.build_by(workers, view, root)
    outputs.record(root, aggregate, key, plan.outputs.made_from(aggregate), counts, view.decisions)
    context.log.write("aggregate", stage=aggregate.name, counts=counts, steps=workers.steps)


class ExecutorWorkers:
    """Tasks of an aggregate go where those of parts do; `steps` are seconds and tasks by step.

    `memory_mib`: the most that a worker had held by the end of each step.
    """

    def __init__(self, executor: Executor, key: str, stop: StopRequest) -> None:
        self._executor, self._key, self._stop = executor, key, stop
        self.steps: dict[str, tuple[float, int]] = {}
        self.memory_mib: dict[str, float] = {}

    def each(self, function: Callable[[T], R], tasks: Sequence[T], step: str) -> list[R]:
        """`function` of every task, in order. Raises what a task raised, once no other of them is at work."""
        started_s = time.monotonic()
        results: dict[int, R] = {}
        try:
            self._run_all(function, tasks, step, results)
        finally:
            self._wait()
        self.steps[step] = (round(time.monotonic() - started_s, 3), len(tasks))
        return [results[i] for i in range(len(tasks))]

    def _run_all(self, function: Callable[[T], R], tasks: Sequence[T], step: str, results: dict[int, R]) -> None:
        waiting, attempts = list(range(len(tasks)))[::-1], Counter[int]()
        while waiting or self._executor.pending:
            if self._stop.requested:
                raise Interrupted
            while waiting and self._executor.pending < self._executor.capacity:
                i = waiting.pop()
                key = f"{self._key}-{step}-{i}-{attempts[i]}"
                self._executor.submit(Work(_numbered, (i, function, tasks[i]), key))
            for (i, *_), outcome in self._executor.completed():
                if isinstance(outcome, WorkerDied) and attempts[i] < _ATTEMPTS:
                    attempts[i] += 1
                    waiting.append(i)
                elif isinstance(outcome, BaseException):
                    raise outcome
                else:
                    results[i], memory_mib = outcome
                    self.memory_mib[step] = max(memory_mib, self.memory_mib.get(step, 0.0))

    def _wait(self) -> None:
        """Nothing of this step may come back in the next one."""
        while self._executor.pending:
            for _ in self._executor.completed():
                pass


def _numbered(task: tuple[int, Callable[[Any], Any], Any]) -> tuple[Any, float]:
    """The result, and the most memory that this process has held (MiB)."""
    _, function, content = task
    result = function(content)
    release_freed_memory()
    return result, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
