"""What a run has to do, and why: per stage the parts that are missing or whose inputs changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataprep.sources import Source
from dataprep.stages.aggregate import Aggregate
from dataprep.stages.base import Stage
from dataprep.storage import Location, each, matching
from dataprep.store import StageRef, Store, write_json
from pipelines.dag import Dag, describe


@dataclass(frozen=True)
class StagePlan:
    """One stage's work: how many parts there are, which must run, and the reason in words ("" when none).

    `recorded`: the ledger names the parts that are there, and no other.
    """

    name: str
    parts: int
    todo: tuple[int, ...]
    rows_todo: int
    reason: str
    recorded: bool


@dataclass(frozen=True)
class Plan:
    """The whole run. `keys[stage][part]` identifies the inputs of each part; aggregates have one key."""

    stages: tuple[StagePlan, ...]
    aggregates: Mapping[str, str]  # name -> reason, "" when up to date
    keys: Mapping[str, Mapping[int, str]]
    aggregate_keys: Mapping[str, str]
    parts: Mapping[int, tuple[Source, ...]]

    @property
    def is_empty(self) -> bool:
        return not any(stage.todo for stage in self.stages) and not any(self.aggregates.values())


def make_plan(store: Store, dag: Dag, index: Sequence[Source]) -> Plan:
    """Compare what should exist with what is committed. Reads one listing and one ledger per stage."""
    parts = parts_of(index)
    keys: dict[str, dict[int, str]] = {}
    plans: list[StagePlan] = []
    running: set[str] = set()
    for stage in dag.stages:
        ref = dag.refs[stage.name]
        keys[stage.name] = {part: _part_key(ref, rows, part, stage, keys) for part, rows in parts.items()}
        ledger = read_ledger(store, ref)
        found = committed_keys(store, ref, ledger)
        todo = tuple(part for part, key in keys[stage.name].items() if found.get(part) != key)
        reason = _reason(store, dag, stage, todo, found, running) if todo else ""
        if todo:
            running.add(stage.name)
        rows_todo = sum(len(parts[part]) for part in todo)
        plans.append(StagePlan(stage.name, len(parts), todo, rows_todo, reason, found == ledger))
    aggregate_keys = _aggregate_keys(dag, keys)
    reasons = {a.name: _aggregate_reason(store, a, aggregate_keys[a.name], running) for a in dag.aggregates}
    return Plan(tuple(plans), reasons, keys, aggregate_keys, parts)


def parts_of(index: Sequence[Source]) -> dict[int, tuple[Source, ...]]:
    parts: dict[int, list[Source]] = {}
    for source in index:
        parts.setdefault(source.part, []).append(source)
    return {part: tuple(rows) for part, rows in sorted(parts.items())}


def _hash(*content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _part_key(
    ref: StageRef, rows: tuple[Source, ...], part: int, stage: Stage, keys: Mapping[str, Mapping[int, str]]
) -> str:
    upstream = [keys[name][part] for name in stage.requires]
    identity = (
        [] if upstream else [[s.sample_id, (s.mask_sha256 or b"").hex(), s.openpose, s.duplicate_of] for s in rows]
    )  # a refused source says why in its id
    return _hash(ref.fingerprint, identity, upstream)


def _aggregate_keys(dag: Dag, keys: Mapping[str, Mapping[int, str]]) -> dict[str, str]:
    result: dict[str, str] = {}
    for aggregate in dag.aggregates:
        upstream = [sorted(keys[n].items()) if n in keys else result[n] for n in aggregate.requires]
        result[aggregate.name] = _hash(dag.refs[aggregate.name].fingerprint, upstream)
    return result


# --- what is on disk ---------------------------------------------------------------------------------------------


def committed_keys(store: Store, ref: StageRef, ledger: Mapping[int, str]) -> dict[int, str]:
    """Part keys on disk. The ledger is a cache of the parquet footers: parts it does not name are opened."""
    parts = sorted(store.committed(ref))
    keys = each(store.root, lambda part: ledger.get(part) or store.part_key(ref, part), parts)
    return dict(zip(parts, keys, strict=True))


def read_ledger(store: Store, ref: StageRef) -> dict[int, str]:
    try:
        return {int(part): key for part, key in json.loads((store.folder(ref) / "ledger.json").read_text()).items()}
    except (OSError, ValueError):
        return {}


def write_ledger(store: Store, ref: StageRef, keys: Mapping[int, str]) -> None:
    write_json(store.folder(ref) / "ledger.json", {str(part): key for part, key in keys.items()})


def drop_ledger(store: Store, ref: StageRef) -> None:
    """Before parts are rewritten: a run that dies must not leave a ledger that speaks of older files."""
    (store.folder(ref) / "ledger.json").unlink(missing_ok=True)


def aggregate_record(store: Store, aggregate: Aggregate) -> dict[str, Any]:
    """The key and counts of the last finished build of an aggregate, {} when there is none."""
    try:
        return json.loads((store.root / "stages" / aggregate.name / "done.json").read_text())
    except (OSError, ValueError):
        return {}


# --- reasons -----------------------------------------------------------------------------------------------------


def _reason(
    store: Store, dag: Dag, stage: Stage, todo: Sequence[int], found: Mapping[int, str], running: set[str]
) -> str:
    ref = dag.refs[stage.name]
    if found:
        changed = sum(part in found for part in todo)
        return f"inputs changed in {changed} parts" if changed else f"new or unfinished parts: {len(todo)}"
    earlier = _latest_description(store, ref)
    if earlier is None:
        return "not built yet"
    differences = _differences(earlier, describe(stage))
    upstream = [name for name in stage.requires if name in running]
    return ", ".join(differences) or ("upstream changed: " + ", ".join(upstream) if upstream else "not built yet")


def _latest_description(store: Store, ref: StageRef) -> dict[str, Any] | None:
    """stage.json of the most recently made other variant of this stage."""
    found = [
        path for path in matching(store.root / "stages", f"{ref.name}-*/stage.json") if path.parent.name != ref.folder
    ]
    if not found:
        return None
    return json.loads(max(found, key=_written_ns).read_text())["stage"]


def _written_ns(path: Location) -> int:
    return path.stat().st_mtime_ns


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[str]:
    if old["version"] != new["version"]:
        yield f"version {old['version']} -> {new['version']}"
    for name, value in new["params"].items():
        if old["params"].get(name) != value:
            yield f"{name}: {old['params'].get(name)} -> {value}"
    weights = {name for name, _ in new["weights"]} | {name for name, _ in old["weights"]}
    old_hashes, new_hashes = dict(old["weights"]), dict(new["weights"])
    for name in sorted(weights):
        if old_hashes.get(name) != new_hashes.get(name):
            yield f"model file {name} changed"
    if old["columns"] != [[n, t, list(s)] for n, t, s in new["columns"]]:
        yield "columns changed"


def _aggregate_reason(store: Store, aggregate: Aggregate, key: str, running: set[str]) -> str:
    record = aggregate_record(store, aggregate)
    if not record:
        return "not built yet"
    if missing := [name for name in aggregate.outputs if not (store.root / name).exists()]:
        return f"missing: {', '.join(missing)}"
    return "" if record["key"] == key else "upstream changed" if running else "inputs or parameters changed"
