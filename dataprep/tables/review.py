"""Reviewers' marks: what people said of images after looking at them, in `OUT/review.parquet`.

Marks are added and never changed: an undone mark is another one, of verdict `none`. The latest mark of an image counts,
whatever run or parameters made what was looked at, since an image keeps its id.

Nobody's mark is lost. In a folder, adding is: lock, read again, write a new file beside the old one, flush it to the
disk, rename. An object store has no locks, and few have a write that fails when somebody else was faster, so there
every addition is an object of its own below `OUT/review/`, which nobody writes again; many are merged into one, and an
object is deleted only when its marks stand in another. A mark is on the disk, or in the store, when `append_marks`
returns.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataprep.errors import ConfigError, Damaged, StoreError
from dataprep.files.foreign_files import why
from dataprep.files.locations import Location, ObjectPath, each, names_in
from dataprep.files.own_files import locked
from dataprep.files.untrusted import require_sample_ids
from dataprep.tables.sealed import read_table
from dataprep.tables.shard_folders import SHARDS
from dataprep.tables.store import unwritable, write_table

REVIEW = "review.parquet"
REVIEWED = "review:"  # so begins the manifest's reason of a row that a reviewer rejected
REVIEW_FOLDER = "review"  # in an object store
ACCEPT, REJECT, DOUBT, NONE = VERDICTS = ("accept", "reject", "doubt", "none")
MAX_REASON, MAX_NOTE, MAX_WHO = 40, 2000, 100  # characters
_REASON = re.compile(r"[a-z0-9][a-z0-9_.-]*|")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")  # a note may have lines and tabs
_FIELDS = (
    ("sample_id", pa.string(), "the image that was looked at"),
    ("verdict", pa.string(), "accept, reject, doubt, or none: the mark before is undone"),
    ("reason", pa.string(), "short code of why; may be empty"),
    ("note", pa.string(), "what else there is to say; may be empty"),
    ("who", pa.string(), "the reviewer"),
    ("when", pa.timestamp("us", "UTC"), "when the mark was made, UTC"),
)
SCHEMA = pa.schema([pa.field(name, kind, metadata={"desc": desc}) for name, kind, desc in _FIELDS])
_MANY = 64  # objects; from here on they are merged
_ATTEMPTS = 5  # to read objects that somebody else is merging
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Mark:
    """What one person said of one image. `when` is UTC; None: when it is stored.

    Raises ConfigError on a verdict that there is not, a reason that is no short word, and texts that are too long or
    hold control characters.
    """

    sample_id: str
    verdict: str
    reason: str = ""
    note: str = ""
    who: str = ""
    when: datetime | None = None

    def __post_init__(self) -> None:
        """Hold every value against what a mark may say."""
        require_sample_ids([self.sample_id], "a mark")
        if self.verdict not in VERDICTS:
            raise ConfigError(f"a mark's verdict is {self.verdict!r}; expected {', '.join(VERDICTS)}")
        if len(self.reason) > MAX_REASON or not _REASON.fullmatch(self.reason):
            raise ConfigError(f"a mark's reason is {self.reason[:60]!r}; expected a short word of a-z, 0-9, _, . and "
                              f"-, at most {MAX_REASON} characters, as in crop_shifted")  # fmt: skip
        for name, text, most in (("note", self.note, MAX_NOTE), ("who", self.who, MAX_WHO)):
            if len(text) > most or _CONTROL.search(text):
                raise ConfigError(f"a mark's {name} is {text[:60]!r}; expected text without control characters, at "
                                  f"most {most:,} characters")  # fmt: skip
        if self.when is not None and self.when.tzinfo is None:
            raise ConfigError(f"a mark's time is {self.when}; expected one with its zone, as in 2026-03-01T12:00:00Z")


class Decision(NamedTuple):
    """What the latest mark of an image means for the data set: ACCEPT or REJECT, and why."""

    verdict: str
    reason: str


def append_marks(out: Location, marks: Iterable[Mark]) -> list[Mark]:
    """Add marks and return them as they were stored; when this returns, they survive a crash of the machine.

    A mark without a time is the latest of its image, even where another machine's clock is ahead. Marks that stand
    there already, in all their words, are left out. Raises Unwritable, also where the file system has no locks.
    """
    added = list(marks)
    if not added:
        return []
    if isinstance(out, ObjectPath):
        return _append_object(out, added)
    guard = out / "runs" / "review.guard"
    try:
        with locked(guard):
            earlier = _table(out)
            new = _timed(added, earlier)
            if table := _table_of(_unknown(new, earlier)):
                write_table(out / REVIEW, pa.concat_tables([earlier, table]))
            return new
    except OSError as error:
        raise unwritable(guard, error) from error


def history(out: Location, sample_id: str = "") -> list[Mark]:
    """Every mark, or every one of an image, in the order of time. Raises StoreError when they cannot be read."""
    table = _table(out)
    if sample_id:
        table = table.filter(pc.equal(table["sample_id"], sample_id))
    return _marks_of(table.take(_by_time(table)), out)


def current_marks(out: Location) -> dict[str, Mark]:
    """Return the latest mark by image, in the order of ids; none where it was undone."""
    table = _latest(_table(out))
    return {mark.sample_id: mark for mark in _marks_of(table, out) if mark.verdict != NONE}


def decisions(out: Location) -> dict[str, Decision]:
    """Return what the latest marks decide, by image in the order of ids; doubts decide nothing."""
    table = _latest(_table(out))
    columns = (table[name].to_pylist() for name in ("sample_id", "verdict", "reason"))
    return {name: Decision(*said) for name, *said in zip(*columns, strict=True) if said[0] in (ACCEPT, REJECT)}


def rejected_in_shards(root: Location) -> frozenset[str]:
    """Images that reviewers reject, of the data set `root` or of the one whose folder of shards it is."""
    marked = root.parent if root.name == SHARDS else root
    return frozenset(name for name, decision in decisions(marked).items() if decision.verdict == REJECT)


def reason_of(rejection: Decision) -> str:
    """The reason that a row of the manifest gets by a rejection."""
    return f"{REVIEWED}{rejection.reason or 'unspecified'}"


def digest(decided: Mapping[str, Decision]) -> str:
    """Hex digest of decisions, "" of none: who, when and notes do not count."""
    content = json.dumps(sorted((name, *decision) for name, decision in decided.items()))
    return hashlib.sha256(content.encode()).hexdigest()[:16] if decided else ""


# --- tables of marks ---------------------------------------------------------------------------------------------


def _table_of(marks: Sequence[Mark]) -> pa.Table | None:
    if not marks:
        return None
    return pa.Table.from_pylist([vars(mark) for mark in marks], schema=SCHEMA)


def _marks_of(table: pa.Table, out: Location) -> list[Mark]:
    try:
        return [Mark(**row) for row in table.to_pylist()]
    except ConfigError as error:
        raise StoreError(f"{out / REVIEW}: {error}; it was not written by shhq-hs") from error


def _by_time(table: pa.Table) -> pa.Array:
    """Places in the order of time; marks of one moment stay in the order in which they were added."""
    return pa.array(np.argsort(table["when"].cast(pa.int64()).to_numpy(), kind="stable"))


def _latest(table: pa.Table) -> pa.Table:
    """The latest row of every image, in the order of ids."""
    ordered = table.take(_by_time(table))
    last = {name: place for place, name in enumerate(ordered["sample_id"].to_pylist())}
    return ordered.take(pa.array([last[name] for name in sorted(last)], pa.int64()))


def _timed(marks: Sequence[Mark], earlier: pa.Table) -> list[Mark]:
    """Marks with their times: those without get the present, or what follows the image's latest mark."""
    same = earlier.filter(pc.is_in(earlier["sample_id"], pa.array(list({mark.sample_id for mark in marks}))))
    latest: dict[str, datetime] = {}
    for sample_id, when in zip(same["sample_id"].to_pylist(), same["when"].to_pylist(), strict=True):
        latest[sample_id] = max(when, latest.get(sample_id, when))
    timed, now = [], datetime.now(UTC)
    for mark in marks:
        before = latest.get(mark.sample_id)
        when = mark.when or (now if before is None else max(now, before + _TICK))
        latest[mark.sample_id] = when if before is None else max(when, before)
        timed.append(replace(mark, when=when))
    return timed


