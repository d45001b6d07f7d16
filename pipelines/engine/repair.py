"""Damage on its way to being repaired: said in one line, taken away, computed again by the run that found it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from dataprep.errors import Damaged, StoreError
from dataprep.files.locations import Location, matching
from dataprep.files.untrusted import leads_below, lies_within
from dataprep.stages.aggregate import Aggregate
from dataprep.tables.store import StageRef, Store
from pipelines.engine.dag import Dag
from pipelines.engine.event_log import EventLog
from pipelines.engine.ledger import forget_parts
from pipelines.engine.look import Defect, read_json, say
from pipelines.engine.outputs import forget
from pipelines.engine.plan import Plan

_ATTEMPTS = 3  # a file that is damaged again as soon as it is written lies on a failing disk
_PART = re.compile(r"stages/([^/]+)/part-(\d{6})\.(?:parquet|tar)")


def part_of(path: str) -> tuple[str, int] | None:
    """The stage's folder and the number of the part that a file belongs to."""
    match = _PART.search(path)
    return (match[1], int(match[2])) if match else None


def take_away(store: Store, paths: Sequence[str]) -> int:
    """Remove damaged files, and what says that they are done; returns how many files there were.

    Of a part both files go. Nothing outside the data set is removed, whatever a damaged record names.
    """
    for path in paths:
        inside = path.removeprefix(f"{store.root}/")
        is_ours = leads_below(inside) and (
            not isinstance(store.root, Path) or lies_within(Path(path).parent, store.root)
        )
        if inside == path or not is_ours:
            raise StoreError(f"{path} is no file of {store.root} and stays")
        if part := part_of(path):
            _remove_part(store, *part)
            continue
        for record in matching(store.root / "stages", "*/done.json"):
            if inside in _named(record) or inside.partition("/")[0].removesuffix(".parquet") == record.parent.name:
                record.unlink(missing_ok=True)
        (store.root / inside).unlink(missing_ok=True)
    return len(paths)


def _remove_part(store: Store, folder: str, part: int) -> str:
    """Remove both files of a part and its record; returns the stage's name."""
    ref = StageRef(*folder.rsplit("-", 1))
    store.remove_part(ref, part)
    forget_parts(store, ref, [part])
    return ref.name


def _named(record: Location) -> Collection[str]:
    """The files that the record of an aggregate names."""
    return read_json(record)[0].get("sha256", {})


def _more(aggregate: Aggregate, root: Location) -> set[str]:
    try:
        return set(aggregate.more_files(root))
    except Damaged:
        return set()


class Repairs:
    """What one run has found damaged."""

    def __init__(self, store: Store, dag: Dag, log: EventLog) -> None:
        self._store, self._dag, self._log = store, dag, log
        self._found: Counter[str] = Counter()
        self.pending: set[str] = set()  # found since the last plan

    def begin(self, plan: Plan) -> None:
        """Say what the plan found and take it away, so that nobody reads it meanwhile; Damaged when it comes back."""
        say([defect for defect in plan.defects if defect.path not in self.pending])
        self.pending = set()
        for stage in plan.stages:
            for part, defect in stage.damaged.items():
                self._count(Damaged(*defect))
                self._store.remove_part(self._dag.refs[stage.name], part)

    def discard(self, error: Damaged) -> tuple[str, int] | None:
        """Take away what was found damaged where it was read; returns its stage and part, None for an aggregate's.

        Raises the error when it comes back, or when no stage makes that file.
        """
        if error.path in self.pending:  # others have read it meanwhile
            return None
        say([Defect(error.path, error.what)])
        self._count(error)
        found = self._remove(error)
        self.pending.add(error.path)
        return found

    def _count(self, error: Damaged) -> None:
        self._log.write("damaged", path=error.path, what=error.what)
        self._found[error.path] += 1
        if self._found[error.path] > _ATTEMPTS:
            raise error

    def _remove(self, error: Damaged) -> tuple[str, int] | None:
        if part := part_of(error.path):
            return _remove_part(self._store, *part), part[1]
        for aggregate in self._dag.aggregates:
            names = {*aggregate.outputs, *aggregate.outputs_of(self._store.root)}
            if error.path.removeprefix(f"{self._store.root}/") in names | _more(aggregate, self._store.root):
                forget(self._store.root, aggregate.name)
                return None
        raise error
