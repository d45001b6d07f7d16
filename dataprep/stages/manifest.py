"""manifest: the release table, one row for every input, accepted or not, sorted by id.

Here the data set is seen as a whole for the first time: near-duplicates, people, label outliers, the split and the
place of each accepted sample in the shards are decided.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int

from dataprep import __version__
from dataprep.duplicates import HASH_BYTES
from dataprep.files.locations import Location
from dataprep.settings import number, setting
from dataprep.stages.aggregate import Aggregate, DatasetView
from dataprep.stages.base import EVERY_STAGE, Stage
from dataprep.stages.verdicts import RowVerdicts, columns_of, lost_to_judges_alone, verdict_of_stages
from dataprep.tables.columns import BOOL, FLOAT, STRING, UINT16, UINT32, Column, table_from_rows
from dataprep.tables.grouping import either, first_rows, is_validation, near_duplicates, people, ranks
from dataprep.tables.labels import drawn
from dataprep.tables.outliers import label_outliers
from dataprep.tables.parts import blob_position_columns
from dataprep.tables.regroup import in_places
from dataprep.tables.review import digest
from dataprep.tables.sampling_weights import AXES, SAMPLING_WEIGHT, sampling_weights
from dataprep.tables.store import ROW_COLUMNS, ROW_GROUP, SCHEMA_VERSION, write_tables

DICT = pa.dictionary(pa.int32(), STRING)
OWN_COLUMNS = (
    Column("sample_id", STRING, "first 128 bits of sha256(relative path, bytes), hex"),
    Column("status", DICT, "ok, or how the first stage that did not accept the image ended: rejected, error, ..."),
    Column("stage", DICT, "first stage that did not accept the image; null when accepted"),
    Column("reason", DICT, "short code of why; null when accepted"),
    Column("message", STRING, "one sentence of why; null when accepted"),
    Column("selected", BOOL, "the sample is in the shards"),
    Column(
        "split",
        DICT,
        "train or val, from a hash of the first input of the person and their near-duplicates; null unless selected",
    ),
    Column("dup_cluster", UINT32, "near-duplicate cluster, numbered by first sample_id; null before quality"),
    Column("dup_rank", UINT16, "0: the cluster's representative; near-duplicates have 1, 2, ..."),
    Column(
        "person", STRING, "sample_id of the person's first input, by the likeness; null where a stage rejected the row"
    ),
    Column("flag_label_outlier", BOOL, "a label lies so far out that training does not draw it"),
    Column(
        SAMPLING_WEIGHT,
        FLOAT,
        "how often training may draw the row beside others to even out yaw, pitch, mouth and skin tone; 1 on average "
        "over the training split, null elsewhere",
    ),
    Column("shard", UINT16, "number of the shard of its split that holds the sample; null unless selected"),
    Column("shard_row", UINT16, "row of the sample in its shard; null unless selected"),
    Column("models", DICT, "JSON: per stage that the row reached, its models: name, sha256, licence class"),
)
_PARTS_AT_A_TIME = 64


@dataclass(frozen=True)
class Manifest(Aggregate):
    """Writes `manifest.parquet`.

    `flag_label_outlier` follows `dataprep.tables.outliers`: training leaves the row out of a group of labels, measured
    among the rows of the training split.
    """

    name: ClassVar[str] = "manifest"
    version: ClassVar[int] = 4
    requires: ClassVar[tuple[str, ...]] = EVERY_STAGE
    columns: ClassVar[tuple[Column, ...]] = OWN_COLUMNS
    outputs: ClassVar[tuple[str, ...]] = ("manifest.parquet",)
    obeys_marks: ClassVar[bool] = True

    near_duplicate_bits: int = number(
        10, 0, 256, "portraits whose hashes differ in at most so many of 256 bits are one cluster"
    )
    keep_near_duplicates: bool = setting(False, "keep all members of a cluster, not its representative alone")
    same_person_cosine: float = number(
        0.86, 0, 1, "people are one when the likenesses of their photographs agree by so much on average; cosine"
    )
    min_likeness_self: float = number(
        0.9, -1, 1, "a face that agrees less with its mirror image is a person of its own (`likeness_self`); cosine"
    )
    split_by_person: bool = setting(True, "keep all photographs of a person in one split, not near-duplicates alone")
    val_fraction: float = number(0.05, 0, 1, "part of the people that is the validation split")
    weight_limit: float = number(
        10.0, 1, 1000, "largest over smallest `sampling_weight`; 1: all rows are drawn equally often"
    )
    shard_rows: int = number(1024, 1, 65_535, "samples in a shard")

    def build(self, view: DatasetView, root: Location) -> dict[str, int]:
        ids = view.table("ingest", ["sample_id"])["sample_id"].to_numpy(zero_copy_only=False)
        order = np.argsort(ids)
        (hashes,) = columns_of(view, "quality", ["portrait_dhash"], order)
        names = ids[order].tolist()
        verdict = verdict_of_stages(view, order, ~hashes.is_null().to_numpy())
        if view.decisions:
            verdict.obey_acceptances(names, view.decisions, lost_to_judges_alone(view, order))
        packed = np.frombuffer(b"".join(hashes.drop_null().to_pylist()), np.uint8).reshape(-1, HASH_BYTES)
        cluster = near_duplicates(packed, verdict.judged, self.near_duplicate_bits)
        rank = ranks(cluster, verdict.accepted, order)
        person = self._people(view, verdict.accepted, order)
        if not self.keep_near_duplicates:
            same = verdict.accepted & (rank > 0) & ~verdict.wanted
            verdict.reject(same, self.name, "near_duplicate", "almost the same picture as another")
        together = either(cluster, person) if self.split_by_person else cluster
        verdict.obey_rejections(names, view.decisions, self.name)  # last: what stays, stays where it was
        splits = self._splits(names, verdict.accepted, together, order)
        outlier = label_outliers(_columns_by_name(view, [one.name for one in drawn()], order), splits)
        groups = Groups(cluster, rank, first_rows(person, order))
        rows = self._rows(names, verdict, splits, outlier, groups, _models(view))
        self._weigh(rows, _columns_by_name(view, [axis.column for axis in AXES], order))
        own = table_from_rows(self.columns, rows)
        fingerprints = {name: view.refs[name].fingerprint for name in view.stages}
        metadata = {
            "schema_version": str(SCHEMA_VERSION),
            "code_version": __version__,
            "stages": json.dumps(fingerprints),
        }
        if view.decisions:
            metadata["review"] = digest(view.decisions)
        write_tables(root / "manifest.parquet", _joined(own, view, tuple(view.stages), order), metadata)
        return {"rows": len(rows), "selected": int(verdict.accepted.sum())}

    def _people(
        self, view: DatasetView, accepted: Bool[np.ndarray, "n"], order: Int[np.ndarray, "n"]
    ) -> Int[np.ndarray, "n"]:
        likeness, likeness_self = columns_of(view, "likeness", ["likeness", "likeness_self"], order)
        certainty = likeness_self.cast(pa.float64()).fill_null(np.nan).to_numpy()
        return people(_matrix(likeness), certainty, accepted, self.same_person_cosine, self.min_likeness_self)

    def _splits(
        self,
        ids: Sequence[str],
        accepted: Bool[np.ndarray, "n"],
        group: Int[np.ndarray, "n"],
        order: Int[np.ndarray, "n"],
    ) -> list[str | None]:
        """train or val of every accepted row, None elsewhere: a group goes where the hash of its first input says."""
        first = first_rows(group, order)
        splits: list[str | None] = [None] * len(ids)
        for i in np.flatnonzero(accepted):
            splits[i] = "val" if is_validation(ids[first[i]], self.val_fraction) else "train"
        return splits

    def _rows(
        self,
        ids: list[str],
        verdict: RowVerdicts,
        splits: Sequence[str | None],
        outlier: Bool[np.ndarray, "n"],
        groups: Groups,
        models: Mapping[str | None, str],
    ) -> list[dict[str, Any]]:
        placed = {"train": 0, "val": 0}
        rows = []
        for i, sample_id in enumerate(ids):
            row: dict[str, Any] = {
                "sample_id": sample_id,
                "status": verdict.status[i],
                "stage": verdict.stage[i],
                "reason": verdict.reason[i],
                "message": verdict.message[i],
                "selected": bool(verdict.accepted[i]),
                "flag_label_outlier": bool(outlier[i]),
                "models": models[verdict.stage[i] if verdict.stage[i] in models else None],
            }
            if verdict.judged[i]:
                row |= {"dup_cluster": int(groups.cluster[i]), "dup_rank": int(groups.rank[i])}
            if groups.first_of_person[i] >= 0:
                row["person"] = ids[groups.first_of_person[i]]
            if (split := splits[i]) is not None:
                shard, shard_row = divmod(placed[split], self.shard_rows)
                placed[split] += 1
                row |= {"split": split, "shard": shard, "shard_row": shard_row}
            rows.append(row)
        return rows

    def _weigh(self, rows: list[dict[str, Any]], columns: Mapping[str, np.ndarray]) -> None:
        """Give the rows of the training split their weights."""
        train = np.array([i for i, row in enumerate(rows) if row.get("split") == "train"], int)
        known = {name: values[train] for name, values in columns.items()}
        for i, weight in zip(train, sampling_weights(known, len(train), self.weight_limit), strict=True):
            rows[i][SAMPLING_WEIGHT] = float(weight)


@dataclass(frozen=True)
class Groups:
    """Where every row that reached quality belongs: near-duplicates, rank among them, first row of the person."""

    cluster: Int[np.ndarray, "n"]
    rank: Int[np.ndarray, "n"]
    first_of_person: Int[np.ndarray, "n"]


def _columns_by_name(
    view: DatasetView, names: Sequence[str], order: Int[np.ndarray, "n"]
) -> dict[str, Float[np.ndarray, "n *k"]]:
    """Those of the columns that the data set has, (n,) or (n, k), NaN where a row has none."""
    owner = {column.name: name for name, stage in view.stages.items() for column in stage.columns}
    return {name: _matrix(*columns_of(view, owner[name], [name], order)) for name in names if name in owner}


def _joined(own: pa.Table, view: DatasetView, stages: Sequence[str], order: Int[np.ndarray, "n"]) -> Iterator[pa.Table]:
    """The manifest in pieces of `ROW_GROUP`: its own columns, then every released column of each stage."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    for first, released in in_places(_released(view, stages, place), len(order), ROW_GROUP):
        mine = own.slice(first, len(released))
        if not mine["sample_id"].combine_chunks().equals(released["sample_id"].combine_chunks()):
            raise ValueError("stages disagree on the order of rows: their parts were made from different indexes")
        released = released.drop_columns(["sample_id"])
        schema = pa.schema([*mine.schema, *released.schema])
        yield pa.Table.from_arrays([*mine.columns, *released.columns], schema=schema)


