"""What a data set card says in numbers, counted from the manifest: the same rows that the report counts."""

from __future__ import annotations

from collections import Counter
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


def facts_of(manifest: pa.Table) -> Facts:
    """Count; `manifest` has every input or the selected ones alone."""
    chosen = manifest.filter(manifest["selected"])
    lost = Counter(
        zip(*(_texts(manifest.filter(_not_ok(manifest)), name) for name in ("stage", "reason")), strict=True)
    )
    people = {name for name in _texts(chosen, "person") if name}
    return Facts(
        len(manifest),
        tuple((stage, reason, count) for (stage, reason), count in sorted(lost.items(), key=_most_first)),
        tuple(sorted(Counter(_texts(chosen, "split")).items())),
        len(people) or None,
        sorted({name for name in _texts(chosen, "license") if name}),
        tuple(sorted({(kind, *names) for kind in ("body", "face") for names in _models(chosen, kind)})),
        tuple(_spread(chosen, name) for name in chosen.column_names if name.startswith("q_")),
        tuple(_shares(chosen, axis) for axis in AXES if axis.column in chosen.column_names),
    )


def _not_ok(manifest: pa.Table) -> pa.Array:
    return pa.array([status != "ok" for status in _texts(manifest, "status")], pa.bool_())


def _texts(table: pa.Table, name: str) -> list[Any]:
    return list(table[name].to_pylist()) if name in table.column_names else [None] * len(table)


def _most_first(entry: tuple[tuple[Any, Any], int]) -> tuple[Any, ...]:
    (stage, reason), count = entry
    return (-count, str(stage), str(reason))


def _models(chosen: pa.Table, kind: str) -> set[tuple[str, str]]:
    pairs = zip(_texts(chosen, f"{kind}_model"), _texts(chosen, f"{kind}_model_sha256"), strict=True)
    return {(name, sha256) for name, sha256 in pairs if name}


def _spread(chosen: pa.Table, name: str) -> Percentiles:
    values = flat_numbers(chosen[name]).to_numpy(zero_copy_only=False).astype(np.float64)
    found = np.percentile(values, _SHOWN).round(3).tolist() if len(values) else [float("nan")] * 3
    desc = (chosen.schema.field(name).metadata or {}).get(b"desc", b"").decode()
    return Percentiles(name, desc, tuple(found))


def _shares(chosen: pa.Table, axis: BalanceAxis) -> Shares:
    known = chosen.filter(chosen[axis.column].is_valid())
    width = -1 if len(known) else 1
    values = flat_numbers(known[axis.column]).to_numpy(zero_copy_only=False).reshape(len(known), width)
    bins = axis.bin_of(values if axis.is_array else values.ravel())
    counts = np.bincount(bins[bins >= 0], minlength=len(axis.bins))
    return Shares(axis.name, axis.unit, tuple(zip(axis.bins, counts.tolist(), strict=True)))
