"""Pictures in folders with a table beside each: img2dataset's format `files`, 00000/000012.jpg and 00000.parquet."""

from __future__ import annotations

from dataclasses import replace

from dataprep.files.filenames import unescape
from dataprep.files.foreign_files import why
from dataprep.files.locations import Location
from dataprep.inputs.known_facts import NOT_PARQUET, PictureFacts, key_of, read_facts
from dataprep.inputs.tar_members import DAMAGED
from dataprep.tables.input_rows import Source
from dataprep.tables.sources import Survey


def with_facts(survey: Survey, root: Location) -> Survey:
    """Return the survey with what tables say of its pictures; a table that cannot be read is a refused input."""
    told: dict[str, dict[str, PictureFacts]] = {}
    refused = []
    for folder, table in survey.tables.items():
        try:
            if facts := read_facts(root / unescape(table)):
                told[folder] = facts
        except NOT_PARQUET:
            refused.append(_refused(table, "it is no parquet file that can be read"))
        except OSError as error:
            refused.append(_refused(table, f"the file cannot be read: {why(error)}"))
    if not told and not refused:
        return survey
    inputs = [_described(one, told.get(one.path.rpartition("/")[0], {})) for one in survey.inputs]
    return replace(survey, inputs=sorted([*inputs, *refused], key=lambda one: one.path))


def _refused(table: str, what: str) -> Source:
    return Source(table, 0, refused=f"{DAMAGED}: {what}; what it says of the pictures is not known")


def _described(one: Source, told: dict[str, PictureFacts]) -> Source:
    facts = told.get(key_of(one.path.rpartition("/")[2]))
    return one if facts is None else replace(one, **vars(facts))
