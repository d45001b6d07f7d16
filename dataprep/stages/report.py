"""report: the page people look at, its numbers as JSON, and two contact sheets.

No time, host or path of the machine is in it; what the runs took has files of its own, timing.json and timing.html.
Apart from that the same photographs give the same bytes on any number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dataprep.files.locations import Location
from dataprep.settings import number, setting
from dataprep.stages.aggregate import Aggregate, DatasetView


@dataclass(frozen=True)
class Report(Aggregate):
    """Writes `report/`: index.html, report.json, accepted.png, rejected.png; timing.json and timing.html besides."""

    name: ClassVar[str] = "report"
    version: ClassVar[int] = 8
    requires: ClassVar[tuple[str, ...]] = ("manifest", "matte")
    outputs: ClassVar[tuple[str, ...]] = (
        "report/index.html", "report/report.json", "report/accepted.png", "report/rejected.png",
    )  # fmt: skip

    max_accepted: int = number(360, 0, 100_000, "accepted pictures on the page")
    max_rejected: int = number(180, 0, 100_000, "lost pictures on the page")
    max_per_reason: int = number(6, 0, 100_000, "examples of each reason")
    max_ranked: int = number(12, 0, 100_000, "pictures in best and worst")
    near_duplicate_bits: int = number(
        10, 0, 256, "hashes at most so many bits apart count as near-duplicates in the report"
    )
    earlier: str = setting("", "folder of another version of the data set to compare with")

    def build(self, view: DatasetView, root: Location) -> dict[str, int]:
        from dataprep.report.numbers import PageLimits
        from dataprep.report.write import ReportChoices, write_report

        limits = PageLimits(self.max_accepted, self.max_rejected, self.max_per_reason, self.max_ranked)
        return write_report(ReportChoices(limits, self.near_duplicate_bits, self.earlier), view, root)