def _unknown(marks: Sequence[Mark], earlier: pa.Table) -> list[Mark]:
    """Those that do not stand in a table yet."""
    same = earlier.filter(pc.is_in(earlier["sample_id"], pa.array([mark.sample_id for mark in marks])))
    known = {tuple(row.values()) for row in same.to_pylist()}
    found = dict.fromkeys(mark for mark in marks if tuple(vars(mark).values()) not in known)
    return list(found)


def _read(path: Location) -> pa.Table:
    """A file of marks; raises StoreError, which says that nothing makes marks anew."""
    try:
        table = read_table(path)
        table = table.select(SCHEMA.names).cast(SCHEMA)
        require_sample_ids(table["sample_id"].to_pylist(), path)
    except Damaged as error:
        raise StoreError(f"{path} {error.what}. It holds what people marked, which no command makes anew: put a copy "
                         "of it back, or move it away to go on without those marks") from error  # fmt: skip
    except (KeyError, ValueError) as error:  # Arrow's own are ValueErrors
        raise StoreError(f"{path} is no table of marks ({' '.join(str(error).split())[:120]}); move it away to go on "
                         "without marks") from error  # fmt: skip
    return table


def _table(out: Location) -> pa.Table:
    """Every mark, in the order in which they were added; of an object store, in that of time."""
    if isinstance(out, ObjectPath):
        return _merged(list(_objects(out).values()))
    path = out / REVIEW
    return _read(path) if path.exists() else SCHEMA.empty_table()


