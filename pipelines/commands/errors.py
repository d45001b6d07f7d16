"""`shhq-hs errors`: every image that is not ok, by stage, status and reason, with its path and what was said of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow.compute as pc

from dataprep.errors import ConfigError
from dataprep.files.filenames import printable
from dataprep.files.locations import Location, each, matching
from dataprep.files.untrusted import parse_json
from dataprep.inputs.fetching import NOT_FETCHED
from dataprep.tables.manifest_files import has_manifest, peek_manifest
from dataprep.tables.sources import Source
from dataprep.tables.store import Store
from pipelines.engine.budget import FAULTS
from pipelines.engine.index import read_index
from pipelines.engine.last_run import CurrentStage, current_stages
from pipelines.engine.plan import parts_of
from pipelines.engine.resume import command_of
from pipelines.json_output import print_json

STATUSES = ("rejected", *FAULTS)
_LAST = "manifest"  # loses near-duplicates
_COLUMNS = ["sample_id", "status", "reason", "message"]


@dataclass(frozen=True)
class Choice:
    """Which rows are meant; an empty set means any."""

    stages: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()

    def matches(self, row: LostImage) -> bool:
        return all(
            not wanted or value in wanted
            for wanted, value in ((self.stages, row.stage), (self.statuses, row.status), (self.reasons, row.reason))
        )


@dataclass(frozen=True)
class LostImage:
    """One row that is not ok, in the stage that lost it."""

    stage: str
    part: int
    source: Source
    status: str
    reason: str
    message: str


def later_losses(out: Location, index: Sequence[Source], choice: Choice) -> Iterator[LostImage]:
    """Chosen rows that the manifest lost, when the data set was seen as a whole: near-duplicates."""
    if not has_manifest(out):
        return
    by_id = {source.sample_id: source for source in index}
    table = peek_manifest(out, [*_COLUMNS, "stage"])
    for row in table.filter(pc.equal(table["stage"], _LAST)).to_pylist():
        if source := by_id.get(row["sample_id"]):
            loss = LostImage(_LAST, source.part, source, row["status"], row["reason"] or "", row["message"] or "")
            if choice.matches(loss):
                yield loss


def choose(stages: str, statuses: str, reasons: str, known_stages: Collection[str]) -> Choice:
    """From comma-separated lists as typed; raises ConfigError on a stage or status that does not exist."""
    return Choice(
        _split("--stage", stages, known_stages), _split("--status", statuses, STATUSES), _split("--reason", reasons)
    )


def _split(option: str, text: str, known: Collection[str] = ()) -> frozenset[str]:
    words = frozenset(word.strip() for word in text.split(",") if word.strip())
    if known and (unknown := words - set(known)):
        raise ConfigError(f"{option} {', '.join(sorted(unknown))}: expected of {', '.join(known)}")
    return words


def losses(
    store: Store, index: Sequence[Source], stages: dict[str, CurrentStage], choice: Choice
) -> Iterator[LostImage]:
    """Chosen rows by stage and part; a row that an earlier stage lost is that stage's."""
    parts = parts_of(index)
    for name, stage in stages.items():
        if choice.stages and name not in choice.stages:
            continue
        committed = sorted(store.committed(stage.ref) & parts.keys())
        tables = each(store.root, partial(store.table, stage.ref, columns=_COLUMNS), committed)
        for part, table in zip(committed, tables, strict=True):
            by_id = {source.sample_id: source for source in parts[part]}
            columns = table.columns
            for sample_id, status, reason, message in zip(*(c.to_pylist() for c in columns), strict=True):
                if status in STATUSES and sample_id in by_id:
                    loss = LostImage(name, part, by_id[sample_id], status, reason or "", message or "")
                    if choice.matches(loss):
                        yield loss