def _released(
    view: DatasetView, stages: Sequence[str], place: Int[np.ndarray, "n"]
) -> Iterator[tuple[pa.Table, Int[np.ndarray, "k"]]]:
    """Ids and released columns of some parts at a time, with the places of their rows in the manifest."""
    skip = {column.name for column in (*ROW_COLUMNS, *OWN_COLUMNS)}
    hidden = {name: _hidden(view.stages[name]) for name in stages}
    done = 0
    for start in range(0, len(view.parts), _PARTS_AT_A_TIME):
        some = replace(view, parts=view.parts[start : start + _PARTS_AT_A_TIME])
        ids, fields, columns = None, [], []
        for name in stages:
            table = some.table(name)
            if ids is not None and not table["sample_id"].equals(ids):
                raise ValueError("stages disagree on the order of rows: their parts were made from different indexes")
            ids = table["sample_id"]
            kept = [field for field in table.schema if field.name not in skip | hidden[name]]
            fields += kept
            columns += [table[field.name] for field in kept]
        schema = pa.schema([pa.field("sample_id", pa.string()), *fields])
        batch = pa.Table.from_arrays([ids, *columns], schema=schema)
        yield batch, place[done : done + len(batch)]
        done += len(batch)


def _hidden(stage: Stage) -> set[str]:
    """Columns that stay in the part files."""
    positions = {column.name for blob in stage.blobs for column in blob_position_columns(blob)}
    return positions | {column.name for column in stage.columns if not stage.releases(column)}


def _models(view: DatasetView) -> dict[str | None, str]:
    """The models behind a row, by the stage it ended in; None: it went through all."""
    found: dict[str | None, str] = {}
    models: dict[str, list[dict[str, str]]] = {}
    for name, stage in view.stages.items():
        if stage.weights():
            models[name] = [{"name": w.name, "sha256": w.sha256, "licence": w.licence} for w in stage.weights()]
        found[name] = found[None] = json.dumps(models, sort_keys=True)
    return found


def _matrix(column: pa.ChunkedArray) -> Float[np.ndarray, "n *k"]:
    """A column of numbers or of lists of them as float64, NaN where null."""
    if not pa.types.is_list(column.type):
        return column.cast(pa.float64()).to_numpy()
    known = column.is_valid().to_numpy()
    values = pc.list_flatten(column).to_numpy().astype(np.float64)
    width = len(values) // max(1, int(known.sum()))
    matrix = np.full((len(column), width), np.nan)
    matrix[known] = values.reshape(int(known.sum()), width)
    return matrix
