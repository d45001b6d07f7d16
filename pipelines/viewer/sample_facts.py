"""All that is known of one sample, as the page shows it."""

from __future__ import annotations

from typing import Any

from pipelines.viewer.sample_images import KINDS
from pipelines.viewer.viewed_dataset import ViewedDataset


def sample_facts(dataset: ViewedDataset, row: int) -> dict[str, Any]:
    """Facts by the stage that found them, pictures, company (cluster and person), marks."""
    key = dataset.key_row(row)
    there = set(dataset.images.kinds_of(key))
    facts: dict[str, list[list[Any]]] = {}
    for column in dataset.columns.columns.values():
        if column.kind != "list" and (value := dataset.value_at(column.name, row)) is not None:
            facts.setdefault(column.group, []).append([column.name, value, column.unit, column.meaning])
    return {
        **dataset.short_rows([row])[0],
        "message": dataset.word_at("message", row),
        "facts": facts,
        "pictures": [{"key": kind.key, "title": kind.title} for kind in KINDS if kind.key in there],
    }
