"""What a run has to do, and why: per stage the parts that are missing or whose inputs changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataprep.files.locations import Location, matching
from dataprep.files.untrusted import parse_json
from dataprep.stages.base import Stage
from dataprep.tables.parts import content_of
from dataprep.tables.review import Decision, decisions, digest
from dataprep.tables.sources import Source
from dataprep.tables.store import StageRef, Store, json_bytes
from pipelines.engine.dag import Dag, describe, record_of
from pipelines.engine.look import Defect, FolderLook, look_at, read_seen
from pipelines.engine.outputs import Outputs


@dataclass(frozen=True)
class StagePlan:
    """One stage's work: how many parts there are, which must run, and the reason in words ("" when none)."""

    name: str
    parts: int
    todo: tuple[int, ...]
    rows_todo: int
    reason: str
    look: FolderLook

    @property
    def recorded(self) -> bool:
        """Whether the ledger names the parts that are there, and no other."""
        return self.look.whole == self.look.ledger and self.look.ledger_defect is None

    @property
    def untouched(self) -> bool:
        """Whether a run leaves its files as the look found them."""
        return not self.todo and self.recorded and self.look.described

    @property
    def damaged(self) -> dict[int, Defect]:
        """The parts that are in this data set and not whole."""
        return {part: self.look.defects[part] for part in self.todo if part in self.look.defects}


@dataclass(frozen=True)
class Plan:
    """The whole run. `keys[stage][part]` identifies the inputs of each part; aggregates have one key.

    `decisions`: what reviewers' marks say now. The run goes by them, whoever marks meanwhile.
    """

    stages: tuple[StagePlan, ...]
    aggregates: Mapping[str, str]  # name -> reason, "" when up to date
    outputs: Outputs
    keys: Mapping[str, Mapping[int, str]]
    parts: Mapping[int, tuple[Source, ...]]
    defects: tuple[Defect, ...]  # everything that a quick look found missing or damaged
    decisions: Mapping[str, Decision]

    @property
    def is_empty(self) -> bool:
        return not any(stage.todo for stage in self.stages) and not any(self.aggregates.values())


def make_plan(store: Store, dag: Dag, index: Sequence[Source]) -> Plan:
    """Compare what should exist with what is there and whole. Reads one listing and one ledger per stage."""
    parts, seen = parts_of(index), read_seen(store.root)
    keys: dict[str, dict[int, str]] = {}
    plans: dict[str, StagePlan] = {}
    for stage in dag.stages:
        ref = dag.refs[stage.name]
        keys[stage.name] = {part: _part_key(ref, rows, part, stage, keys) for part, rows in parts.items()}
        look = look_at(store, ref, json_bytes(record_of(dag, stage)), seen)
        todo = tuple(part for part, key in keys[stage.name].items() if not _is_current(part, key, look, stage, plans))
        reason = _reason(store, dag, stage, todo, look, {name for name, plan in plans.items() if plan.todo})
        rows_todo = sum(len(parts[part]) for part in todo)
        plans[stage.name] = StagePlan(stage.name, len(parts), todo, rows_todo, reason, look)
    stages = tuple(plans.values())
    decided = decisions(store.root)
    aggregate_keys = _aggregate_keys(dag, keys, digest(decided))
    running = {plan.name for plan in stages if plan.todo}
    contents = {plan.name: _contents(plan, parts) for plan in stages}
    outputs = Outputs(store, dag, aggregate_keys, contents, seen, digest(decided))
    states = {a.name: outputs.state(a, bool(running)) for a in dag.aggregates}
    defects = [defect for plan in stages for defect in _defects(plan, store.folder(dag.refs[plan.name]))]
    defects += [defect for state in states.values() for defect in state.defects]
    reasons = {name: state.reason for name, state in states.items()}
    return Plan(stages, reasons, outputs, keys, parts, tuple(defects), decided)


def _is_current(part: int, key: str, look: FolderLook, stage: Stage, plans: Mapping[str, StagePlan]) -> bool:
    """Whether a part is whole, of the right inputs, and made from what they hold now, as far as that is known.

    What stands on a part that is computed again is judged when that has been done: it may come out the same.
    """
    record = look.whole.get(part)
    if record is None or record.key != key:
        return False
    upstream = [plans[name] for name in stage.requires]
    if not record.made_from or any(part in plan.todo for plan in upstream):
        return True
    return record.made_from == content_of(plan.look.whole[part].identity for plan in upstream)


def _contents(plan: StagePlan, parts: Iterable[int]) -> list[str]:
    """Identities of the parts of the data set, as far as they are there."""
    return [plan.look.whole[part].identity for part in parts if part in plan.look.whole]


def _defects(plan: StagePlan, folder: Location) -> Iterable[Defect]:
    if plan.look.whole and not plan.look.described:
        yield Defect(str(folder / "stage.json"), "is missing or damaged")
    if plan.look.ledger_defect:
        yield plan.look.ledger_defect
    yield from plan.damaged.values()


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
    identity = [] if upstream else [_identity(row) for row in rows]
    return _hash(ref.fingerprint, identity, upstream)


def _identity(source: Source) -> list[Any]:
    """What a part of the first stage says of an input; a refused one says why in its id."""
    known = [source.sample_id, (source.mask_sha256 or b"").hex(), source.openpose, source.duplicate_of]
    return known if not any(one is not None for one in source.extras) else [*known, *source.extras]


def _aggregate_keys(dag: Dag, keys: Mapping[str, Mapping[int, str]], marks: str) -> dict[str, str]:
    """Without marks, a digest that is "", the keys are those of versions that knew none."""
    result: dict[str, str] = {}
    for aggregate in dag.aggregates:
        upstream = [sorted(keys[n].items()) if n in keys else result[n] for n in dag.requires(aggregate)]
        obeyed = [marks] if aggregate.obeys_marks and marks else []
        result[aggregate.name] = _hash(dag.refs[aggregate.name].fingerprint, upstream, *obeyed)
    return result


# --- reasons -----------------------------------------------------------------------------------------------------


def _reason(store: Store, dag: Dag, stage: Stage, todo: Sequence[int], look: FolderLook, running: set[str]) -> str:
    if not todo:
        return ""
    ref = dag.refs[stage.name]
    if damaged := sum(part in look.defects for part in todo):
        return f"missing or damaged parts: {damaged}"
    if look.whole:
        changed = sum(part in look.whole for part in todo)
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
    try:
        return parse_json(max(found, key=_written_ns).read_text())["stage"]
    except (OSError, ValueError, KeyError, TypeError):  # it only explains; the run writes its own
        return None


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
