"""`shhq-hs people`: who stands in more than one photograph, of one data set or of two."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataprep.errors import ConfigError
from dataprep.report.census import Census
from dataprep.report.persons import persons
from dataprep.same_people import same_people
from dataprep.stages.likeness import Likeness
from dataprep.stages.manifest import Manifest
from dataprep.tables.store import write_json
from pipelines.text_table import table

SHOWN = 20
_AGAIN = "run `shhq-hs run SOURCE --out DIR` again on it: older data sets do not tell people apart"


@dataclass(frozen=True)
class SharedPerson:
    """A person of two data sets: the ids of the selected photographs in each."""

    here: tuple[str, ...]
    there: tuple[str, ...]


def people(out: Path, other: Path | None, min_cosine: float | None, json_path: Path | None) -> int:
    """Print the people of `out`, or those who also stand in `other`; returns 0."""
    if other is None:
        return _people_of(Census(out), out, json_path)
    shared = shared_people(
        Census(out), Census(other), Manifest.same_person_cosine if min_cosine is None else min_cosine
    )
    print(f"{len(shared)} people stand in both {out} and {other}")
    if shared:
        rows = [(len(one.here), len(one.there), one.here[0], one.there[0]) for one in shared[:SHOWN]]
        print(table(("photographs", "in the other", "for example", "and there"), rows))
    if json_path:
        write_json(json_path, [dataclasses.asdict(one) for one in shared])
    return 0


def _people_of(census: Census, out: Path, json_path: Path | None) -> int:
    found = persons(census, SHOWN, SHOWN)
    if found is None:
        raise ConfigError(f"{out}: the manifest has no column person; {_AGAIN}")
    print(
        f"{found.photographs} selected photographs show {found.people} people, {found.repeated} of them more than once"
    )
    print(table(("photographs of a person", "people"), [(one.photographs, one.people) for one in found.sizes]))
    if found.leaks:
        print(f"{found.leaks} people stand in both splits (manifest.split_by_person=yes keeps them in one)")
    if json_path:
        write_json(json_path, dataclasses.asdict(found))
    return 0


def shared_people(here: Census, there: Census, min_cosine: float) -> list[SharedPerson]:
    """Return who stands in both, the most photographs first; selected photographs whose likeness is trusted count.

    Raises ConfigError when one has no likenesses, or when they were read by different networks.
    """
    networks = {_network(census) for census in (here, there)}
    if len(networks) > 1:
        raise ConfigError(f"the likenesses of {here.path} and {there.path} come from different networks; {_AGAIN}")
    (mine, my_ids), (theirs, their_ids) = _trusted(here), _trusted(there)
    cluster = same_people(np.concatenate([mine, theirs]), min_cosine)
    by_cluster: dict[int, tuple[list[str], list[str]]] = {}
    for place, (number, sample_id) in enumerate(zip(cluster.tolist(), [*my_ids, *their_ids], strict=True)):
        by_cluster.setdefault(number, ([], []))[place >= len(my_ids)].append(sample_id)
    shared = [SharedPerson(tuple(a), tuple(b)) for a, b in by_cluster.values() if a and b]
    return sorted(shared, key=lambda one: (-len(one.here) - len(one.there), one.here[0]))


def _network(census: Census) -> str:
    """The hash of the network that the likenesses were read by."""
    if not census.has("likeness", "likeness_self"):
        raise ConfigError(f"{census.path}: the manifest has no likenesses; {_AGAIN}")
    said = {json.dumps(json.loads(models).get(Likeness.name, [])) for models in census.column("models") if models}
    return max(said)  # a row that was lost earlier names fewer models


def _trusted(census: Census) -> tuple[np.ndarray, list[str]]:
    rows = np.flatnonzero(census.selected & (census.floats("likeness_self") >= Manifest.min_likeness_self))
    return census.matrix("likeness")[rows], [census.ids[row] for row in rows]
