"""The manifest's columns as arrays, each read when it is first asked for and kept.

A column is of one of five kinds, by which the page chooses its filter: a number, a flag, a word (few values), a text
(many), or a list of numbers, of which `name[3]` is one column of numbers.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from dataprep.errors import ConfigError
from dataprep.report.census import Block, Census
from pipelines.paper_stages import MAP_STAGES

Kind = Literal["number", "flag", "word", "text", "list"]
MANIFEST_GROUP = "manifest"
_ELEMENT = re.compile(r"(\w+)\[(\d{1,5})\]")
_WORDS = 256  # a column of more values is a text: nobody chooses from a longer menu
_TEXTS = {"sample_id", "source_path", "message", "person"}  # however few there are
_KEPT_ELEMENTS = 64  # numbers of lists that stay in memory, 320 KB each at 40,000 rows


@dataclass(frozen=True)
class ViewColumn:
    """What the page knows of a column. `length`: numbers in a list; `values`: of a word, sorted."""

    name: str
    kind: Kind
    group: str
    unit: str
    meaning: str
    length: int = 0
    values: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Words:
    """A column of few values: `values[codes]`, -1 where null."""

    codes: Int[np.ndarray, " n"]
    values: tuple[str, ...]


class RowColumns:
    """The columns of a manifest in the order of its rows. Threads may share one."""

    def __init__(self, census: Census) -> None:
        self._census = census
        self._lock = threading.Lock()
        self._kept: dict[str, Any] = {}
        self._live: dict[str, tuple[ViewColumn, Words]] = {}
        self._elements: OrderedDict[str, np.ndarray] = OrderedDict()
        self._read_at_once([field for field in census.schema if _is_scalar(field.type)])
        groups = {column.name: stage.name for stage in MAP_STAGES for column in stage.columns}
        self.columns = {
            field.name: self._described(field, groups.get(field.name, MANIFEST_GROUP))
            for field in census.schema
            if not pa.types.is_fixed_size_binary(field.type) and not pa.types.is_binary(field.type)
        }

    def __len__(self) -> int:
        return len(self._census)

    def described(self, name: str) -> ViewColumn:
        """A column, or one number of a list column; raises ConfigError on what is neither."""
        if name in self._live:
            return self._live[name][0]
        if name in self.columns:
            return self.columns[name]
        if match := _ELEMENT.fullmatch(name):
            column = self.columns.get(match[1])
            if column is not None and column.kind == "list" and int(match[2]) < column.length:
                return ViewColumn(name, "number", column.group, column.unit, column.meaning)
            if column is not None:
                raise ConfigError(f"no column {name!r}: {match[1]} holds {column.length or 'one'} value(s) a row")
        near = get_close_matches(name, list(self.columns), n=3)
        raise ConfigError(f"the data set has no column {name!r}" + (f"; near it: {', '.join(near)}" if near else ""))

    def all_columns(self) -> list[ViewColumn]:
        """Those of the manifest, then those that change."""
        return [*self.columns.values(), *(column for column, _ in self._live.values())]

    def set_live(self, column: ViewColumn, words: Words) -> None:
        """Put a column of words that changes while the data set is looked at in place of its former values."""
        self._live[column.name] = (column, words)

    def numbers(self, name: str) -> Float[np.ndarray, " n"]:
        """A column of numbers, NaN where null."""
        if "[" in name:
            return self._element(name)
        return self._kept[name]

    def flags(self, name: str) -> Bool[np.ndarray, " n"]:
        """A column of flags, false where null."""
        return self._kept[name]

    def words(self, name: str) -> Words:
        """A column of words as codes."""
        if name in self._live:
            return self._live[name][1]
        return self._kept[name]

    def texts(self, name: str) -> pa.Array:
        """A column of texts, as Arrow keeps them."""
        return self._kept[name]

    def _read_at_once(self, fields: Sequence[pa.Field]) -> None:
        """Read every scalar in one pass over the file: one by one they take ten times as long."""
        pieces: dict[str, list[Any]] = {field.name: [] for field in fields}
        for block in self._census.blocks(*pieces):
            for field in fields:
                pieces[field.name].append(_piece(block, field))
        for name in list(pieces):
            found = pieces.pop(name)
            is_text = bool(found) and isinstance(found[0], pa.Array)
            self._kept[name] = self._words_or_texts(name, found) if is_text else np.concatenate(found)

    def _words_or_texts(self, name: str, pieces: list[pa.DictionaryArray]) -> Words | pa.Array:
        """Few values as codes: written out, the JSON of `models` alone would take 80 MB at 40,000 rows."""
        whole = pa.chunked_array(pieces).unify_dictionaries().combine_chunks()
        if len(whole.dictionary) > _WORDS or name in _TEXTS:
            return whole.cast(pa.string())
        values = whole.dictionary.to_pylist()
        places = np.append(np.argsort(np.argsort(values)), -1).astype(np.int16) if values else np.array([-1], np.int16)
        return Words(places[whole.indices.fill_null(-1).to_numpy(zero_copy_only=False)], tuple(sorted(values)))

    def _element(self, name: str) -> Float[np.ndarray, " n"]:
        column, place = name.removesuffix("]").split("[")
        with self._lock:
            if name not in self._elements:
                self._elements[name] = self._census.matrix(column, slice(int(place), int(place) + 1))[:, 0]
                if len(self._elements) > _KEPT_ELEMENTS:
                    self._elements.popitem(last=False)
            self._elements.move_to_end(name)
            return self._elements[name]

    def _described(self, field: pa.Field, group: str) -> ViewColumn:
        said = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        unit, meaning = said.get("unit", "-"), said.get("desc", "")
        if pa.types.is_list(field.type):
            shape = said.get("shape", "")
            length = int(np.prod([int(n) for n in shape.split("x")])) if shape.replace("x", "").isdigit() else 0
            return ViewColumn(field.name, "list", group, unit, meaning, length)
        if pa.types.is_boolean(field.type):
            return ViewColumn(field.name, "flag", group, unit, meaning)
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
            return ViewColumn(field.name, "number", group, unit, meaning)
        found = self._kept[field.name]
        if isinstance(found, Words):
            return ViewColumn(field.name, "word", group, unit, meaning, values=found.values)
        return ViewColumn(field.name, "text", group, unit, meaning)


def _is_scalar(kind: pa.DataType) -> bool:
    return not (pa.types.is_list(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary(kind))


def _piece(block: Block, field: pa.Field) -> Any:
    """A scalar column of some rows: floats, flags, or strings by code."""
    column = block.table[field.name]
    if pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
        return block.floats(field.name)
    if pa.types.is_boolean(field.type):
        return column.fill_null(False).to_numpy()
    return column.cast(pa.string()).combine_chunks().dictionary_encode()
