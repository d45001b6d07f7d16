"""report: the page people look at, and every number of it as JSON. (spec 3, section 1)

No time, host or path of the machine is in it: the same photographs give the same bytes on any number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dataprep.report.numbers import Census, Limits, as_json, count
from dataprep.report.page import render
from dataprep.stages.aggregate import Aggregate, DatasetView
from dataprep.store import atomic_file, write_json


@dataclass(frozen=True)
class Report(Aggregate):
    """Writes `report/index.html` and `report/report.json`.

    max_accepted, max_rejected, max_per_reason, max_ranked: pictures on the page, which bound its size.
    """

    name: ClassVar[str] = "report"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("manifest", "matte")
    outputs: ClassVar[tuple[str, ...]] = ("report/index.html", "report/report.json")

    max_accepted: int = 96
    max_rejected: int = 96
    max_per_reason: int = 6
    max_ranked: int = 6

    def build(self, view: DatasetView, root: Path) -> dict[str, int]:
        limits = Limits(self.max_accepted, self.max_rejected, self.max_per_reason, self.max_ranked)
        numbers = count(Census(root), view.stages, limits)
        page = render(numbers).encode()
        write_json(root / "report" / "report.json", as_json(numbers))
        with atomic_file(root / "report" / "index.html") as file:
            file.write(page)
        return {"rows": numbers.inputs, "bytes": len(page)}
