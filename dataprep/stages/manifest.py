"""manifest: the release table, one row for every input, accepted or not, sorted by id.

Here the data set is seen as a whole for the first time: near-duplicates, people, label outliers, the split and the
place of each accepted sample in the shards are decided.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from dataprep import __version__
from dataprep.files.locations import Location
from dataprep.settings import number, setting
from dataprep.stages.aggregate import Aggregate, DatasetView, Workers
from dataprep.stages.base import EVERY_STAGE
from dataprep.stages.manifest_decisions import Rules, decide
from dataprep.stages.manifest_gathering import RANGE_ROWS, ROWS_AT_A_TIME, Scratch, gather, known_labels
from dataprep.stages.manifest_links import LinkRules
from dataprep.stages.manifest_release import Release, release
from dataprep.tables.columns import BOOL, FLOAT, STRING, UINT16, UINT32, Column
from dataprep.tables.manifest_files import MANIFEST, PIECES, is_divided, pieces_of
from dataprep.tables.ranges import clear
from dataprep.tables.review import digest
from dataprep.tables.sampling_weights import SAMPLING_WEIGHT
from dataprep.tables.store import SCHEMA_VERSION

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
        "train or val, from a hash of the first input of the person, their near-duplicates and their videos; null "
        "unless selected",
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


@dataclass(frozen=True)
class Manifest(Aggregate):
    """Writes `manifest.parquet`: a file, or a folder of files where there are many rows.

    Three steps, each of tasks whose memory does not grow with the data set, or by a few hundred bytes a row: read every
    part once (`manifest_gathering`), decide over all rows (`manifest_decisions`), write (`manifest_release`).

    `flag_label_outlier` follows `dataprep.tables.outliers`: training leaves the row out of a group of labels, measured
    among the rows of the training split.
    """

    name: ClassVar[str] = "manifest"
    version: ClassVar[int] = 6
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
    split_by_clip: bool = setting(True, "keep all frames of a video in one split")
    val_fraction: float = number(0.05, 0, 1, "part of the people that is the validation split")
    weight_limit: float = number(
        10.0, 1, 1000, "largest over smallest `sampling_weight`; 1: all rows are drawn equally often"
    )
    shard_rows: int = number(1024, 1, 65_535, "samples in a shard")
    one_file_rows: int = number(
        1 << 18, 1, 1 << 31, "a data set of more inputs has a folder `manifest.parquet` of several files"
    )

    def outputs_of(self, root: Location) -> tuple[str, ...]:
        return (f"{MANIFEST}/{PIECES}",) if is_divided(root / MANIFEST) else self.outputs

    def more_files(self, root: Location) -> dict[str, tuple[int, str]]:
        return {f"{MANIFEST}/{one.name}": (one.bytes, one.sha256) for one in pieces_of(root / MANIFEST)}

    def build_by(self, workers: Workers, view: DatasetView, root: Location) -> dict[str, int]:
        folder = root / "stages" / self.name / "scratch"
        clear(folder)
        part_rows = max(1, _most_rows(view))
        at_a_time = max(1, ROWS_AT_A_TIME // part_rows)
        bundles = -(-len(view.parts) // at_a_time)
        scratch = Scratch(folder, bundles, ranges=-(-len(view.parts) * part_rows // RANGE_ROWS) or 1)
        found = gather(workers, view, scratch, at_a_time, self.columns)
        labels = known_labels(view)
        counts = decide(workers, scratch, self._rules(view), found, labels)
        fingerprints = {name: view.refs[name].fingerprint for name in view.stages}
        metadata = {
            "schema_version": str(SCHEMA_VERSION),
            "code_version": __version__,
            "stages": json.dumps(fingerprints),
        }
        if view.decisions:
            metadata["review"] = digest(view.decisions)
        task = Release(scratch, root / MANIFEST, self.columns, metadata, tuple(one.name for one in labels))
        release(workers, task, divided=counts["rows"] > self.one_file_rows)
        clear(folder)
        return counts

    def _rules(self, view: DatasetView) -> Rules:
        models = _models(view)
        return Rules(
            LinkRules(self.near_duplicate_bits, self.same_person_cosine, self.min_likeness_self),
            self.keep_near_duplicates,
            self.split_by_person,
            self.split_by_clip,
            self.val_fraction,
            self.weight_limit,
            self.shard_rows,
            self.columns,
            (*view.stages, self.name),
            (*(models[name] for name in view.stages), models[None]),
        )


def _most_rows(view: DatasetView) -> int:
    """Rows in a part, as some parts tell."""
    some = view.parts[:: max(1, len(view.parts) // 2)]
    ref = view.refs["ingest"]
    return max((view.store.table(ref, part, ["sample_id"]).num_rows for part in some), default=0)


def _models(view: DatasetView) -> dict[str | None, str]:
    """The models behind a row, by the stage it ended in; None: it went through all."""
    found: dict[str | None, str] = {}
    models: dict[str, list[dict[str, str]]] = {}
    for name, stage in view.stages.items():
        if stage.weights():
            models[name] = [{"name": w.name, "sha256": w.sha256, "licence": w.licence} for w in stage.weights()]
        found[name] = found[None] = json.dumps(models, sort_keys=True)
    return found
