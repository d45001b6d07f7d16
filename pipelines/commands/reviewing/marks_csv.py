"""Marks as CSV: what `review export` writes, and what people write by hand for `review mark --csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from dataprep.errors import ConfigError, ShhqError
from dataprep.files.foreign_files import why
from dataprep.files.untrusted import as_cell
from dataprep.tables.review import Mark
from dataprep.tables.sources import Source
from dataprep.tables.store import atomic_file

COLUMNS = ("sample_id", "verdict", "reason", "note", "who", "when", "source_path", "source_sha256")
_IMAGE = ("sample_id", "id", "source_path", "path")  # a hand-written file names its images by one of these


class Fallback(NamedTuple):
    """What a row is that does not say it."""

    verdict: str
    reason: str
    note: str
    who: str


def write(path: Path, marks: Sequence[Mark], sources: Mapping[str, Source]) -> None:
    """Write marks in their order. Texts that a spreadsheet would take for a formula begin with an apostrophe."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for mark in marks:
        source = sources.get(mark.sample_id)
        when = mark.when.astimezone(UTC).isoformat().replace("+00:00", "Z") if mark.when else ""
        words = [as_cell(one) for one in (mark.reason, mark.note, mark.who)]
        photo = (as_cell(source.path), (source.sha256 or b"").hex()) if source else ("", "")
        writer.writerow([mark.sample_id, mark.verdict, *words, when, *photo])
    with atomic_file(path) as file:
        file.write(text.getvalue().encode())


def read_exported(path: Path) -> Iterator[tuple[Mark, str]]:
    """Marks with the hash of their photograph, "" where the file does not say; ConfigError names the row."""
    for number, row in _rows(path):
        if not row.get("sample_id"):
            raise ConfigError(f"{path}: row {number} has no sample_id; expected what shhq-hs review export writes")
        yield _mark(path, number, row, row["sample_id"], Fallback("", "", "", "")), row.get("source_sha256", "")


def read(path: Path, find: Callable[[str], str], fallback: Fallback) -> list[Mark]:
    """Marks of a hand-written file: an id or a path a row, and what else it says. ConfigError names the row."""
    marks = []
    for number, row in _rows(path):
        named = next((row[name] for name in _IMAGE if row.get(name)), "")
        if not named:
            raise ConfigError(f"{path}: row {number} names no image; expected a column {' or '.join(_IMAGE)}")
        try:
            marks.append(_mark(path, number, row, find(named), fallback))
        except ShhqError as error:
            if str(path) in str(error):
                raise
            raise ConfigError(f"{path}: row {number}: {error}") from error
    return marks


def _mark(path: Path, number: int, row: Mapping[str, str], sample_id: str, fallback: Fallback) -> Mark:
    words: dict[str, Any] = {name: _text(row.get(name) or "") or getattr(fallback, name) for name in fallback._fields}
    try:
        when = _time(row.get("when") or "")
        return Mark(sample_id, **words, when=when)
    except (ShhqError, ValueError) as error:
        raise ConfigError(f"{path}: row {number}: {error}") from error


def _time(text: str) -> datetime | None:
    """UTC; a time without a zone is taken for UTC."""
    if not text:
        return None
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _text(cell: str) -> str:
    """A cell without the apostrophe that kept it from being a formula."""
    return cell[1:] if cell.startswith("'") and as_cell(cell[1:]) == cell else cell


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows by column, numbered as an editor numbers lines of short rows: the header is row 1."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {why(error)}; expected a CSV file of marks") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no UTF-8 text; expected a CSV file of marks") from error
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        for number, row in enumerate(reader, start=2):
            if None in row:
                raise ConfigError(f"{path}: row {number} has more cells than the header")
            yield number, {str(name).strip(): (cell or "").strip() for name, cell in row.items()}
    except csv.Error as error:
        raise ConfigError(f"{path} is no CSV file ({error}); the first row names the columns") from error
