"""All that is known of one sample, as the page shows it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow.compute as pc

from dataprep.report.marks import photograph_marks, portrait_marks
from dataprep.report.outlines import Outliner
from dataprep.report.shelf import SAMPLE_COLUMNS
from pipelines.viewer.sample_images import KINDS
from pipelines.viewer.viewed_dataset import ViewedDataset

_NO_MODELS = Outliner(None, None)  # outlines would hold 100 MB of models in memory; the report has them


def sample_facts(dataset: ViewedDataset, row: int) -> dict[str, Any]:
    """Facts by the stage that found them, pictures, what is drawn on them, near-duplicates and person, marks."""
    there = set(dataset.images.kinds_of(dataset.key_row(row)))
    said = dataset.short_rows([row])[0]
    return {
        **said,
        **_company(dataset, row),
        "message": dataset.word_at("message", row),
        "facts": _facts(dataset, row),
        "pictures": [{"key": kind.key, "title": kind.title} for kind in KINDS if kind.key in there],
        "marks": _drawings(dataset, row),
        "history": dataset.marks.history_of(said["id"]),
    }


def _facts(dataset: ViewedDataset, row: int) -> dict[str, list[list[Any]]]:
    """Name, value, unit and meaning of every scalar that is known, by stage."""
    facts: dict[str, list[list[Any]]] = {}
    for column in dataset.columns.columns.values():
        if column.kind != "list" and (value := dataset.value_at(column.name, row)) is not None:
            facts.setdefault(column.group, []).append([column.name, value, column.unit, column.meaning])
    return facts


def _drawings(dataset: ViewedDataset, row: int) -> dict[str, Any]:
    """Labels over photograph and portrait as paths, by layer."""
    labels = dataset.census.sample_at(row, SAMPLE_COLUMNS)
    return {"photograph": asdict(photograph_marks(labels)), "portrait": asdict(portrait_marks(labels, _NO_MODELS))}


def _company(dataset: ViewedDataset, row: int) -> dict[str, Any]:
    """The near-duplicate cluster and the person, and how many rows are of either."""
    found: dict[str, Any] = {"cluster": None, "alike": 0, "person": None, "person_count": 0}
    if "dup_cluster" in dataset.columns.columns and (cluster := dataset.value_at("dup_cluster", row)) is not None:
        clusters = dataset.columns.numbers("dup_cluster")
        found |= {"cluster": cluster, "alike": int(np.count_nonzero(clusters == cluster))}
    if "person" in dataset.columns.columns and (person := dataset.word_at("person", row)):
        same = pc.sum(pc.equal(dataset.columns.texts("person"), person)).as_py()
        found |= {"person": person, "person_count": int(same)}
    return found
