"""A table for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dataprep.files.filenames import printable


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Plain aligned columns, fit for a terminal whatever they hold; numbers to the right."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    numeric = [all(row[i].replace(".", "").replace("%", "").isdigit() for row in cells) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        pairs = zip(row, widths, numeric, strict=True)
        return "  " + "  ".join(c.rjust(w) if right else c.ljust(w) for c, w, right in pairs).rstrip()

    return "\n".join([line(header), *map(line, cells)])
