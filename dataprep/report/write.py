"""Everything below `report/`, from the data set as it stands: the work of the report stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from dataprep.errors import AssetError, ConfigError
from dataprep.files.locations import Location, location
from dataprep.models.body.body_files import open_body
from dataprep.models.face.face_files import open_face
from dataprep.pictures.codecs import encode_png
from dataprep.report.census import Census
from dataprep.report.evenness import apparent_looks
from dataprep.report.numbers import PageLimits, as_json, count
from dataprep.report.outlines import Outliner
from dataprep.report.page import gallery_ids, make_sheets, render, render_timing, shown_ids
from dataprep.report.page_pictures import PagePictures
from dataprep.report.sheets import portrait_sheet, rejected_sheet
from dataprep.report.shelf import SAMPLE_COLUMNS, Shelf
from dataprep.report.timing import timings
from dataprep.stages.aggregate import DatasetView
from dataprep.tables.manifest_files import has_manifest
from dataprep.tables.store import atomic_file, write_json

_CELL_PX, _SHEET = 160, 96  # of the contact sheets
_PHOTO_PX = 400


@dataclasses.dataclass(frozen=True)
class ReportChoices:
    """What the user chooses of the report.

    near_duplicate_bits: hashes at most this far apart are near-duplicates; earlier: folder of another version of the
    data set to compare with, or "".
    """

    limits: PageLimits
    near_duplicate_bits: int
    earlier: str


def write_report(choices: ReportChoices, view: DatasetView, root: Location) -> dict[str, int]:
    """Write everything below `root`/report; returns counts for the log. Raises ConfigError."""
    with _small_arrow_pool():
        return _write_all(choices, view, root)


def _write_all(choices: ReportChoices, view: DatasetView, root: Location) -> dict[str, int]:
    census = Census(root)
    earlier, looks = _earlier(choices.earlier), apparent_looks(census, view)
    numbers = count(census, view.stages, choices.limits, choices.near_duplicate_bits, earlier, looks)
    times = timings(root, list(view.stages))
    shelf = Shelf(PagePictures(view, root), census.samples(shown_ids(census, numbers), SAMPLE_COLUMNS), _outliner(view))
    content = as_json(numbers)
    sheets = make_sheets(shelf, census, numbers)

    folder = root / "report"
    accepted, rejected = gallery_ids(census, numbers)
    rows, pictures = shelf.rows, shelf.pictures
    portraits = (pictures.emitted("matte", "portrait.png", rows[i], _CELL_PX) for i in accepted[:_SHEET])
    photographs = [(pictures.photograph(rows[i], _PHOTO_PX), rows[i]) for i in rejected[:_SHEET]]
    _write(folder / "accepted.png", [encode_png(portrait_sheet([picture.rgb for picture in portraits if picture]))])
    _write(folder / "rejected.png", [encode_png(rejected_sheet(photographs))])
    write_json(folder / "report.json", content)
    write_json(folder / "timing.json", [dataclasses.asdict(time) for time in times])
    _write(folder / "timing.html", [render_timing(times).encode()])
    page = render(numbers, content, sheets, shelf)
    _write(folder / "index.html", (piece.encode("utf-8", "replace") for piece in page))
    return {"rows": numbers.inputs}


def _earlier(named: str) -> Location | None:
    if not named:
        return None
    path = location(named)
    if not has_manifest(path) and not path.is_file():
        raise ConfigError(f"report.earlier {named!r}: no manifest.parquet there; give a data set's folder")
    return path


def _outliner(view: DatasetView) -> Outliner:
    """The models behind the labels; without their files the page has no outlines."""
    models: list[object] = []
    for stage, opened in (("face", open_face), ("body", open_body)):
        try:
            models.append(opened(getattr(view.stages[stage], "model", "")))
        except (AssetError, KeyError):
            models.append(None)
    return Outliner(*models)  # type: ignore[arg-type]


@contextmanager
def _small_arrow_pool() -> Iterator[None]:
    """Arrow's own allocator keeps what was freed; reading columns one after the other, that adds up."""
    usual = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(usual)


def _write(path: Location, pieces: Iterable[bytes]) -> None:
    with atomic_file(path) as file:
        for piece in pieces:
            file.write(piece)
