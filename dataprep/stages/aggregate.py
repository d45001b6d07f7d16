"""What an aggregate stage is: it sees the whole data set at once and writes what users take away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol, TypeVar

import pyarrow as pa

from dataprep.files.locations import Location, each
from dataprep.stages.base import Stage, Step
from dataprep.tables.parts import Place
from dataprep.tables.review import Decision
from dataprep.tables.store import StageRef, Store

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class DatasetView:
    """Every committed part of the stages an aggregate may read, and what reviewers decided by sample id."""

    store: Store
    stages: Mapping[str, Stage]
    refs: Mapping[str, StageRef]
    parts: tuple[int, ...]
    decisions: Mapping[str, Decision] = field(default_factory=dict)

    def table(self, stage: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of a stage, in (part, position) order, all columns or some."""
        ref = self.refs[stage]
        tables = each(self.store.root, lambda part: self.store.table(ref, part, columns), self.parts)
        return pa.concat_tables(tables, promote_options="default")  # parts of earlier versions may lack a column

    def bundles(self, size: int) -> Iterator[DatasetView]:
        """The same view of at most `size` parts at a time."""
        for start in range(0, len(self.parts), size):
            yield replace(self, parts=self.parts[start : start + size])

    def without_parts(self) -> DatasetView:
        """The same view for those who know where rows lie; it is small to send."""
        return replace(self, parts=())

    def blob(self, stage: str, part: int, place: Place) -> bytes:
        """An image that `stage` emitted, by its place in the part's tar."""
        return self.store.read_tar(self.refs[stage], part, *place)


class Workers(Protocol):
    """Who runs the steps of an aggregate: as many at a time as there are workers."""

    def each(self, function: Callable[[T], R], tasks: Sequence[T], step: str) -> list[R]:
        """`function` of every task, in order; both are importable and small, and so are the results.

        A task may run twice. `step` names the work, for people.
        """


class ThisProcess:
    """No other process: one task after the other."""

    def each(self, function: Callable[[T], R], tasks: Sequence[T], step: str) -> list[R]:
        return [function(task) for task in tasks]


@dataclass(frozen=True)
class Aggregate(Step):
    """Base of the aggregate stages: `build` reads the view and writes files below `root`.

    An aggregate that grows with the data set overrides `build_by`, and splits its work into tasks whose memory does
    not; any other is one task.
    """

    outputs: ClassVar[tuple[str, ...]] = ()  # files below the root that exist when the stage is done
    obeys_marks: ClassVar[bool] = False  # its files change with the view's `decisions`

    def outputs_of(self, root: Location) -> tuple[str, ...]:
        """`outputs`, as far as they depend on how large the data set is."""
        return self.outputs

    def more_files(self, root: Location) -> dict[str, tuple[int, str]]:
        """Bytes and sha256 of the files besides `outputs`, by path below `root`; raises Damaged."""
        return {}

    def build(self, view: DatasetView, root: Location) -> dict[str, int]:
        """Write the outputs; returns counts for the log."""
        return self.build_by(ThisProcess(), view, root)

    def build_by(self, workers: Workers, view: DatasetView, root: Location) -> dict[str, int]:
        """`build`, its tasks in the hands of `workers`. Runs in the driver, which has no memory for rows."""
        if type(self).build is Aggregate.build:
            raise NotImplementedError(f"aggregate {self.name} overrides neither build nor build_by")
        (counts,) = workers.each(_build, [(self, view, root)], self.name)
        return counts


def _build(task: tuple[Aggregate, DatasetView, Location]) -> dict[str, int]:
    aggregate, view, root = task
    return aggregate.build(view, root)
