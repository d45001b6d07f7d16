"""One aggregate over a whole data set, in whatever process an executor gives it."""

from __future__ import annotations

from dataclasses import dataclass

from dataprep.stages.aggregate import Aggregate, DatasetView
from pipelines.engine import outputs


@dataclass(frozen=True)
class AggregateTask:
    """One aggregate over the whole data set; `view` is what it may read."""

    aggregate: Aggregate
    view: DatasetView
    key: str
    made_from: str


def run_aggregate(task: AggregateTask) -> dict[str, int]:
    """Build one aggregate and record that it is done, last."""
    root = task.view.store.root
    outputs.forget(root, task.aggregate.name)
    counts = task.aggregate.build(task.view, root)
    outputs.record(root, task.aggregate, task.key, task.made_from, counts)
    return counts
