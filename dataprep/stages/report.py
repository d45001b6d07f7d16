"""report: the page people look at, its numbers as JSON, and two contact sheets. (spec 3, section 1)

No time, host or path of the machine is in it: the same photographs give the same bytes on any number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dataprep.images import encode_png
from dataprep.report.numbers import Census, Limits, as_json, count
from dataprep.report.page import CARD_COLUMNS, Gallery, make_sheets, render, sheet_ids, shown_ids
from dataprep.report.pictures import Pictures
from dataprep.report.sheets import portrait_sheet, rejected_sheet
from dataprep.stages.aggregate import Aggregate, DatasetView
from dataprep.store import atomic_file, write_json


@dataclass(frozen=True)
class Report(Aggregate):
    """Writes `report/`: index.html, report.json, accepted.png, rejected.png.

    max_accepted, max_rejected, max_per_reason, max_ranked: pictures on the page, which bound its size.
    """

    name: ClassVar[str] = "report"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("manifest", "matte")
    outputs: ClassVar[tuple[str, ...]] = (
        "report/index.html", "report/report.json", "report/accepted.png", "report/rejected.png",
    )  # fmt: skip

    max_accepted: int = 96
    max_rejected: int = 96
    max_per_reason: int = 6
    max_ranked: int = 6

    def build(self, view: DatasetView, root: Path) -> dict[str, int]:
        limits = Limits(self.max_accepted, self.max_rejected, self.max_per_reason, self.max_ranked)
        census = Census(root)
        numbers = count(census, view.stages, limits)
        gallery = Gallery(Pictures(view, root), census.samples(shown_ids(census, numbers), CARD_COLUMNS))
        page = render(numbers, make_sheets(gallery, census, numbers)).encode("utf-8", "replace")

        accepted, rejected = sheet_ids(census, numbers)
        portraits = [portrait.rgb for i in accepted if (portrait := gallery.portrait(i))]
        photographs = [(gallery.photograph(i), gallery.rows[i]) for i in rejected]

        folder = root / "report"
        _write(folder / "accepted.png", encode_png(portrait_sheet(portraits)))
        _write(folder / "rejected.png", encode_png(rejected_sheet(photographs)))
        write_json(folder / "report.json", as_json(numbers))
        _write(folder / "index.html", page)
        return {"rows": numbers.inputs}


def _write(path: Path, data: bytes) -> None:
    with atomic_file(path) as file:
        file.write(data)
