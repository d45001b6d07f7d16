"""The tabs of neighbours and of people."""

from __future__ import annotations

from typing import Any

from dataprep.errors import ConfigError
from pipelines.viewer.grid_page import whole_number
from pipelines.viewer.guarded_handler import GuardedHandler
from pipelines.viewer.nearness.alike_people import Pair, RepeatedPerson
from pipelines.viewer.nearness.feature_rows import KINDS, LIKENESS, require_kind
from pipelines.viewer.nearness.nearest_rows import nearest
from pipelines.viewer.nearness.nearness_state import nearness
from pipelines.viewer.viewed_dataset import ViewedDataset, first_values

_NEIGHBOURS, _MOST_NEIGHBOURS = 60, 500
_GROUPS, _PHOTOGRAPHS = 40, 12  # a window of groups, and how many photographs of a person are shown


class NearHandler(GuardedHandler):
    """GET api/near?id=ID&by=likeness&count=60: the portraits most like one."""

    async def get(self) -> None:
        """Answer with them and their cosines, the most alike first."""
        named, _ = first_values(self.arguments_of_address(), "id", "by", "count")
        count = min(whole_number("count", named["count"]) or _NEIGHBOURS, _MOST_NEIGHBOURS)
        by = require_kind(named["by"] or LIKENESS)
        self.answer(await self.in_thread(near, self.dataset, named["id"], by, count))


class PeopleHandler(GuardedHandler):
    """GET api/people?what=pairs&across=true&from=0: people with several photographs, or who may be one."""

    async def get(self) -> None:
        """Answer with counts and a window of groups."""
        named, _ = first_values(self.arguments_of_address(), "what", "across", "from")
        first = whole_number("from", named["from"])
        self.answer(
            await self.in_thread(people, self.dataset, named["what"] or "people", named["across"] == "true", first)
        )


def near(dataset: ViewedDataset, sample_id: str, by: str, count: int) -> dict[str, Any]:
    """The portraits most like one; why there are none."""
    row = dataset.rows_of([sample_id])[0]
    said: dict[str, Any] = {"of": dataset.short_rows([row])[0], "by": by, "kinds": KINDS, "rows": [], "problem": ""}
    features = nearness(dataset).features(by)
    if features is None:
        return said | {"problem": "How pictures look is read with a map of it: open the tab Map, choose it, and wait."}
    place = features.place(row)
    if place is None:
        why = "its face is too small or was not found" if by == LIKENESS else "its portrait was not read"
        return said | {"problem": f"Nothing can be compared with this one: {why}."}
    places, cosines = nearest(features.vectors, place, count)
    rows = dataset.short_rows(features.rows[places])
    return said | {"rows": [one | {"cosine": float(c)} for one, c in zip(rows, cosines.tolist(), strict=True)]}


def people(dataset: ViewedDataset, what: str, across: bool, first: int) -> dict[str, Any]:
    """Counts, and a window of people or of pairs; `across`: those in both splits alone."""
    if what not in ("people", "pairs"):
        raise ConfigError(f"what={what[:40]}: expected people or pairs")
    found = nearness(dataset).people()
    groups: list[RepeatedPerson | Pair] = [*(found.repeated if what == "people" else found.pairs)]
    kept = [one for one in groups if len(one.splits) > 1] if across else groups
    return {
        "photographs": found.photographs, "people": found.people, "repeated": len(found.repeated),
        "in_both": sum(len(one.splits) > 1 for one in found.repeated),
        "pairs": len(found.pairs), "pairs_across": sum(one.across for one in found.pairs),
        "total": len(kept), "from": first, "groups": [_group(dataset, one) for one in kept[first : first + _GROUPS]],
    }  # fmt: skip


def _group(dataset: ViewedDataset, group: RepeatedPerson | Pair) -> dict[str, Any]:
    sides = (group.rows,) if isinstance(group, RepeatedPerson) else (group.first, group.second)
    ids = [dataset.census.ids[row] for side in sides for row in side]
    return {
        "cosine": group.cosine if isinstance(group, Pair) else None,
        "splits": group.splits,
        "sizes": [len(side) for side in sides],
        "ids": ids if len(ids) <= _MOST_NEIGHBOURS else ids[:_MOST_NEIGHBOURS],
        "sides": [dataset.short_rows(side[:_PHOTOGRAPHS]) for side in sides],
    }


HANDLERS = ((r"api/near", NearHandler), (r"api/people", PeopleHandler))
