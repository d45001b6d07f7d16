"""`shhq-hs select`: the rows of a data set that match an expression."""

from __future__ import annotations

from pathlib import Path

from dataprep.report.census import Census
from dataprep.report.selection import matching
from dataprep.tables.store import write_table


def select(out: Path, expression: str, output: Path) -> int:
    """Write the manifest rows that match; returns 1 when there is none."""
    census = Census(out)
    chosen = matching(census, expression)
    table = census.rows_where(chosen)
    if not len(table):
        print(f"no row of {len(census)} matches {expression!r}; {output} was not written")
        return 1
    write_table(output, table)
    selected = int((chosen & census.selected).sum())
    print(f"{output}: {len(table)} of {len(census)} rows, {selected} of them selected for training")
    print(f"shards of them: shhq-hs shards build {out} --subset {output} --out DIR")
    return 0