def print_errors(
    out: Location, stage: str, status: str, reason: str, with_tracebacks: bool, as_json: bool = False
) -> int:
    """Print the groups, the largest first within a stage, and every image in them.

    Returns 0, or 1 when no image was lost for any of the reasons that were asked for.
    """
    store, index = Store(out), read_index(out)
    stages = current_stages(store)
    names = [*stages, _LAST]
    choice = choose(stage, status, reason, names)
    anyhow = replace(choice, reasons=frozenset())
    found = [*losses(store, index, stages, anyhow), *later_losses(out, index, anyhow)]
    strange = choice.reasons - {loss.reason for loss in found}
    nothing = bool(strange) and strange == choice.reasons
    if as_json:
        _print_json(out, filter(choice.matches, found), _tracebacks(out) if with_tracebacks else {})
        return int(nothing)
    if strange:
        _tell_strange_reasons(strange, found)
    if nothing:
        return 1
    groups: dict[tuple[str, str, str], list[LostImage]] = {}
    for loss in filter(choice.matches, found):
        groups.setdefault((loss.stage, loss.status, loss.reason), []).append(loss)
    tracebacks = _tracebacks(out) if with_tracebacks else {}
    for key, members in sorted(groups.items(), key=lambda g: (names.index(g[0][0]), -len(g[1]), g[0])):
        print(f"{key[0]}: {key[1]}, {printable(key[2]) or 'no reason'}: {len(members)} image{'s' * (len(members) > 1)}")
        for loss in sorted(members, key=lambda loss: loss.source.path):
            print(f"  {loss.source.sample_id[:12]}  {printable(loss.source.path)}  {printable(loss.message)}")
            if text := tracebacks.get((loss.stage, loss.source.sample_id)):
                print("".join(f"      | {printable(line)}\n" for line in text.rstrip().splitlines()), end="")
        print()
    total = sum(map(len, groups.values()))
    rows = f"{total} rows that are" if total > 1 else "1 row that is"
    print(f"{rows} not ok" if total else "no such rows: nothing was lost")
    if any(key[2] == NOT_FETCHED for key in groups):
        print(f"to ask for failed downloads again: shhq-hs retry {out} --reason {NOT_FETCHED}, then: {command_of(out)}")
    if any(key[1] in FAULTS for key in groups):
        print(f"to compute faults again: shhq-hs retry {out} [--stage S] [--reason R], then: {command_of(out)}")
    return 0


def _print_json(out: Location, found: Iterable[LostImage], tracebacks: Mapping[tuple[str, str], str]) -> None:
    rows = [
        {
            "sample_id": loss.source.sample_id, "path": loss.source.path, "stage": loss.stage, "status": loss.status,
            "reason": loss.reason, "message": loss.message, "part": loss.part,
            "traceback": tracebacks.get((loss.stage, loss.source.sample_id)),
        }
        for loss in found
    ]  # fmt: skip
    print_json({"out": out, "total": len(rows), "lost": rows})


def _tell_strange_reasons(strange: Collection[str], found: Sequence[LostImage]) -> None:
    """Tell what was asked for and what there is."""
    known = sorted({loss.reason for loss in found if loss.reason})
    print(f"no image was lost for the reason {', '.join(map(repr, sorted(strange)))}"
          + (f"; the reasons there are: {', '.join(known)}" if known else "; none was lost at all"))  # fmt: skip


def _tracebacks(out: Location) -> dict[tuple[str, str], str]:
    """(stage, sample_id) -> the latest traceback in the event logs of all runs."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for path in matching(out, "runs/*/events*.jsonl"):
        for event in _events(path):
            key = (event.get("stage", ""), event.get("sample_id", ""))
            if event.get("event") == "error" and event["time"] >= found.get(key, ("", ""))[0]:
                found[key] = (event["time"], event["traceback"])
    return {key: text for key, (_, text) in found.items()}


def _events(path: Location) -> Iterator[dict[str, Any]]:
    with path.open(errors="replace") as file:
        for line in file:
            try:
                yield parse_json(line)
            except ValueError:  # the last line of a run that was killed
                continue
