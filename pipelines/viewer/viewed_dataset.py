"""The data set as the viewer's handlers see it: its rows as columns, its pictures, and the sets a page chose."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int

from dataprep.errors import ConfigError
from dataprep.files.locations import Location
from dataprep.files.untrusted import parse_json
from dataprep.report.census import Census
from dataprep.tables.manifest_files import MANIFEST, written_last
from pipelines.viewer.live_marks import MARK, MARK_BY, MARK_REASON, ReviewMarks
from pipelines.viewer.row_charts import RowCharts
from pipelines.viewer.row_columns import RowColumns
from pipelines.viewer.row_queries import RowFinder, RowQuery
from pipelines.viewer.sample_images import SampleImages

_KEPT_ORDERS, _KEPT_SETS = 64, 256
_SHORT = ("sample_id", "status", "stage", "reason", "split", "selected")


class ViewedDataset:
    """One data set, open for reading. Threads may share it; raises StoreError where there is no manifest."""

    def __init__(self, out: Location, who: str, against: Location | None = None) -> None:
        """`who` marks are signed with unless the page says another name; `against`: another to compare with."""
        self.out, self.who = out, who
        self.other = ViewedDataset(against, who) if against is not None else None
        self.census = Census(out)
        self._written_ns = written_last(self.census.path).stat().st_mtime_ns
        self.columns = RowColumns(self.census)
        self.charts = RowCharts(self.columns)
        self.finder = RowFinder(self.census, self.columns, self.chosen)
        self.images = SampleImages(out, self.fingerprints)
        self.places = {sample_id: row for row, sample_id in enumerate(self.census.ids)}
        self._hashes = pa.chunked_array([block.table["source_sha256"].combine_chunks()
                                         for block in self.census.blocks("source_sha256")])  # fmt: skip
        self.marks = ReviewMarks(out, self.places, self.columns)
        self._parts = np.nan_to_num(self.columns.numbers("part")).astype(np.int64)
        self._lock = threading.Lock()
        self._orders: OrderedDict[tuple[RowQuery, int], Int[np.ndarray, " m"]] = OrderedDict()
        self._sets: OrderedDict[str, Bool[np.ndarray, " n"]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.census)

    @property
    def fingerprints(self) -> dict[str, str]:
        """Which variant of each stage the manifest was made from, by the stage's name."""
        return dict(parse_json(self.census.metadata.get("stages", "{}")))

    def is_built_anew(self) -> bool:
        """Whether a run has written another manifest since; of an object store it is not asked."""
        path = written_last(self.out / MANIFEST)
        return isinstance(path, Path) and path.exists() and path.stat().st_mtime_ns != self._written_ns

    def marks_made(self) -> int:
        """A number that rises with every mark, others' included."""
        return self.marks.refresh()

    def ordered(self, query: RowQuery, at: int = 0) -> Int[np.ndarray, " m"]:
        """Rows of a query, kept for the next window of it; `at`: the marks it was asked at."""
        with self._lock:
            if (query, at) in self._orders:
                self._orders.move_to_end((query, at))
                return self._orders[query, at]
        rows = self.finder.ordered(query)
        with self._lock:
            self._orders[query, at] = rows
            while len(self._orders) > _KEPT_ORDERS:
                self._orders.popitem(last=False)
        return rows

    def keep_set(self, ids: Iterable[str]) -> str:
        """A name for some samples, for `set=NAME` in a query; the same samples get the same name."""
        rows = self.rows_of(ids)
        chosen = np.zeros(len(self), bool)
        chosen[rows] = True
        name = hashlib.sha256(np.packbits(chosen).tobytes()).hexdigest()[:12]
        with self._lock:
            self._sets[name] = chosen
            while len(self._sets) > _KEPT_SETS:
                self._sets.popitem(last=False)
        return name

    def chosen(self, name: str) -> Bool[np.ndarray, " n"]:
        """Rows of a kept set; raises ConfigError when this server keeps none of that name."""
        with self._lock:
            if name in self._sets:
                return self._sets[name]
        raise ConfigError(f"set={name[:40]}: this viewer keeps no such set (any more); choose the pictures again")

    def rows_of(self, ids: Iterable[str]) -> list[int]:
        """Row numbers of samples; raises ConfigError on an id that the manifest lacks."""
        rows = [self.places.get(sample_id, -1) for sample_id in ids]
        if min(rows, default=0) < 0:
            raise ConfigError("no sample of this data set has that id; reload the page")
        return rows

    def key_row(self, row: int) -> dict[str, Any]:
        """What reading a sample's pictures takes: id, part, path and hash of the photograph."""
        return {"sample_id": self.census.ids[row], "part": int(self._parts[row]),
                "source_path": self.columns.texts("source_path")[row].as_py(),
                "source_sha256": self._hashes[row].as_py()}  # fmt: skip

    def short_rows(self, rows: Iterable[int]) -> list[dict[str, Any]]:
        """What the grid says of some rows."""
        paths = self.columns.texts("source_path")
        return [self._short(int(row), paths[int(row)].as_py()) for row in rows]

    def _short(self, row: int, path: str | None) -> dict[str, Any]:
        said: dict[str, Any] = {"id": self.census.ids[row], "path": path, "selected": bool(self.census.selected[row])}
        said["mark"] = self.marks.of(self.census.ids[row])
        for name in ("status", "stage", "reason", "split"):
            said[name] = self.word_at(name, row)
        return said

    def word_at(self, name: str, row: int) -> str | None:
        """A word column's value, None where null or where there is no such column."""
        if name not in self.columns.columns and name not in (MARK, MARK_REASON, MARK_BY):
            return None
        if self.columns.described(name).kind == "text":
            return self.columns.texts(name)[row].as_py()
        words = self.columns.words(name)
        return None if words.codes[row] < 0 else words.values[words.codes[row]]

    def value_at(self, name: str, row: int) -> float | str | bool | None:
        """Any scalar of a row."""
        column = self.columns.described(name)
        if column.kind == "number":
            value = float(self.columns.numbers(name)[row])
            return None if np.isnan(value) else value
        return bool(self.columns.flags(name)[row]) if column.kind == "flag" else self.word_at(name, row)


def first_values(arguments: Mapping[str, list[str]], *names: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Split an address's arguments: the named ones, each once, and the rest, which is a query."""
    named = {name: (arguments.get(name) or [""])[-1] for name in names}
    return named, {name: values for name, values in arguments.items() if name not in names}
