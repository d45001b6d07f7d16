"""`shhq-hs compare`: two versions of a data set side by side."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataprep.files.filenames import printable
from dataprep.report.census import Census
from dataprep.report.differences import Difference, difference
from dataprep.tables.store import write_json
from pipelines.text_table import table


def compare(old: Path, new: Path, json_path: Path | None) -> int:
    """Print what changed from `old` to `new`; returns 0."""
    found = difference(old, Census(new))
    print(table(("", "before", "after"), _counts(found)))
    print(f"\n{found.added} inputs added, {found.removed} removed, {found.split_changed} changed their split")
    print(f"stages that changed: {printable(', '.join(found.stages_changed)) or 'none'}")
    for name, columns in (("added", found.columns_added), ("removed", found.columns_removed)):
        if columns:
            print(f"columns {name}: {printable(', '.join(columns))}")
    if found.fates:
        print("\nended another way:")
        rows = [(fate.rows, fate.before, "→", fate.after, fate.examples[0][:12]) for fate in found.fates]
        print(table(("rows", "before", "", "after", "for example"), rows))
    moved = [shift for shift in found.shifts if shift.changed]
    if moved:
        print("\nvalues that changed, over the rows both accepted:")
        rows_moved = [
            (shift.column, shift.changed, shift.rows, f"{shift.median_before:.3g}", f"{shift.median_after:.3g}",
             f"{shift.largest_change:.3g}") for shift in moved
        ]  # fmt: skip
        print(table(("column", "changed", "of", "median before", "after", "largest change"), rows_moved))
    elif not found.fates:
        print("every row that both have is the same")
    if json_path:
        write_json(json_path, dataclasses.asdict(found))
    return 0


def _counts(found: Difference) -> list[tuple[str, int, int]]:
    return [
        ("inputs", found.inputs_before, found.inputs_after),
        ("accepted", found.accepted_before, found.accepted_after),
    ]
