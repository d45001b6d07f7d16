"""What reviewers' marks will change in a data set, told from its manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dataprep.files.filenames import printable
from dataprep.files.locations import Location
from dataprep.report.census import MANIFEST
from dataprep.stages.quality import RULES
from dataprep.tables.review import ACCEPT, REJECT, REVIEWED, Decision, reason_of
from dataprep.tables.sealed import open_table
from dataprep.wording import plural
from pipelines.paper_stages import MAP_STAGES

_JUDGES = {(stage.name, None) for stage in MAP_STAGES if stage.judges} | {("manifest", "near_duplicate")}
_COLUMNS = ["sample_id", "status", "stage", "reason", "dup_rank"]
_FLAGS = [rule.flag for rule in RULES if rule.rejects]
_SHOWN = 3


@dataclass
class Effects:
    """Ids of what the next run changes, and of marks that change nothing, by why."""

    leave: list[str] = field(default_factory=list)
    enter: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)  # stay rejected, for another reason
    obeyed: list[str] = field(default_factory=list)
    idle: dict[str, list[str]] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        return bool(self.leave or self.enter or self.renamed)


class _Row(NamedTuple):
    """A manifest's row; `broken`: it breaks a rule of quality, which a reviewer may overrule."""

    sample_id: str
    status: str
    stage: str | None
    reason: str | None
    dup_rank: int | None
    broken: bool


def effects_of(out: Location, decided: Mapping[str, Decision]) -> Effects | None:
    """What the marks change in a data set as it stands; None where it has no manifest yet."""
    if not (out / MANIFEST).exists():
        return None
    found, seen = Effects(), set()
    for row in _rows(out / MANIFEST):
        seen.add(row.sample_id)
        _tell(found, row, decided.get(row.sample_id))
    found.strangers = [name for name in decided if name not in seen]
    return found


def _rows(manifest: Location) -> Iterator[_Row]:
    with open_table(manifest) as file:
        flags = [name for name in _FLAGS if name in file.schema_arrow.names]
        table = file.read([*_COLUMNS, *flags])
    columns = [table[name].to_pylist() for name in _COLUMNS]
    broken = zip(*(table[name].to_pylist() for name in flags), strict=True) if flags else [()] * len(table)
    for values, some in zip(zip(*columns, strict=True), broken, strict=True):
        sample_id, status, stage, reason, dup_rank = values
        yield _Row(sample_id, status, stage, reason, dup_rank, any(some))


def _tell(found: Effects, row: _Row, decision: Decision | None) -> None:
    """File a row under what happens to it."""
    reviewed = (row.reason or "").startswith(REVIEWED)
    if reviewed and (decision is None or decision.verdict == ACCEPT):
        stays = decision is None and (row.broken or (row.dup_rank or 0) > 0)
        (found.renamed if stays else found.enter).append(row.sample_id)
    elif decision is None:
        if row.status == "ok" and row.broken:
            found.leave.append(row.sample_id)
    elif decision.verdict == REJECT:
        if row.status not in ("ok", "rejected"):
            found.idle.setdefault(f"{row.status} in {row.stage}", []).append(row.sample_id)
        elif row.status == "ok":
            found.leave.append(row.sample_id)
        elif row.reason == reason_of(decision):
            found.obeyed.append(row.sample_id)
        else:
            found.renamed.append(row.sample_id)
    elif row.status == "ok":
        found.obeyed.append(row.sample_id)
    elif {(row.stage, None), (row.stage, row.reason)} & _JUDGES and row.status == "rejected":
        found.enter.append(row.sample_id)
    else:
        found.idle.setdefault(f"{row.reason or row.status} in {row.stage}", []).append(row.sample_id)


def lines(out: Location, decided: Mapping[str, Decision]) -> Iterator[str]:
    """What to say of the marks of a data set: how many there are, what the next run does, what does nothing."""
    effects = effects_of(out, decided)
    if decided:
        verdicts = Counter(decision.verdict for decision in decided.values())
        counts = ((verdicts[REJECT], "rejection"), (verdicts[ACCEPT], "acceptance"))
        yield "reviewers' marks: " + ", ".join(f"{count} {plural(count, word)}" for count, word in counts)
    if effects is None or not (decided or effects.changes):
        return
    told = (
        (effects.leave, "image leaves the shards with the next run", "images leave the shards with the next run"),
        (effects.enter, "image comes in with the next run", "images come in with the next run"),
        (effects.renamed, "image is rejected for another reason then", "images are rejected for another reason then"),
        (effects.obeyed, "mark is obeyed already", "marks are obeyed already"),
        *((ids, f"mark changes nothing ({why})", f"marks change nothing ({why})")
          for why, ids in sorted(effects.idle.items())),
        (effects.strangers, "mark is of an image that is not here", "marks are of images that are not here"),
    )  # fmt: skip
    for ids, one, many in told:
        if ids:
            yield printable(f"  {len(ids)} {plural(len(ids), one, many)}: {_some(ids)}")


def _some(ids: list[str]) -> str:
    return ", ".join(name[:12] for name in ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")
