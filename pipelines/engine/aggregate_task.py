"""One aggregate over a whole data set, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass

from dataprep.stages.aggregate import Aggregate, DatasetView
from pipelines.engine import outputs
from pipelines.executors.base import Executor


@dataclass(frozen=True)
class AggregateTask:
    """One aggregate over the whole data set; `view` is what it may read."""

    aggregate: Aggregate
    view: DatasetView
    key: str
    made_from: str


def build_by(executor: Executor, task: AggregateTask) -> dict[str, int]:
    """Return counts of what `task` wrote, in the executor's hands; raises what it raised."""
    executor.submit(run_aggregate, task, f"{task.aggregate.name}-{task.key}", {})
    ((_, outcome),) = executor.completed()
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def run_aggregate(task: AggregateTask) -> dict[str, int]:
    """Build one aggregate and record that it is done, last."""
    root = task.view.store.root
    outputs.forget(root, task.aggregate.name)
    counts = task.aggregate.build(task.view, root)
    outputs.record(root, task.aggregate, task.key, task.made_from, counts, task.view.decisions)
    return counts
