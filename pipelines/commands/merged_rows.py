"""The rows of several data sets as one: what is the same input, the same picture, the same person, and what follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int

from dataprep.duplicates import HASH_BYTES
from dataprep.stages.manifest import Manifest
from dataprep.tables.columns import matrix_of
from dataprep.tables.grouping import NO_GROUP, either, first_rows, near_duplicates, people, ranks
from dataprep.tables.labels import drawn
from dataprep.tables.outliers import label_outliers
from dataprep.tables.sampling_weights import AXES, SAMPLING_WEIGHT, sampling_weights

DATA_SET = pa.field("data_set", pa.string(), metadata={"unit": "-", "frame": "-", "shape": "scalar",
                    "desc": "the data set that the row comes from: name of its folder"})  # fmt: skip
_STAGE = "merge"


@dataclass(frozen=True)
class Found:
    """What stands in more than one of the data sets, in rows or people."""

    same_inputs: int
    near_duplicates: int
    people: int
    across_splits: int

    def lines(self) -> list[str]:
        """Say it, a line each."""
        return [
            f"{self.same_inputs} inputs are the same (path and bytes) in more than one: each is kept once",
            f"{self.near_duplicates} samples left out (near_duplicate): an earlier data set has almost the picture",
            f"{self.people} people stand in more than one",
            f"{self.across_splits} samples left out of training (person_in_val): another data set has their person for "
            "validation",
        ]


def merged_rows(manifests: Mapping[str, pa.Table], keep_across_splits: bool) -> tuple[pa.Table, Found]:
    """Return one manifest, sorted by id, of those given by name, the first one's rows first where two are the same.

    Splits stay as they are. A sample whose picture an earlier data set has is not selected, and neither is a training
    sample whose person another data set keeps for validation (unless `keep_across_splits`). Outliers and weights are
    those of the whole. `shard` and `shard_row` are the old ones.
    """
    every = pa.concat_tables([_named(table, name) for name, table in manifests.items()], promote_options="default")
    which = np.repeat(np.arange(len(manifests)), [len(table) for table in manifests.values()])
    kept = _one_of_each(every["sample_id"].to_pylist(), _booleans(every["selected"]))
    table, which = every.take(pa.array(kept)), which[kept]
    selected = _booleans(table["selected"])
    doubled = _near_duplicates(table, which, selected)
    splits = np.array(table["split"].to_pylist(), object)
    person = _people(table, which, selected & ~doubled)
    leaks = np.zeros(len(table), bool)
    if not keep_across_splits:
        leaks = _across(person, splits, which, selected & ~doubled)
    found = Found(len(every) - len(table), int(doubled.sum()), _shared(person, which), int(leaks.sum()))
    table = _rejected(table, doubled, "near_duplicate", "almost the same picture as one in another data set")
    table = _rejected(table, leaks, "person_in_val", "another data set keeps this person for validation")
    table = _with_groups(table, person)
    return _counted_anew(table), found


def _named(table: pa.Table, name: str) -> pa.Table:
    plain = table.replace_schema_metadata(None)
    return plain.append_column(DATA_SET, pa.array([name] * len(table), pa.string()))


def _one_of_each(ids: Sequence[str], selected: Bool[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """Rows sorted by id; of the same input that which is selected, else the first."""
    best: dict[str, int] = {}
    for row, sample_id in enumerate(ids):
        if sample_id not in best or (selected[row] and not selected[best[sample_id]]):
            best[sample_id] = row
    return np.array([best[sample_id] for sample_id in sorted(best)], np.int64)


def _near_duplicates(
    table: pa.Table, which: Int[np.ndarray, " n"], selected: Bool[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Selected rows whose cluster has a selected row in an earlier data set; what one data set kept twice stays."""
    hashes = table["portrait_dhash"]
    judged = ~np.asarray(hashes.is_null().to_numpy(), bool) & selected
    packed = np.frombuffer(b"".join(hashes.filter(pa.array(judged)).to_pylist()), np.uint8).reshape(-1, HASH_BYTES)
    cluster = near_duplicates(packed, judged, Manifest.near_duplicate_bits)
    earliest = np.full(cluster.max(initial=0) + 1, np.iinfo(np.int64).max)
    np.minimum.at(earliest, cluster[judged], which[judged])
    return judged & (which > earliest[np.maximum(cluster, 0)])


