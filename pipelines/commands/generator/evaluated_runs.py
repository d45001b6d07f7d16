"""`shhq-hs compare-runs`: evaluated runs side by side."""

from __future__ import annotations

from pathlib import Path

from gan.evaluation.compare_runs import comparison
from pipelines.text_table import table


def compare_runs(runs: list[Path]) -> int:
    """Print runs side by side; returns 0."""
    head, *rows = comparison(runs)
    print(table(head, rows))
    return 0
