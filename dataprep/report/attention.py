"""What the page begins with: the lines that a person should look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dataprep.report.health import OPTIONAL
from dataprep.report.numbers import Numbers
from dataprep.wording import plural


@dataclass(frozen=True)
class Attention:
    """A line of the page's first screen: a number, what it counts, and the section that shows it."""

    section: str
    number: str  # its path in report.json
    text: str


def attention(numbers: Numbers) -> list[Attention]:
    """Every line, gravest first: labels that disagree, leaks between the splits, failures, rows training leaves out."""
    return [*_checks(numbers), *_leaks(numbers), *_failures(numbers), *_trimmed(numbers), *_nulls(numbers)]


def _checks(numbers: Numbers) -> Iterator[Attention]:
    for i, finding in enumerate(numbers.checks):
        if finding.failed:
            text = f"{plural(finding.failed, 'portrait')} where {finding.says}"
            yield Attention(f"check-{finding.key}", f"checks.{i}.failed", text)


def _leaks(numbers: Numbers) -> Iterator[Attention]:
    similar, persons = numbers.similar, numbers.persons
    if similar.leaks:
        text = plural(similar.leaked_rows, "near-duplicate that lies", "near-duplicates that lie") + " in both splits"
        yield Attention("similar", "similar.leaked_rows", text)
    if similar.same_file:
        text = plural(similar.same_file, "file that lies", "files that lie") + " in both splits"
        yield Attention("similar", "similar.same_file", text)
    if persons and persons.leaks:
        text = plural(persons.leaks, "person who stands", "people who stand") + " in both splits"
        yield Attention("people", "persons.leaks", text)


def _failures(numbers: Numbers) -> Iterator[Attention]:
    for i, stage in enumerate(numbers.funnel):
        for k, loss in enumerate(stage.losses):
            if loss.status != "rejected":
                text = f"{plural(loss.images, 'image')} ended in a {loss.status} at {stage.name} ({loss.reason})"
                yield Attention("funnel", f"funnel.{i}.losses.{k}.images", text)


def _trimmed(numbers: Numbers) -> Iterator[Attention]:
    for kind, rows in (numbers.prior.trimmed if numbers.prior else {}).items():
        if rows:
            text = f"training {plural(rows, 'row')} whose {kind} the generator will never be given: too far out"
            yield Attention("prior", f"prior.trimmed.{kind}", text)


def _nulls(numbers: Numbers) -> Iterator[Attention]:
    for i, column in enumerate(numbers.health):
        if column.defects and column.null_accepted and column.column not in OPTIONAL:
            text = f"accepted {plural(column.null_accepted, 'row')} without {column.column}"
            yield Attention("health", f"health.{i}.null_accepted", text)