def _people(table: pa.Table, which: Int[np.ndarray, " n"], selected: Bool[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Number of the person: those that were one in a data set stay one, and the likeness joins them across."""
    likeness, certainty = matrix_of(table["likeness"]), table["likeness_self"].cast(pa.float64())
    alike = people(likeness, certainty.fill_null(np.nan).to_numpy(), selected, Manifest.same_person_cosine,
                   Manifest.min_likeness_self)  # fmt: skip
    said = table["person"].combine_chunks().dictionary_encode().indices.fill_null(NO_GROUP).to_numpy()
    before = np.where(selected, said.astype(np.int64) * (which.max(initial=0) + 1) + which, NO_GROUP)
    before = np.where(said < 0, NO_GROUP, before)
    return np.where(selected, either(alike, before), NO_GROUP)


def _across(
    person: Int[np.ndarray, " n"], splits: np.ndarray, which: Int[np.ndarray, " n"], selected: Bool[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Training rows of people whom another data set has for validation."""
    held = {(int(p), int(w)) for p, w, s in zip(person, which, splits, strict=True) if p >= 0 and s == "val"}
    holders: dict[int, set[int]] = {}
    for number, where in held:
        holders.setdefault(number, set()).add(where)
    return np.array([
        bool(chosen) and split == "train" and bool(holders.get(int(number), set()) - {int(where)})
        for chosen, split, number, where in zip(selected, splits, person, which, strict=True)
    ], bool)  # fmt: skip


def _shared(person: Int[np.ndarray, " n"], which: Int[np.ndarray, " n"]) -> int:
    """How many people stand in more than one data set."""
    pairs = {(int(p), int(w)) for p, w in zip(person, which, strict=True) if p >= 0}
    return sum(count > 1 for count in Counter(number for number, _ in pairs).values())


def _rejected(table: pa.Table, rows: Bool[np.ndarray, " n"], reason: str, message: str) -> pa.Table:
    values = {"status": "rejected", "stage": _STAGE, "reason": reason, "message": message, "selected": False,
              "split": None, "shard": None, "shard_row": None, SAMPLING_WEIGHT: None}  # fmt: skip
    for name, value in values.items():
        if name in table.column_names:
            column = table[name].to_pylist()
            table = _set(table, name, [value if lost else one for lost, one in zip(rows, column, strict=True)])
    return table


def _with_groups(table: pa.Table, person: Int[np.ndarray, " n"]) -> pa.Table:
    """Columns `person`, `dup_cluster` and `dup_rank` of the whole."""
    ids, order = table["sample_id"].to_pylist(), np.arange(len(table))
    first = first_rows(person, order)
    said = table["person"].to_pylist()
    table = _set(table, "person", [ids[row] if row >= 0 else one for row, one in zip(first, said, strict=True)])
    hashes = table["portrait_dhash"]
    judged = ~np.asarray(hashes.is_null().to_numpy(), bool)
    packed = np.frombuffer(b"".join(hashes.drop_null().to_pylist()), np.uint8).reshape(-1, HASH_BYTES)
    cluster = near_duplicates(packed, judged, Manifest.near_duplicate_bits)
    rank = ranks(cluster, _booleans(table["selected"]), order)
    table = _set(table, "dup_cluster", [int(one) if one >= 0 else None for one in cluster])
    return _set(table, "dup_rank", [int(one) if one >= 0 else None for one in rank])


def _counted_anew(table: pa.Table) -> pa.Table:
    """Outliers and weights, which hang on all rows of the training split."""
    splits = table["split"].to_pylist()
    labels = {one.name: matrix_of(table[one.name]) for one in drawn() if one.name in table.column_names}
    table = _set(table, "flag_label_outlier", label_outliers(labels, splits).tolist())
    train = np.array([row for row, split in enumerate(splits) if split == "train"], int)
    known = {axis.column: matrix_of(table[axis.column])[train] for axis in AXES if axis.column in table.column_names}
    weights: list[float | None] = [None] * len(table)
    for row, weight in zip(train, sampling_weights(known, len(train), Manifest.weight_limit), strict=True):
        weights[row] = float(weight)
    return _set(table, SAMPLING_WEIGHT, weights)


def _set(table: pa.Table, name: str, values: Sequence[object]) -> pa.Table:
    place = table.schema.get_field_index(name)
    field = table.schema.field(name)
    return table.set_column(place, field, pa.array(values, field.type))


def _booleans(column: pa.ChunkedArray) -> Bool[np.ndarray, " n"]:
    return column.fill_null(False).to_numpy().astype(bool)
