"""What people read on the terminal: the plan, the state of a data set, the outcome of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from dataprep.errors import StoreError
from dataprep.files.filenames import printable
from dataprep.files.locations import Location, each
from dataprep.tables.review import decisions
from dataprep.tables.sealed import open_table
from dataprep.tables.shard_folders import INDEX_PATH
from dataprep.tables.store import StageRef, Store
from pipelines.commands import beside
from pipelines.commands.reviewing import review_effects
from pipelines.engine.dag import Dag
from pipelines.engine.index import read_index
from pipelines.engine.last_run import current_stages
from pipelines.engine.outputs import read_record, record_path
from pipelines.engine.plan import Plan, parts_of
from pipelines.engine.progress import clock
from pipelines.engine.run import RunSummary
from pipelines.paper_stages import STAGE_NAMES
from pipelines.text_table import table

_EXAMPLES = 3


def print_plan(plan: Plan) -> int:
    """Per stage: parts, how many must run, and why."""
    rows: list[Sequence[object]] = [
        (s.name, s.parts, len(s.todo), s.rows_todo, s.reason or "up to date") for s in plan.stages
    ]
    rows += [(name, 1, int(bool(reason)), "-", reason or "up to date") for name, reason in plan.aggregates.items()]
    print(table(("stage", "parts", "to run", "images", "why"), rows))
    for line in review_effects.lines(plan.outputs.store.root, plan.decisions):
        print(line)
    return 0


def print_parameters(dag: Dag) -> int:
    """Every parameter with its value, as `--set` takes it."""
    for step in dag.steps:
        for parameter in step.settings():
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
        print(f"done up to {last.name} in {clock(outcome.seconds)}: {counts}")
        print(*notes, sep="\n", end="\n" if notes else "")
        print(f"every image that was lost, and why: shhq-hs errors {out}; for the data set, run without --until")
        return 0 if " ok" in f" {counts}" else 1
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


def status(out: Location) -> int:
    """The state of a data set, from disk."""
    index = read_index(out)
    store, parts = Store(out), parts_of(index)
    stages = current_stages(store)
    rows: list[Sequence[object]] = []
    for name in STAGE_NAMES:
        if name in stages:
            done = store.committed(stages[name].ref) & parts.keys()
            rows.append((name, f"{len(done)}/{len(parts)}", _counted(store, stages[name].ref, done)))
        else:
            rows.append((name, *_aggregate_state(out, name)))
    print(f"{out}: {len(index)} inputs in {len(parts)} parts\n")
    print(table(("stage", "parts", "rows"), rows))
    for note in beside.lines(store, index, stages["detect"].ref if "detect" in stages else None):
        print(note)
    if (out / "manifest.parquet").exists():
        print()
        _print_manifest(out)
    for line in review_effects.lines(out, decisions(out)):
        print(line)
    return 0


def _aggregate_state(out: Location, name: str) -> tuple[str, str]:
    record, defect = read_record(record_path(out, name))
    if defect:
        return "?", f"{defect}; the next run makes it anew"
    return ("done", ", ".join(f"{n} {s}" for s, n in record["counts"].items())) if record else ("-", "not built yet")


def _counted(store: Store, ref: StageRef, parts: Iterable[int]) -> str:
    tables = each(store.root, lambda part: store.table(ref, part, ["status"]), sorted(parts))
    counts = Counter(status for table in tables for status in table["status"].to_pylist())
    return ", ".join(f"{n} {status}" for status, n in counts.most_common())


def _with_paths(out: Location, manifest: Location) -> list[tuple[str, str, str, str]]:
    """Status, stage, reason and path of every row; earlier versions left out the path of what failed at ingest."""
    names = ["sample_id", "status", "stage", "reason", "source_path"]
    with open_table(manifest) as file:
        rows = list(zip(*(column.to_pylist() for column in file.read(names).columns), strict=True))
    nameless = any(row[-1] is None for row in rows)
    paths = {source.sample_id: source.path for source in read_index(out)} if nameless else {}
    return [(*row[1:-1], row[-1] if row[-1] is not None else paths.get(row[0], "")) for row in rows]


def _print_manifest(out: Location) -> int:
    """The funnel and the reasons, with a few example files each; returns the number accepted."""
    path = out / "manifest.parquet"
    if not path.exists():
        raise StoreError(f"{path} is missing; run: shhq-hs run SOURCE --out {out}")
    rows = _with_paths(out, path)
    accepted = sum(status == "ok" for status, *_ in rows)
    print(f"{accepted} of {len(rows)} images accepted ({accepted / len(rows):.0%})")
    lost: dict[tuple[str, str, str], list[str]] = {}
    for status, stage, reason, source in sorted(rows, key=lambda row: row[-1]):
        if status != "ok":
            lost.setdefault((stage, status, reason), []).append(source)
    if lost:
        order = sorted(lost.items(), key=lambda entry: (STAGE_NAMES.index(entry[0][0]), -len(entry[1])))
        print(table(
            ("stage", "status", "reason", "images", "for example"),
            [(*key, len(files), ", ".join(files[:_EXAMPLES])) for key, files in order],
        ))  # fmt: skip
    if not accepted:
        print("No image was accepted: the table says why; `shhq-hs show OUT PATH` tells one image's whole story.")
    return accepted
