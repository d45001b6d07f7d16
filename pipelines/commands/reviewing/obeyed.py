"""A manifest as reviewers' marks want it, where they are newer than the run that wrote it: rejections at once.

An acceptance waits for the next run, which alone knows in which split and shard an image belongs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from dataprep.report.census import Census
from dataprep.stages.manifest import Manifest
from dataprep.stages.verdicts import MESSAGE
from dataprep.tables.review import REJECT, Decision, Mark, reason_of
from dataprep.tables.sampling_weights import SAMPLING_WEIGHT

_NULL = ("split", "shard", "shard_row", SAMPLING_WEIGHT)  # of a row that is not selected
_TOLD = ("status", "stage", "reason", "message", "selected", "split")
REVIEW_COLUMNS = ("review", "review_reason", "review_note", "review_who")


def obeyed(manifest: pa.Table, decided: Mapping[str, Decision]) -> pa.Table:
    """Rows of a manifest, those that a reviewer rejects as the next run will have them."""
    changed = _changed(manifest, decided)
    if not changed:
        return manifest
    values: dict[str, dict[int, Any]] = {name: dict.fromkeys(changed) for name in _NULL}
    values |= {"status": dict.fromkeys(changed, "rejected"), "stage": dict.fromkeys(changed, Manifest.name)}
    values |= {"message": dict.fromkeys(changed, MESSAGE), "selected": dict.fromkeys(changed, False), "reason": changed}
    for name in (name for name in values if name in manifest.column_names):
        column = manifest[name].to_pylist()
        for place, value in values[name].items():
            column[place] = value
        at, field = manifest.schema.get_field_index(name), manifest.schema.field(name)
        manifest = manifest.set_column(at, field, pa.array(column, field.type))
    return manifest


def _changed(manifest: pa.Table, decided: Mapping[str, Decision]) -> dict[int, str]:
    """Places of the rows that a reviewer rejects and no error ended, with their reasons."""
    rows = enumerate(zip(manifest["sample_id"].to_pylist(), manifest["status"].to_pylist(), strict=True))
    return {
        place: reason_of(decided[name])
        for place, (name, status) in rows
        if status in ("ok", "rejected") and name in decided and decided[name].verdict == REJECT
    }


def told_columns(census: Census, decided: Mapping[str, Decision], marks: Mapping[str, Mark]) -> dict[str, np.ndarray]:
    """Columns for an expression over a census: what marks say of every row, and what they change of its verdict."""
    if not marks:
        empty = np.full(len(census), None, object)
        return dict.fromkeys(REVIEW_COLUMNS, empty)
    found = [marks.get(name) for name in census.ids]
    told = {
        f"review_{name}".removesuffix("_verdict"): np.array([getattr(mark, name, None) for mark in found], object)
        for name in ("verdict", "reason", "note", "who")
    }
    fields = [census.schema.field(name) for name in ("sample_id", *_TOLD) if census.has(name)]
    own = pa.table({field.name: census.column(field.name) for field in fields}, schema=pa.schema(fields))
    table = obeyed(own, decided)
    for name in (name for name in _TOLD if census.has(name)):
        told[name] = np.array(table[name].to_pylist(), bool if name == "selected" else object)
    return told
