"""`shhq-hs select`: the rows of a data set that match an expression."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dataprep.report.census import Census
from dataprep.report.selection import matching
from dataprep.tables.review import current_marks, decisions
from dataprep.tables.sealed import read_table
from dataprep.tables.store import write_table
from pipelines.commands.reviewing.obeyed import obeyed, told_columns


def select(out: Path, expression: str, output: Path) -> int:
    """Write the manifest rows that match; returns 1 when there is none.

    Rows that a reviewer rejected since the last run are as the next run will have them.
    """
    census = Census(out)
    marked = out if out.is_dir() else out.parent
    decided = decisions(marked)
    chosen = matching(census, expression, told_columns(census, decided, current_marks(marked)))
    table = obeyed(read_table(census.path).filter(pa.array(chosen)), decided)
    if not len(table):
        print(f"no row of {len(census)} matches {expression!r}; {output} was not written")
        return 1
    write_table(output, table)
    selected = pc.sum(table["selected"]).as_py()
    print(f"{output}: {len(table)} of {len(census)} rows, {selected} of them selected for training")
    print(f"shards of them: shhq-hs shards build {out} --subset {output} --out DIR")
    return 0
