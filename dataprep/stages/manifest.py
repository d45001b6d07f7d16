"""manifest: the release table, one row for every input, accepted or not, sorted by id.

Here the data set is seen as a whole for the first time: near-duplicates, label outliers, the split and the place of
each accepted sample in the shards are decided.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int

from dataprep import __version__
from dataprep.duplicates import HASH_BYTES, clusters
from dataprep.files.locations import Location
from dataprep.settings import number, setting
from dataprep.stages.aggregate import Aggregate, DatasetView
from dataprep.stages.base import EVERY_STAGE, Stage
from dataprep.tables.columns import BOOL, FLOAT, STRING, UINT16, UINT32, Column, table_from_rows
from dataprep.tables.labels import drawn
from dataprep.tables.outliers import label_outliers
from dataprep.tables.parts import blob_position_columns
from dataprep.tables.regroup import in_places
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
    Column("split", DICT, "train or val, from a hash of the cluster's first input; null unless selected"),
    Column("dup_cluster", UINT32, "near-duplicate cluster, numbered by first sample_id; null before quality"),
    Column("dup_rank", UINT16, "0: the cluster's representative; near-duplicates have 1, 2, ..."),
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
    version: ClassVar[int] = 3
    requires: ClassVar[tuple[str, ...]] = EVERY_STAGE
    columns: ClassVar[tuple[Column, ...]] = OWN_COLUMNS
    outputs: ClassVar[tuple[str, ...]] = ("manifest.parquet",)

    near_duplicate_bits: int = number(
        10, 0, 256, "portraits whose hashes differ in at most so many of 256 bits are one cluster"
    )
    keep_near_duplicates: bool = setting(False, "keep all members of a cluster, not its representative alone")
    val_fraction: float = number(0.05, 0, 1, "part of the clusters that is the validation split")
    weight_limit: float = number(
        10.0, 1, 1000, "largest over smallest `sampling_weight`; 1: all rows are drawn equally often"
    )
    shard_rows: int = number(1024, 1, 65_535, "samples in a shard")

    def build(self, view: DatasetView, root: Location) -> dict[str, int]:
        ids = view.table("ingest", ["sample_id"])["sample_id"].to_numpy(zero_copy_only=False)
        order = np.argsort(ids)
        (hashes,) = _columns(view, "quality", ["portrait_dhash"], order)
        verdict = _verdict(view, tuple(view.stages), order, ~hashes.is_null().to_numpy())
        cluster, rank = self._clusters(hashes, verdict.judged, verdict.accepted, order)
        if not self.keep_near_duplicates:
            verdict.reject(
                verdict.accepted & (rank > 0), self.name, "near_duplicate", "almost the same picture as another"
            )
        splits = self._splits(ids[order].tolist(), verdict.accepted, cluster, order)
        outlier = label_outliers(_columns_by_name(view, [one.name for one in drawn()], order), splits)
        rows = self._rows(ids[order].tolist(), verdict, splits, outlier, cluster, rank, _models(view))
        self._weigh(rows, _columns_by_name(view, [axis.column for axis in AXES], order))
        own = table_from_rows(self.columns, rows)
        fingerprints = {name: view.refs[name].fingerprint for name in view.stages}
        metadata = {
            "schema_version": str(SCHEMA_VERSION),
            "code_version": __version__,
            "stages": json.dumps(fingerprints),
        }
        write_tables(root / "manifest.parquet", _joined(own, view, tuple(view.stages), order), metadata)
        return {"rows": len(rows), "selected": int(verdict.accepted.sum())}

    def _clusters(
        self,
        hashes: pa.ChunkedArray,
        judged: Bool[np.ndarray, "n"],
        accepted: Bool[np.ndarray, "n"],
        order: Int[np.ndarray, "n"],
    ) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "n"]]:
        """Cluster and rank of every row that reached quality, -1 elsewhere.

        Accepted members rank first, then earlier inputs (`order` is a row's place in the index), so that images which
        are added later do not take the place of published ones.
        """
        cluster = np.full(len(judged), -1)
        rank = np.full(len(judged), -1)
        found = hashes.filter(pa.array(judged)).to_pylist()
        packed = np.frombuffer(b"".join(found), np.uint8).reshape(-1, HASH_BYTES)
        cluster[judged] = clusters(packed, self.near_duplicate_bits)
        members = np.flatnonzero(judged)
        members = members[np.lexsort((order[members], ~accepted[members], cluster[members]))]
        first = np.flatnonzero(np.diff(cluster[members], prepend=-1))
        for group in np.split(members, first[1:]):
            rank[group] = np.arange(len(group))
        return cluster, rank

    def _splits(
        self,
        ids: list[str],
        accepted: Bool[np.ndarray, "n"],
        cluster: Int[np.ndarray, "n"],
        order: Int[np.ndarray, "n"],
    ) -> list[str | None]:
        """train or val of every accepted row, None elsewhere: a cluster goes where the hash of its first input says."""
        first_of_cluster = {cluster[i]: ids[i] for i in np.argsort(-order) if cluster[i] >= 0}
        splits: list[str | None] = [None] * len(ids)
        for i in np.flatnonzero(accepted):
            splits[i] = "val" if _unit_interval(first_of_cluster[cluster[i]]) < self.val_fraction else "train"
        return splits

    def _rows(
        self,
        ids: list[str],
        verdict: _Verdict,
        splits: Sequence[str | None],
        outlier: Bool[np.ndarray, "n"],
        cluster: Int[np.ndarray, "n"],
        rank: Int[np.ndarray, "n"],
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
            if cluster[i] >= 0:
                row |= {"dup_cluster": int(cluster[i]), "dup_rank": int(rank[i])}
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


@dataclass
class _Verdict:
    """How each row ended; the first stage that did not accept it speaks."""

    status: list[str]
    stage: list[str | None]
    reason: list[str | None]
    message: list[str | None]
    accepted: Bool[np.ndarray, "n"]
    judged: Bool[np.ndarray, "n"]  # reached quality with a portrait

    def reject(self, rows: Bool[np.ndarray, "n"], stage: str, reason: str, message: str) -> None:
        for i in np.flatnonzero(rows):
            self.status[i], self.stage[i], self.reason[i], self.message[i] = "rejected", stage, reason, message
        self.accepted = self.accepted & ~rows


def _verdict(
    view: DatasetView, stages: Sequence[str], order: Int[np.ndarray, "n"], judged: Bool[np.ndarray, "n"]
) -> _Verdict:
    n = len(order)
    verdict = _Verdict(["ok"] * n, [None] * n, [None] * n, [None] * n, np.ones(n, bool), judged)
    for name in stages:
        status, *words = _columns(view, name, ["status", "reason", "message"], order)
        lost = ~pc.is_in(status, pa.array(["ok", "upstream"])).to_numpy() & verdict.accepted
        for i in np.flatnonzero(lost):
            verdict.status[i], verdict.stage[i] = status[i].as_py(), name
            verdict.reason[i], verdict.message[i] = (column[i].as_py() for column in words)
        verdict.accepted = verdict.accepted & ~lost
    return verdict


def _columns_by_name(
    view: DatasetView, names: Sequence[str], order: Int[np.ndarray, "n"]
) -> dict[str, Float[np.ndarray, "n *k"]]:
    """Those of the columns that the data set has, (n,) or (n, k), NaN where a row has none."""
    owner = {column.name: name for name, stage in view.stages.items() for column in stage.columns}
    return {name: _matrix(*_columns(view, owner[name], [name], order)) for name in names if name in owner}


def _columns(view: DatasetView, stage: str, names: Sequence[str], order: Int[np.ndarray, "n"]) -> list[pa.ChunkedArray]:
    """Columns of a stage in the manifest's order."""
    table = view.table(stage, names)
    return [table[name].take(pa.array(order)) for name in names]


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


def _unit_interval(sample_id: str) -> float:
    """A number in [0, 1) that depends on the id alone."""
    return int(hashlib.sha256(f"split:{sample_id}".encode()).hexdigest()[:8], 16) / 2**32
