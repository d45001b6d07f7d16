"""What a data set card says in numbers, counted from the manifest: the same rows that the report counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dataprep.tables.columns import flat_numbers
from dataprep.tables.sampling_weights import AXES, BalanceAxis

_SHOWN = (5, 50, 95)


@dataclass(frozen=True)
class Percentiles:
    """5th, 50th and 95th percentile of a number over the samples."""

    name: str
    desc: str
    percentiles: tuple[float, float, float]


@dataclass(frozen=True)
class Shares:
    """How many samples fall into each bin of what training evens out."""

    name: str
    unit: str
    bins: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Facts:
    """All numbers of a card."""

    photographs: int
    lost: tuple[tuple[str, str, int], ...]  # stage, reason, photographs; most first
    splits: tuple[tuple[str, int], ...]
    people: int | None  # None where the data set does not tell people apart
    licences: list[str]
    models: tuple[tuple[str, str, str], ...]  # what for, name, sha256 of its file
    scores: tuple[Percentiles, ...]
    shares: tuple[Shares, ...]

    @property
    def samples(self) -> int:
        return sum(count for _, count in self.splits)


Read = Callable[[list[str]], Iterable[pa.Table]]  # some columns of a manifest, all rows, some at a time


def facts_of(read: Read, schema: pa.Schema) -> Facts:
    """Count what `read` gives of a manifest, which has every input or the selected ones alone."""
    told = _Told(read, schema)
    lost = Counter(row[1:] for row in told.rows(["status", "stage", "reason"], chosen=False) if row[0] != "ok")
    photographs = sum(len(table) for table in read(["selected"]))
    people = {name for (name,) in told.rows(["person"]) if name}
    return Facts(
        photographs,
        tuple((stage, reason, count) for (stage, reason), count in sorted(lost.items(), key=_most_first)),
        tuple(sorted(Counter(split for (split,) in told.rows(["split"])).items())),
        len(people) or None,
        sorted({name for (name,) in told.rows(["license"]) if name}),
        tuple(sorted({(kind, *names) for kind in ("body", "face") for names in _models(told, kind)})),
        tuple(_spread(told, name) for name in schema.names if name.startswith("q_")),
        tuple(_shares(told, axis) for axis in AXES if axis.column in schema.names),
    )


@dataclass(frozen=True)
class _Told:
    """The columns that a manifest has, some rows at a time."""

    read: Read
    schema: pa.Schema

    def rows(self, names: list[str], chosen: bool = True) -> Iterator[tuple[Any, ...]]:
        """Values of columns row by row, None of a column that there is not; the selected rows, or all."""
        for table in self.tables(names, chosen):
            yield from zip(*(_texts(table, name) for name in names), strict=True)

    def tables(self, names: list[str], chosen: bool = True) -> Iterator[pa.Table]:
        known = ["selected", *(name for name in names if name in self.schema.names)]
        for table in self.read(known):
            yield table.filter(table["selected"]) if chosen else table

    def numbers(self, name: str) -> np.ndarray:
        """Every number of the selected rows that have one."""
        pieces = [_numbers(table, name).astype(np.float64) for table in self.tables([name])]
        return np.concatenate([np.zeros(0), *pieces])


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    numbers: np.ndarray = flat_numbers(table[name]).to_numpy(zero_copy_only=False)
    return numbers


def _texts(table: pa.Table, name: str) -> list[Any]:
    return list(table[name].to_pylist()) if name in table.column_names else [None] * len(table)


def _most_first(entry: tuple[tuple[Any, ...], int]) -> tuple[Any, ...]:
    (stage, reason), count = entry
    return (-count, str(stage), str(reason))


def _models(told: _Told, kind: str) -> set[tuple[Any, ...]]:
    return {names for names in told.rows([f"{kind}_model", f"{kind}_model_sha256"]) if names[0]}


def _spread(told: _Told, name: str) -> Percentiles:
    values = told.numbers(name)
    found = np.percentile(values, _SHOWN).round(3).tolist() if len(values) else [float("nan")] * 3
    desc = (told.schema.field(name).metadata or {}).get(b"desc", b"").decode()
    return Percentiles(name, desc, tuple(found))


def _shares(told: _Told, axis: BalanceAxis) -> Shares:
    counts = np.zeros(len(axis.bins), np.int64)
    for table in told.tables([axis.column]):
        known = table.filter(table[axis.column].is_valid())
        if len(known):
            values = _numbers(known, axis.column).reshape(len(known), -1)
            bins = axis.bin_of(values if axis.is_array else values.ravel())
            counts += np.bincount(bins[bins >= 0], minlength=len(axis.bins))
    return Shares(axis.name, axis.unit, tuple(zip(axis.bins, counts.tolist(), strict=True)))
