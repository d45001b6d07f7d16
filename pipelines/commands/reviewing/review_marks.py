"""`shhq-hs review`: list, give, take out and bring in reviewers' marks from the command line."""

from __future__ import annotations

import argparse
import getpass
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from dataprep.errors import ConfigError, StoreError
from dataprep.files.locations import Location
from dataprep.report.census import MANIFEST, Census
from dataprep.report.selection import matching
from dataprep.tables.review import NONE, VERDICTS, Mark, append_marks, current_marks, decisions, history
from dataprep.tables.sealed import open_table
from dataprep.tables.sources import Source
from dataprep.wording import plural
from pipelines.commands.reviewing import marks_csv, review_effects
from pipelines.commands.reviewing.obeyed import told_columns
from pipelines.commands.show import find_sample
from pipelines.engine.index import read_index
from pipelines.engine.resume import command_of
from pipelines.text_table import table

_SHOWN = 200


def run(options: argparse.Namespace) -> int:
    """Do what the action asks for; returns the exit status."""
    if options.action == "list":
        return list_marks(options.out, options.verdict, options.who, options.history)
    if options.action == "export":
        return export_marks(options.out, options.output)
    if options.action == "import":
        return import_marks(options.out, options.marks)
    given = (options.verdict, options.reason, options.note, options.who)
    return mark_images(options.out, options.samples, options.where, options.csv, given)


def list_marks(out: Location, verdict: str, who: str, every: bool) -> int:
    """Print the current marks, or `every` mark there ever was, and what they change; returns 0."""
    paths = {source.sample_id: source.path for source in images_of(out)}
    _require_verdict(verdict, "--verdict")
    found = history(out) if every else list(current_marks(out).values())
    found = [one for one in found if verdict in ("", one.verdict) and who in ("", one.who)]
    rows = [
        (one.sample_id[:12], one.verdict, one.reason, one.who, _when(one), paths.get(one.sample_id, ""), one.note)
        for one in found
    ]
    if rows:
        print(table(("id", "verdict", "reason", "who", "when", "path", "note"), rows[:_SHOWN]))
    if len(rows) > _SHOWN:
        print(f"  and {len(rows) - _SHOWN} more; all of them: shhq-hs review export {out} -o FILE.csv")
    print(f"{len(rows)} {plural(len(rows), 'mark')}")
    for line in review_effects.lines(out, decisions(out)):
        print(line)
    return 0


def mark_images(
    out: Location, named: Sequence[str], where: str, csv: Path | None, given: tuple[str, str, str, str]
) -> int:
    """Mark images that are named, match an expression or stand in a CSV; returns 1 when nothing matched.

    `given`: verdict, reason, note and who, for images that are named or match, and where the CSV says nothing.
    Everything is looked up before anything is marked.
    """
    verdict, reason, note, who = given
    _require_verdict(verdict, "--verdict")
    index = images_of(out)
    ids = [find_sample(index, name).sample_id for name in named]
    if where:
        census = Census(out)
        told = told_columns(census, decisions(out), current_marks(out))
        matched = matching(census, where, told)
        ids += [name for name, match in zip(census.ids, matched, strict=True) if match]
    if ids and not verdict:
        raise ConfigError(f"--verdict is missing; expected {', '.join(VERDICTS)}")
    marks = [Mark(name, verdict, reason, note, who or _user()) for name in dict.fromkeys(ids)]
    if csv is not None:
        fallback = marks_csv.Fallback(verdict, reason, note, who or _user())
        marks += marks_csv.read(csv, lambda name: find_sample(index, name).sample_id, fallback)
    if not marks:
        print("nothing matched; no mark was made")
        return 1
    stored = append_marks(out, marks)
    _say_stored(out, stored)
    return 0


def export_marks(out: Location, output: Path) -> int:
    """Write every mark as CSV, oldest first, with the path and the hash of its photograph; returns 0."""
    sources = {source.sample_id: source for source in images_of(out)}
    found = history(out)
    marks_csv.write(output, found, sources)
    print(f"{output}: {len(found)} {plural(len(found), 'mark')}")
    print(f"into another data set: shhq-hs review import DIR {output}")
    return 0


def import_marks(out: Location, given: Path) -> int:
    """Add the marks of a CSV or of another data set, each with who made it and when; returns 0.

    An image is known by its id, else by the bytes of its photograph, where one image has them. Marks of images that
    are not here are left out and counted.
    """
    index = images_of(out)
    pairs = _of_dataset(given) if given.is_dir() else list(marks_csv.read_exported(given))
    known = {source.sample_id for source in index}
    by_bytes = _unique_by_bytes(index)
    marks, strangers = [], 0
    for mark, sha256 in pairs:
        name = mark.sample_id if mark.sample_id in known else by_bytes.get(sha256, "")
        if name:
            marks.append(Mark(**{**vars(mark), "sample_id": name}))
        else:
            strangers += 1
    there = set(history(out))
    append_marks(out, marks)
    _say_stored(out, [mark for mark in dict.fromkeys(marks) if mark not in there])
    if strangers:
        print(f"left out, of images that are not in {out}: {strangers} {plural(strangers, 'mark')}")
    return 0


def images_of(out: Location) -> list[Source]:
    """The images of a data set, by its index, or by its manifest where others built it; StoreError without either."""
    with suppress(StoreError):
        return read_index(out)
    if not (out / MANIFEST).exists():
        raise StoreError(f"{out} is no data set: neither index.parquet nor {MANIFEST} is there; build it: "
                         f"shhq-hs run SOURCE --out {out}")  # fmt: skip
    names = ["sample_id", "source_path", "source_sha256"]
    with open_table(out / MANIFEST) as file:
        rows = file.read([name for name in names if name in file.schema_arrow.names]).to_pylist()
    return [Source(row.get("source_path") or "", 0, row.get("source_sha256"), row["sample_id"]) for row in rows]


def _of_dataset(folder: Path) -> list[tuple[Mark, str]]:
    hashes = {source.sample_id: (source.sha256 or b"").hex() for source in images_of(folder)}
    return [(mark, hashes.get(mark.sample_id, "")) for mark in history(folder)]


def _unique_by_bytes(index: Iterable[Source]) -> dict[str, str]:
    known = [(source.sha256.hex(), source.sample_id) for source in index if source.sha256]
    counts = Counter(sha256 for sha256, _ in known)
    return {sha256: name for sha256, name in known if counts[sha256] == 1}


def _say_stored(out: Location, stored: Sequence[Mark]) -> None:
    counts = Counter(mark.verdict for mark in stored)
    told = ", ".join(f"{counts[one]} {'undone' if one == NONE else one}" for one in VERDICTS if counts[one])
    print(f"{out}: {len(stored)} {plural(len(stored), 'mark')}" + (f" ({told})" if told else ""))
    for line in _effects(out):
        print(line)


def _effects(out: Location) -> Iterator[str]:
    found = list(review_effects.lines(out, decisions(out)))
    yield from found
    if any("with the next run" in line for line in found):
        yield f"then: {command_of(out)}"


def _require_verdict(verdict: str, option: str) -> None:
    if verdict and verdict not in VERDICTS:
        raise ConfigError(f"{option} {verdict!r}: expected {', '.join(VERDICTS)}")


def _when(mark: Mark) -> str:
    return mark.when.strftime("%Y-%m-%d %H:%M:%S") if mark.when else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name for this number
        return "unknown"
