"""What an aggregate stage is: it sees the whole data set at once and writes what users take away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from dataprep.files.locations import Location, each
from dataprep.stages.base import Stage, Step
from dataprep.tables.parts import Place
from dataprep.tables.review import Decision
from dataprep.tables.store import StageRef, Store


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

    def blob(self, stage: str, part: int, place: Place) -> bytes:
        """An image that `stage` emitted, by its place in the part's tar."""
        return self.store.read_tar(self.refs[stage], part, *place)


@dataclass(frozen=True)
class Aggregate(Step):
    """Base of the aggregate stages: `build` reads the view and writes files below `root`."""

    outputs: ClassVar[tuple[str, ...]] = ()  # files below the root that exist when the stage is done
    obeys_marks: ClassVar[bool] = False  # its files change with the view's `decisions`

    def more_files(self, root: Location) -> dict[str, tuple[int, str]]:
        """Bytes and sha256 of the files besides `outputs`, by path below `root`; raises Damaged."""
        return {}

    def build(self, view: DatasetView, root: Location) -> dict[str, int]:
        """Write the outputs; returns counts for the log."""
        raise NotImplementedError(f"aggregate {self.name} does not override build")
