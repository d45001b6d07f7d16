"""What people said of samples, as the viewer shows it: the marks of `OUT/review.parquet`, its own and others'.

Every mark is on the disk before the page is told so. Marks that somebody else makes meanwhile, with another viewer or
on another machine, are read again when the file has changed.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dataprep.files.locations import Location, ObjectPath, listing
from dataprep.tables.review import ACCEPT, DOUBT, NONE, REJECT, REVIEW, REVIEW_FOLDER, Mark

from dataprep.tables.review import append_marks, current_marks, history  # isort: skip
from pipelines.viewer.row_columns import RowColumns, ViewColumn, Words

MARK, MARK_REASON, MARK_BY = "mark", "mark_reason", "mark_by"
SUGGESTED_REASONS = ("crop_shifted", "wrong_person", "blurred", "bad_matte", "wrong_label", "duplicate", "unsuitable")
_LOOK_AGAIN_S, _ASK_AGAIN_S = 1.0, 10.0  # a look at an object store is a request


class ReviewMarks:
    """The latest mark of every sample. Threads may share one."""

    def __init__(self, out: Location, places: Mapping[str, int], columns: RowColumns) -> None:
        """`places`: row numbers by id; `columns` get the marks as columns to filter by."""
        self._out, self._places, self._columns = out, places, columns
        self._lock, self._adding = threading.Lock(), threading.Lock()
        self._current: dict[str, Mark] = {}
        self._seen: object = None
        self._looked = -np.inf
        self.made = 0  # rises with every change
        self.refresh()

    def refresh(self) -> int:
        """Read what others have written; returns `made`."""
        if time.monotonic() - self._looked >= (_ASK_AGAIN_S if self._is_object() else _LOOK_AGAIN_S):
            self._looked = time.monotonic()
            state = self._state()
            if state != self._seen or not self.made:
                with self._adding:  # what is read must not be older than what was just added
                    found = current_marks(self._out)
                    self._replace(found, state)
        return self.made

    def add(self, marks: Sequence[Mark]) -> list[Mark]:
        """Write marks down; they are safe when this returns. Raises StoreError and Unwritable."""
        with self._adding:
            stored = append_marks(self._out, marks)
            changed = self._current | {mark.sample_id: mark for mark in stored}
            self._replace({name: mark for name, mark in changed.items() if mark.verdict != NONE}, self._seen)
        return stored

    def of(self, sample_id: str) -> list[str] | None:
        """Verdict, reason, note, who and when of a sample's latest mark."""
        mark = self._current.get(sample_id)
        return None if mark is None else as_list(mark)

    def history_of(self, sample_id: str) -> list[list[str]]:
        """All marks of a sample, the latest first."""
        return [as_list(mark) for mark in reversed(history(self._out, sample_id))]

    def latest(self, most: int) -> list[list[str]]:
        """The latest marks of all samples, each after its id, the latest first."""
        marks = sorted(self._current.values(), key=lambda mark: str(mark.when), reverse=True)
        return [[mark.sample_id, *as_list(mark)] for mark in marks[:most] if mark.sample_id in self._places]

    def counted(self, selected: np.ndarray, stages: Sequence[str | None]) -> dict[str, Any]:
        """How many marks there are, by verdict, reason and person, and what the next run will make of them."""
        here = [(self._places[name], mark) for name, mark in self._current.items() if name in self._places]
        accepted = [row for row, mark in here if mark.verdict == ACCEPT and not selected[row]]
        return {
            "verdicts": Counter(mark.verdict for _, mark in here),
            "reasons": Counter(mark.reason for _, mark in here if mark.verdict == REJECT),
            "people": Counter(mark.who for _, mark in here),
            "elsewhere": len(self._current) - len(here),
            "leave": sum(mark.verdict == REJECT and bool(selected[row]) for row, mark in here),
            "may_return": sum(stages[row] == "quality" for row in accepted),
            "cannot_return": sum(stages[row] != "quality" for row in accepted),
        }

    def _replace(self, found: dict[str, Mark], state: object) -> None:
        with self._lock:
            self._current, self._seen = found, state
            self.made += 1
            self._publish()

    def _publish(self) -> None:
        """Give the marks to the columns, so that they can be filtered and sorted by."""
        known = [(self._places[name], mark) for name, mark in self._current.items() if name in self._places]
        meanings = (
            (MARK, "what the latest mark says: accept, reject or doubt; null without a mark", "verdict"),
            (MARK_REASON, "reason of the latest mark", "reason"),
            (MARK_BY, "who made the latest mark", "who"),
        )
        for name, meaning, field in meanings:
            said = [(row, getattr(mark, field)) for row, mark in known if getattr(mark, field)]
            always = (ACCEPT, DOUBT, REJECT) if field == "verdict" else ()
            values = tuple(sorted({value for _, value in said} | set(always)))
            codes = np.full(len(self._columns), -1, np.int16)
            number = {value: code for code, value in enumerate(values)}
            for row, value in said:
                codes[row] = number[value]
            self._columns.set_live(ViewColumn(name, "word", "marks", "-", meaning, values=values), Words(codes, values))

    def _state(self) -> object:
        """What changes when somebody writes marks."""
        if self._is_object():
            return listing(self._out / REVIEW_FOLDER)
        try:
            status = (self._out / REVIEW).stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size

    def _is_object(self) -> bool:
        return isinstance(self._out, ObjectPath)


def as_list(mark: Mark) -> list[str]:
    """A mark as the page reads it."""
    when = mark.when.strftime("%Y-%m-%dT%H:%M:%SZ") if mark.when else ""
    return [mark.verdict, mark.reason, mark.note, mark.who, when]


def marks_from(content: Iterable[Any], who: str) -> list[Mark]:
    """Marks that a page sent: {"id", "verdict", "reason", "note", "who"}; raises ConfigError on what is none."""
    return [
        Mark(str(one["id"]), _said(one, "verdict"), _said(one, "reason"), _said(one, "note"), _said(one, "who") or who)
        for one in content
        if isinstance(one, dict) and "id" in one
    ]


def _said(content: Mapping[str, Any], name: str) -> str:
    return str(content.get(name) or "")
