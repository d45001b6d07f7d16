"""Which variant of each stage the last run used: `runs/current.json`, from disk alone.

Parts of several parameter settings can lie side by side; commands that look at a data set afterwards (errors, retry,
verify) mean the last run's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dataprep.errors import Damaged, StoreError
from dataprep.files.untrusted import parse_json
from dataprep.tables.store import StageRef, Store, write_json
from pipelines.engine.dag import Dag
from pipelines.engine.look import Defect, say


@dataclass(frozen=True)
class CurrentStage:
    """A map stage of the last run and what it reads; `ref` need not have parts yet."""

    ref: StageRef
    requires: tuple[str, ...]


def remember(store: Store, dag: Dag) -> None:
    """Record the stages of a run."""
    stages = [[stage.name, dag.refs[stage.name].fingerprint, list(stage.requires)] for stage in dag.stages]
    known = {name for name, *_ in stages}
    later = [  # of a run with the same parameters that went further than this one
        [name, key, requires]
        for name, key, requires in _recorded_or_none(store)
        if name not in known and name in dag.refs and dag.refs[name].fingerprint == key
    ]
    write_json(store.root / "runs" / "current.json", stages + later)


def current_stages(store: Store) -> dict[str, CurrentStage]:
    """The map stages in order; raises StoreError when no run has begun here."""
    stages = _recorded(store)
    if not stages:
        raise StoreError(
            f"{store.root} holds no data set that a run has begun; build one with: "
            f"shhq-hs run SOURCE --out {store.root}"
        )
    return {name: CurrentStage(StageRef(name, key), tuple(requires)) for name, key, requires in stages}


def downstream(stages: dict[str, CurrentStage], name: str) -> list[str]:
    """`name` and every stage that reads it, directly or not, in order."""
    found = [name]
    for other, stage in stages.items():
        if other not in found and set(stage.requires) & set(found):
            found.append(other)
    return found


def _recorded_or_none(store: Store) -> list[Any]:
    try:
        return _recorded(store)
    except Damaged as error:
        say([Defect(error.path, error.what)])
        return []


def _recorded(store: Store) -> list[Any]:
    path = store.root / "runs" / "current.json"
    try:
        return [(str(name), str(key), [*requires]) for name, key, requires in parse_json(path.read_text())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise Damaged(path, f"is damaged: it cannot be read ({error})") from error
