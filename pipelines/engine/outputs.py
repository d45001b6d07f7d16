"""What aggregates have written, by their records `stages/<aggregate>/done.json`: is it there, whole and up to date?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dataprep.errors import Damaged
from dataprep.files.file_hashes import file_sha256
from dataprep.files.locations import Location
from dataprep.stages.aggregate import Aggregate
from dataprep.tables.parts import content_of
from dataprep.tables.review import Decision, digest
from dataprep.tables.store import Store, write_json
from pipelines.engine.dag import Dag
from pipelines.engine.look import Defect, Seen, output_defects, read_json


class State(NamedTuple):
    """Why an aggregate must be built ("" when it is up to date), and what is missing or damaged of it."""

    reason: str
    defects: tuple[Defect, ...] = ()


@dataclass(frozen=True)
class Outputs:
    """The aggregates of a plan. `contents`: identities of each map stage's parts, as the plan found them.

    `marks`: digest of what reviewers decided, "" where they decided nothing.
    """

    store: Store
    dag: Dag
    keys: Mapping[str, str]
    contents: Mapping[str, Sequence[str]]
    seen: Seen
    marks: str = ""

    def state(self, aggregate: Aggregate, running: bool = False) -> State:
        """`running`: stages are about to run, so that what it is made from will be known later."""
        record, defect = read_record(record_path(self.store.root, aggregate.name))
        if defect:
            return State("its record is damaged", (defect,))
        if not record:
            return State("not built yet")
        if defects := self.defects(aggregate, record):
            names = ", ".join(defect.path.rpartition("/")[2] for defect in defects[:3])
            return State(f"missing or damaged: {names}", defects)
        if record["key"] != self.keys[aggregate.name]:
            if aggregate.obeys_marks and record.get("marks", "") != self.marks:
                return State("reviewers' marks changed")
            return State("upstream changed" if running else "inputs or parameters changed")
        if not running and record.get("made_from", "") not in ("", self.made_from(aggregate)):
            return State("made from other contents")
        return State("")

    def defects(self, aggregate: Aggregate, record: Mapping[str, Any]) -> tuple[Defect, ...]:
        """Files of a finished aggregate that are not as they were written, as far as a quick look tells."""
        root, sizes = self.store.root, record.get("bytes", {})
        files = {name: (sizes.get(name), sha256) for name, sha256 in record["sha256"].items()}
        if found := tuple(output_defects(root, files, self.seen)):
            return found
        try:
            return tuple(output_defects(root, dict(aggregate.more_files(root)), self.seen))
        except Damaged as error:
            return (Defect(error.path, error.what),)

    def made_from(self, aggregate: Aggregate) -> str:
        """The content it would be made from now: its parts, and the files of the aggregates that it reads."""
        identities: list[str] = []
        for name in self.dag.requires(aggregate):
            if name in self.contents:
                identities += self.contents[name]
            else:
                hashes = read_record(record_path(self.store.root, name))[0].get("sha256", {})
                identities += [sha256 for _, sha256 in sorted(hashes.items())]
        return content_of(identities)


def record_path(root: Location, aggregate: str) -> Location:
    return root / "stages" / aggregate / "done.json"


def read_record(path: Location) -> tuple[dict[str, Any], Defect | None]:
    """What an aggregate left when it was done; {} and what is wrong with it, {} alone when it is not there."""
    record, defect = read_json(path)
    if not record or _is_record(record):
        return record, defect
    return {}, Defect(str(path), "is damaged: it is no record of what was built")


def _is_record(record: Mapping[str, Any]) -> bool:
    """Whether key, counts and hashes are of the kinds that are written; earlier versions wrote no more than these."""
    hashes, counts, sizes = record.get("sha256"), record.get("counts"), record.get("bytes", {})
    return (
        isinstance(record.get("key"), str)
        and isinstance(counts, dict)
        and isinstance(sizes, dict)
        and isinstance(hashes, dict)
        and all(isinstance(sha256, str) for sha256 in hashes.values())
    )


def forget(root: Location, aggregate: str) -> None:
    """Let the next run build an aggregate again."""
    record_path(root, aggregate).unlink(missing_ok=True)


def record(
    root: Location,
    aggregate: Aggregate,
    key: str,
    made_from: str,
    counts: Mapping[str, int],
    decided: Mapping[str, Decision],
) -> None:
    """Say that an aggregate is done, what its files are, and which decisions it obeyed; last of all."""
    content = {
        "key": key,
        "made_from": made_from,
        "counts": counts,
        "bytes": {name: (root / name).stat().st_size for name in aggregate.outputs},
        "sha256": {name: file_sha256(root / name) for name in aggregate.outputs},
    }
    obeyed = {"marks": digest(decided)} if decided and aggregate.obeys_marks else {}
    write_json(record_path(root, aggregate.name), content | obeyed)
