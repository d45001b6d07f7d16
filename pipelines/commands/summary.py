"""What people read on the terminal: parameters, the state of a data set, the outcome of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dataprep.errors import StoreError
from dataprep.files.filenames import printable
from dataprep.files.locations import Location, each
from dataprep.tables.manifest_files import MANIFEST, has_manifest, peek_manifest
from dataprep.tables.review import decisions
from dataprep.tables.shard_folders import INDEX_PATH
from dataprep.tables.sources import Source
from dataprep.tables.store import StageRef, Store
from pipelines.commands import beside
from pipelines.commands.reviewing import review_effects
from pipelines.engine.dag import Dag
from pipelines.engine.index import read_index
from pipelines.engine.last_run import current_stages
from pipelines.engine.outputs import read_record, record_path
from pipelines.engine.plan import parts_of
from pipelines.engine.progress import clock
from pipelines.engine.run import RunSummary
from pipelines.json_output import print_json
from pipelines.paper_stages import STAGE_NAMES
from pipelines.text_table import table

_EXAMPLES = 3


def print_parameters(dag: Dag, as_json: bool = False) -> int:
    """Every parameter with its value, as `--set` takes it."""
    found = [parameter for step in dag.steps for parameter in step.settings()]
    if as_json:
        about = [
            {"name": one.name, "value": one.value, "expected": one.expected, "meaning": one.meaning} for one in found
        ]
        print_json({"parameters": about})
        return 0
    for parameter in found:
        print(f"{parameter.name}={parameter.value}")
    return 0


def after_run(out: Location, dag: Dag, outcome: RunSummary) -> int:
    """Say what came of a run; 1 when something failed or nothing was accepted."""
    if outcome.failed:
        for line in outcome.failed[:_EXAMPLES]:
            print(f"  failed: {printable(line)}")
        print(f"{len(outcome.failed)} parts could not be computed; their workers died or the store failed. "
              "To try them again, run the same command again.")  # fmt: skip
        return 1
    index = [source for rows in outcome.plan.parts.values() for source in rows]
    notes = list(beside.lines(Store(out), index, dag.refs.get("detect")))
    if "manifest" not in {aggregate.name for aggregate in dag.aggregates}:
        last, store = dag.stages[-1], Store(out)
        counts = _counted(store, dag.refs[last.name], store.committed(dag.refs[last.name]) & outcome.plan.parts.keys())
        print(f"done up to {last.name} in {clock(outcome.seconds)}: {_in_words(dict(counts.most_common()))}")
        print(*notes, sep="\n", end="\n" if notes else "")
        print(f"every image that was lost, and why: shhq-hs errors {out}; for the data set, run without --until")
        return 0 if counts["ok"] else 1
    accepted = _print_manifest(out)
    print(*notes, sep="\n", end="\n" if notes else "")
    if outcome.plan.is_empty:
        print("\nnothing to do: everything is up to date")
    else:
        print(f"\nfinished in {clock(outcome.seconds)}")
    for name in ("manifest.parquet", INDEX_PATH, "report/index.html"):
        if (out / name).exists():
            print(f"  {out / name}")
    return 0 if accepted else 1


def status(out: Location, as_json: bool = False) -> int:
    """The state of a data set, from disk."""
    index = read_index(out)
    store, n_parts = Store(out), len(parts_of(index))
    stages = current_stages(store)
    states = [
        _stage_state(store, stages[name].ref, index) if name in stages else _aggregate_state(out, name)
        for name in STAGE_NAMES
    ]
    notes = list(beside.lines(store, index, stages["detect"].ref if "detect" in stages else None))
    built = has_manifest(out)
    if as_json:
        content = {"out": out, "inputs": len(index), "parts": n_parts, "stages": states, "notes": notes}
        print_json(content | (_manifest_counts(out) if built else {"accepted": None, "lost": []}))
        return 0
    print(f"{out}: {len(index)} inputs in {n_parts} parts\n")
    print(table(("stage", "parts", "rows"), [_state_row(state, n_parts) for state in states]))
    for note in notes:
        print(note)
    if built:
        print()
        _print_manifest(out)
    for line in review_effects.lines(out, decisions(out)):
        print(line)
    return 0


def _stage_state(store: Store, ref: StageRef, index: Sequence[Source]) -> dict[str, Any]:
    done = store.committed(ref) & parts_of(index).keys()
    return {"stage": ref.name, "parts_done": len(done), "counts": dict(_counted(store, ref, done).most_common())}


def _aggregate_state(out: Location, name: str) -> dict[str, Any]:
    """`done` is None where its record is damaged."""
    record, defect = read_record(record_path(out, name))
    if defect:
        return {"stage": name, "done": None, "defect": f"{defect}; the next run makes it anew"}
    return {"stage": name, "done": bool(record), "counts": record["counts"] if record else {}}


def _state_row(state: Mapping[str, Any], n_parts: int) -> tuple[str, str, str]:
    if "parts_done" in state:
        return state["stage"], f"{state['parts_done']}/{n_parts}", _in_words(state["counts"])
    if state["done"] is None:
        return state["stage"], "?", state["defect"]
    return state["stage"], *(("done", _in_words(state["counts"])) if state["done"] else ("-", "not built yet"))


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {what}" for what, n in counts.items())


def _counted(store: Store, ref: StageRef, parts: Iterable[int]) -> Counter[str]:
    tables = each(store.root, lambda part: store.table(ref, part, ["status"]), sorted(parts))
    return Counter(status for table in tables for status in table["status"].to_pylist())


def _with_paths(out: Location) -> list[tuple[str, str, str, str]]:
    """Status, stage, reason and path of every row; earlier versions left out the path of what failed at ingest."""
    names = ["sample_id", "status", "stage", "reason", "source_path"]
    rows = list(zip(*(column.to_pylist() for column in peek_manifest(out, names).columns), strict=True))
    nameless = any(row[-1] is None for row in rows)
    paths = {source.sample_id: source.path for source in read_index(out)} if nameless else {}
    return [(*row[1:-1], row[-1] if row[-1] is not None else paths.get(row[0], "")) for row in rows]


def _lost(rows: Iterable[tuple[str, str, str, str]]) -> list[tuple[tuple[str, str, str], list[str]]]:
    """Paths by stage, status and reason: in the order of the stages, the largest group first."""
    lost: dict[tuple[str, str, str], list[str]] = {}
    for status, stage, reason, source in sorted(rows, key=lambda row: row[-1]):
        if status != "ok":
            lost.setdefault((stage, status, reason), []).append(source)
    return sorted(lost.items(), key=lambda entry: (STAGE_NAMES.index(entry[0][0]), -len(entry[1])))


def _manifest_counts(out: Location) -> dict[str, Any]:
    """What `_print_manifest` says, for programs."""
    rows = _with_paths(out)
    lost = [
        {"stage": stage, "status": status, "reason": reason, "images": len(files), "examples": files[:_EXAMPLES]}
        for (stage, status, reason), files in _lost(rows)
    ]
    return {"accepted": sum(status == "ok" for status, *_ in rows), "lost": lost}


def _print_manifest(out: Location) -> int:
    """The funnel and the reasons, with a few example files each; returns the number accepted."""
    if not has_manifest(out):
        raise StoreError(f"{out / MANIFEST} is missing; run: shhq-hs run SOURCE --out {out}")
    rows = _with_paths(out)
    accepted = sum(status == "ok" for status, *_ in rows)
    print(f"{accepted} of {len(rows)} images accepted ({accepted / len(rows):.0%})")
    if order := _lost(rows):
        print(table(
            ("stage", "status", "reason", "images", "for example"),
            [(*key, len(files), ", ".join(files[:_EXAMPLES])) for key, files in order],
        ))  # fmt: skip
    if not accepted:
        print("No image was accepted: the table says why; `shhq-hs show OUT PATH` tells one image's whole story.")
    return accepted
