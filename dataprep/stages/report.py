"""report: the page people look at, its numbers as JSON, and two contact sheets. (spec 3, section 1)

No time, host or path of the machine is in it; what the runs took has files of its own, timing.json and timing.html.
Apart from that the same photographs give the same bytes on any number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dataprep.files.locations import Location
from dataprep.settings import number
from dataprep.stages.aggregate import Aggregate, DatasetView


@dataclass(frozen=True)
class Report(Aggregate):
    """Writes `report/`: index.html, report.json, accepted.png, rejected.png; timing.json and timing.html besides.

    max_accepted, max_rejected, max_per_reason, max_ranked: pictures on the page, which bound its size;
    near_duplicate_bits: hashes at most this far apart are near-duplicates; earlier: folder of another version of the
    data set to compare with.
    """

    name: ClassVar[str] = "report"
    version: ClassVar[int] = 4
    requires: ClassVar[tuple[str, ...]] = ("manifest", "matte")
    outputs: ClassVar[tuple[str, ...]] = (
        "report/index.html", "report/report.json", "report/accepted.png", "report/rejected.png",
    )  # fmt: skip

    max_accepted: int = number(360, 0, 100_000)
    max_rejected: int = number(180, 0, 100_000)
    max_per_reason: int = number(6, 0, 100_000)
    max_ranked: int = number(12, 0, 100_000)
    near_duplicate_bits: int = number(10, 0, 256)
    earlier: str = ""

    def build(self, view: DatasetView, root: Location) -> dict[str, int]:
        from dataprep.report.numbers import PageLimits
        from dataprep.report.write import ReportChoices, write_report

        limits = PageLimits(self.max_accepted, self.max_rejected, self.max_per_reason, self.max_ranked)
        return write_report(ReportChoices(limits, self.near_duplicate_bits, self.earlier), view, root)