# --- object stores -----------------------------------------------------------------------------------------------


def _append_object(out: ObjectPath, marks: Sequence[Mark]) -> list[Mark]:
    """Write marks as an object of their own; where there are many objects, this one takes them all in."""
    parts = _objects(out)
    earlier = _merged(list(parts.values()))
    new = _timed(marks, earlier)
    table = _table_of(_unknown(new, earlier))
    merging = parts if len(parts) >= _MANY else {}
    tables = [*merging.values(), *([table] if table else [])]
    if tables:
        write_table(out / REVIEW_FOLDER / f"{uuid.uuid4().hex}.parquet", _merged(tables))
    for path in merging:  # what was written holds their marks; another merger's object does, too, or leaves them
        path.unlink(missing_ok=True)
    return new


def _objects(out: ObjectPath) -> dict[ObjectPath, pa.Table]:
    """Every object of marks. One that was merged between listing and reading makes for another look."""
    for attempt in range(_ATTEMPTS):
        try:
            names = names_in(out / REVIEW_FOLDER)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StoreError(f"{out / REVIEW_FOLDER} cannot be listed: {why(error)}") from error
        paths = [out / REVIEW_FOLDER / name for name in names if name.endswith(".parquet")]
        try:
            return dict(zip(paths, each(out, _object, paths), strict=True))
        except StoreError:
            if attempt == _ATTEMPTS - 1 or all(path.exists() for path in paths):
                raise
    return {}


@lru_cache(maxsize=4 * _MANY)
def _object(path: ObjectPath) -> pa.Table:
    """An object's marks; nobody writes it again."""
    return _read(path)


def _merged(tables: Sequence[pa.Table]) -> pa.Table:
    """Marks of several tables, each once: an object whose merger was killed stands beside what took it in."""
    table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    once = table.group_by(SCHEMA.names, use_threads=False).aggregate([]).select(SCHEMA.names).cast(SCHEMA)
    return once.sort_by([(name, "ascending") for name in ("when", *SCHEMA.names[:-1])])
