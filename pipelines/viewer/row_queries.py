"""Which rows the page shows, and in what order: the same words in the page's address and in what it asks.

yaw=-0.35..0.35  q_sharpness=..0.4  face_fit_rmse=null     numbers: either end may be missing
split=train&split=val  stage=null  flag_hand=true          words and flags: any of them
person==4f1c...  source_path=holiday                       a text: exactly, or a part of it
bfm_exp[3]=1..                                             one number of a list
text=holiday          in path, id or message
expr=abs(yaw) < 0.3   the language of `shhq-hs select`
set=NAME              rows that a page chose, such as with a lasso
sort=-q_sharpness     by a column, `-` for the largest first; rows without a value come last
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from dataprep.errors import ConfigError
from dataprep.report.census import Census
from dataprep.report.selection import matching
from pipelines.viewer.row_columns import RowColumns, ViewColumn, Words

NULL = "null"
_RESERVED = ("text", "expr", "set", "sort")
_SEARCHED = ("source_path", "sample_id", "message")
_MOST_FILTERS, _MOST_LETTERS = 64, 4096
Rows = Bool[np.ndarray, " n"]


@dataclass(frozen=True)
class RowQuery:
    """Filters by column, each with its values, and what else limits or orders the rows; hashable."""

    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    text: str = ""
    expr: str = ""
    chosen: str = ""
    sort: str = ""

    @staticmethod
    def parsed(arguments: Mapping[str, Sequence[str]]) -> RowQuery:
        """From the arguments of an address; raises ConfigError on too many or too long ones."""
        filters = {name: tuple(values) for name, values in arguments.items() if name not in _RESERVED and any(values)}
        if len(filters) > _MOST_FILTERS or any(len(v) > _MOST_LETTERS for vs in arguments.values() for v in vs):
            raise ConfigError(f"more than {_MOST_FILTERS} filters, or one of more than {_MOST_LETTERS:,} characters")
        text, expr, chosen, sort = ((arguments.get(name) or [""])[-1].strip() for name in _RESERVED)
        return RowQuery(tuple(sorted(filters.items())), text, expr, chosen, sort)

    @property
    def without_order(self) -> RowQuery:
        return RowQuery(self.filters, self.text, self.expr, self.chosen)

    def without(self, column: str) -> RowQuery:
        """The same without the filter of a column: what its own chart counts."""
        kept = tuple(one for one in self.filters if one[0] != column)
        return RowQuery(kept, self.text, self.expr, self.chosen, self.sort)

    def names(self) -> set[str]:
        """Columns it filters or sorts by."""
        return {name for name, _ in self.filters} | {self.sort.removeprefix("-")}


class RowFinder:
    """Answers queries over the columns of one manifest."""

    def __init__(self, census: Census, columns: RowColumns, chosen: Callable[[str], Rows]) -> None:
        """`chosen`: the rows of a named set; raises ConfigError where there is none."""
        self._census, self._columns, self._chosen = census, columns, chosen

    def matching(self, query: RowQuery) -> Rows:
        """Which rows pass every filter; raises ConfigError on a filter that cannot be."""
        found = np.ones(len(self._columns), bool)
        for name, values in query.filters:
            found &= self._passes(self._columns.described(name), values)
        if query.text:
            found &= self._contains(query.text)
        if query.expr:
            found &= matching(self._census, query.expr)
        if query.chosen:
            found &= self._chosen(query.chosen)
        return found

    def ordered(self, query: RowQuery) -> Int[np.ndarray, " m"]:
        """Numbers of the rows that match, in the order asked for; equal ones in that of their ids."""
        rows = np.flatnonzero(self.matching(query)).astype(np.int32)
        if not query.sort:
            return rows
        column = self._columns.described(query.sort.removeprefix("-"))
        ranks = self._ranks(column)[rows]
        known = ~np.isnan(ranks)
        order = np.argsort(-ranks[known] if query.sort.startswith("-") else ranks[known], kind="stable")
        return np.concatenate([rows[known][order], rows[~known]])

    def _ranks(self, column: ViewColumn) -> np.ndarray:
        """What a column sorts by: numbers, NaN last."""
        if column.kind == "number":
            return self._columns.numbers(column.name)
        if column.kind == "flag":
            return self._columns.flags(column.name).astype(np.float64)
        if column.kind == "word":
            return _ranked(self._columns.words(column.name))
        if column.kind == "text":
            ranks = pc.rank(self._columns.texts(column.name), tiebreaker="dense").to_numpy().astype(np.float64)
            ranks[self._columns.texts(column.name).is_null().to_numpy(zero_copy_only=False)] = np.nan
            return ranks
        raise ConfigError(
            f"column {column.name!r} holds {column.length} numbers; sort by one of them: {column.name}[0]"
        )

    def _passes(self, column: ViewColumn, values: Sequence[str]) -> Rows:
        tests: dict[str, Callable[[ViewColumn, Sequence[str]], Rows]] = {
            "number": self._within, "flag": self._flagged, "word": self._among, "text": self._reads,
        }  # fmt: skip
        if column.kind not in tests:
            raise ConfigError(f"column {column.name!r} holds {column.length} numbers; name one: {column.name}[0]")
        return tests[column.kind](column, values)

    def _within(self, column: ViewColumn, values: Sequence[str]) -> Rows:
        numbers = self._columns.numbers(column.name)
        found = np.zeros(len(numbers), bool)
        with np.errstate(invalid="ignore"):
            for value in values:
                if value == NULL:
                    found |= np.isnan(numbers)
                    continue
                least, most = _range(column.name, value)
                found |= (numbers >= least) & (numbers <= most)
        return found

    def _flagged(self, column: ViewColumn, values: Sequence[str]) -> Rows:
        if not set(values) <= {"true", "false"}:
            raise ConfigError(f"filter {column.name}={'|'.join(values)}: expected true or false")
        flags = self._columns.flags(column.name)
        return np.isin(flags, [value == "true" for value in values])

    def _among(self, column: ViewColumn, values: Sequence[str]) -> Rows:
        words = self._columns.words(column.name)
        codes = {word: code for code, word in enumerate(words.values)} | {NULL: -1}
        return np.isin(words.codes, [codes[value] for value in values if value in codes])

    def _reads(self, column: ViewColumn, values: Sequence[str]) -> Rows:
        texts = self._columns.texts(column.name)
        found = np.zeros(len(texts), bool)
        for value in values:
            if value == NULL:
                found |= texts.is_null().to_numpy(zero_copy_only=False)
            elif value.startswith("="):
                found |= _true(pc.equal(texts, value[1:]))
            else:
                found |= _true(pc.match_substring(texts, value, ignore_case=True))
        return found

    def _contains(self, text: str) -> Rows:
        parts = [self._columns.texts(name) for name in _SEARCHED if name in self._columns.columns
                 and self._columns.described(name).kind == "text"]  # fmt: skip
        found = [_true(pc.match_substring(part, text, ignore_case=True)) for part in parts]
        return np.logical_or.reduce(found)


def _range(name: str, value: str) -> tuple[float, float]:
    """`a..b`, either may be missing; one number stands for itself."""
    low, dots, high = value.partition("..")
    try:
        least = float(low) if low else -np.inf
        return least, (float(high) if high else np.inf) if dots else least
    except ValueError:
        raise ConfigError(f"filter {name}={value}: expected numbers, as in {name}=0.2..0.5 or {name}=0.2..") from None


def _ranked(words: Words) -> np.ndarray:
    return np.where(words.codes < 0, np.nan, words.codes.astype(np.float64))


def _true(answers: Any) -> Rows:
    return pc.fill_null(answers, False).to_numpy(zero_copy_only=False)
