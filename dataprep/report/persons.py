"""People: how many photographs each has, and whether anybody stands in both splits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dataprep.report.census import Census
from dataprep.report.similar import Cluster


@dataclass(frozen=True)
class PeopleOfSize:
    """So many people have so many selected photographs."""

    photographs: int
    people: int


@dataclass(frozen=True)
class Persons:
    """The people of the selected photographs, as the manifest's column `person` tells them apart.

    repeated: people with two photographs or more; leaks: people in both splits; sizes: by photographs a person, the
    fewest first; largest: the people with most photographs, leaking: those in both splits, up to a limit.
    """

    people: int
    photographs: int
    repeated: int
    leaks: int
    sizes: tuple[PeopleOfSize, ...]
    largest: tuple[Cluster, ...]
    leaking: tuple[Cluster, ...]


def persons(census: Census, limit: int, members: int) -> Persons | None:
    """Count people; None for a manifest that does not tell them apart. `limit` people with `members` are named."""
    if not census.has("person"):
        return None
    splits, rows_of = census.column("split"), _rows_of(census)
    ordered = sorted(rows_of.values(), key=lambda rows: (-len(rows), census.ids[rows[0]]))
    found = [_cluster(census, splits, number, rows, members) for number, rows in enumerate(ordered) if len(rows) > 1]
    leaking = [one for one in found if len(one.splits) > 1]
    sizes = sorted(Counter(map(len, ordered)).items())
    return Persons(
        people=len(ordered),
        photographs=sum(map(len, ordered)),
        repeated=len(found),
        leaks=len(leaking),
        sizes=tuple(PeopleOfSize(*one) for one in sizes),
        largest=tuple(found[:limit]),
        leaking=tuple(leaking[:limit]),
    )


def splits_of_people(census: Census) -> Float[np.ndarray, " n"]:
    """In how many splits the person of every selected row stands, NaN elsewhere; 2 is a leak."""
    splits, found = census.column("split"), np.full(len(census), np.nan)
    for rows in _rows_of(census).values():
        found[rows] = len({splits[row] for row in rows})
    return found


def _rows_of(census: Census) -> dict[str, list[int]]:
    """Selected rows by person."""
    rows: dict[str, list[int]] = {}
    for row, (person, chosen) in enumerate(zip(census.column("person"), census.selected, strict=True)):
        if chosen and person is not None:
            rows.setdefault(person, []).append(row)
    return rows


def _cluster(census: Census, splits: list[str], number: int, rows: list[int], members: int) -> Cluster:
    by_split = {splits[row]: row for row in reversed(rows)}  # the first of each is shown
    shown = dict.fromkeys([*by_split.values(), *rows])
    return Cluster(number, len(rows), tuple(sorted(by_split)), tuple(census.ids[row] for row in list(shown)[:members]))
