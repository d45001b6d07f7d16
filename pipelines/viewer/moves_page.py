"""The tab that compares two data sets, picture by picture: `shhq-hs view OUT --against OTHER`."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float, Int
from tornado.web import HTTPError

from dataprep.errors import ConfigError
from pipelines.viewer.grid_page import MOST_ROWS, whole_number
from pipelines.viewer.guarded_handler import GuardedHandler
from pipelines.viewer.row_moves import PICTURE, Moves, moves
from pipelines.viewer.viewed_dataset import ViewedDataset, first_values

_WINDOW, _SAID = 40, 12  # pairs at once; columns that are named of each
_ONLY_HERE, _ONLY_THERE, _SPLIT, _END, _COLUMN = "only_here", "only_there", "split", "end", "column"
_lock = threading.Lock()
_known: WeakKeyDictionary[ViewedDataset, Moves] = WeakKeyDictionary()


class MovesHandler(GuardedHandler):
    """GET api/moves: what moved between the two, in counts."""

    async def get(self) -> None:
        """Answer with everything that the pairs can be filtered by."""
        self.answer(await self.in_thread(summary, self.dataset))


class MovedRowsHandler(GuardedHandler):
    """GET api/moves/rows?what=column:yaw&sort=yaw&from=0&count=40: pairs, those that moved most first."""

    async def get(self) -> None:
        """Answer with a window of them."""
        named, _ = first_values(self.arguments_of_address(), "what", "sort", "from", "count")
        first, count = whole_number("from", named["from"]), whole_number("count", named["count"])
        window = min(count or _WINDOW, MOST_ROWS)
        self.answer(await self.in_thread(moved_rows, self.dataset, named["what"], named["sort"], first, window))


class OtherPictureHandler(GuardedHandler):
    """GET other/thumb/ID and other/picture/ID/KIND: pictures of the data set that is compared with."""

    async def get(self, sample_id: str, kind: str = "") -> None:
        """Answer with the picture; 404 without one, or without another data set."""
        other = self.dataset.other
        if other is None or sample_id not in other.places:
            raise HTTPError(404)
        row = other.key_row(other.places[sample_id])
        made = self.in_thread(other.images.whole, kind, row) if kind else self.in_thread(other.images.thumb, row)
        self.answer_picture(await made)


def summary(dataset: ViewedDataset) -> dict[str, Any]:
    """Counts of what moved: columns, ends, splits, rows of one alone."""
    other, found = _both(dataset)
    counts = (found.relative > 0).sum(axis=0)
    columns = [
        {"name": name, "changed": int(counts[i]), "spread": float(found.spread[i]), "most": _most(found.amount[:, i])}
        for i, name in enumerate(found.names)
    ]
    ends = Counter(pair for pair in found.ends if pair[0] != pair[1])
    return {
        "here": str(dataset.out), "there": str(other.out), "rows_here": len(dataset), "rows_there": len(other),
        "both": len(found.pairs), "columns": sorted(columns, key=lambda one: (-one["changed"], one["name"])),
        "ends": [{"before": a, "after": b, "rows": n} for (a, b), n in ends.most_common()],
        "split_changed": int(found.split_changed.sum()), "only_here": len(found.only_after),
        "only_there": len(found.only_before), "moved": int((_overall(found) > 0).sum()),
    }  # fmt: skip


def moved_rows(dataset: ViewedDataset, what: str, sort: str, first: int, count: int) -> dict[str, Any]:
    """Pairs that `what` names, by the amount moved; raises ConfigError on another word."""
    other, found = _both(dataset)
    if what in (_ONLY_HERE, _ONLY_THERE):
        rows = found.only_after if what == _ONLY_HERE else found.only_before
        side, of = ("here", dataset) if what == _ONLY_HERE else ("there", other)
        shown = [{side: one, "moved": []} for one in of.short_rows(rows[first : first + count])]
        return {"total": len(rows), "from": first, "rows": shown}
    places = _chosen(found, what)
    amount = found.relative[:, _place(found, sort)] if sort else _overall(found)
    places = places[np.argsort(-amount[places], kind="stable")]
    shown = [_pair(dataset, other, found, int(place)) for place in places[first : first + count]]
    return {"total": len(places), "from": first, "rows": shown}


def _both(dataset: ViewedDataset) -> tuple[ViewedDataset, Moves]:
    if dataset.other is None:
        raise ConfigError("no other data set is open; start the viewer with: shhq-hs view OUT --against OTHER")
    with _lock:
        if dataset not in _known:
            _known[dataset] = moves(dataset.other.census, dataset.census)
        return dataset.other, _known[dataset]


def _overall(found: Moves) -> Float[np.ndarray, " p"]:
    """The most that any column moved, in its spreads; whoever ended otherwise comes before the rest."""
    most = found.relative.max(axis=1, initial=0)
    return most + np.where(found.ended_otherwise, 1e6, 0) + np.where(found.split_changed, 1e3, 0)


def _chosen(found: Moves, what: str) -> Int[np.ndarray, " m"]:
    """Places of the pairs that moved, or that moved so."""
    word, _, rest = what.partition(":")
    if not what:
        return np.flatnonzero(_overall(found) > 0)
    if word == _SPLIT:
        return np.flatnonzero(found.split_changed)
    if word == _END:
        before, _, after = rest.partition(" > ")
        return np.array([i for i, one in enumerate(found.ends) if one == (before, after)], int)
    if word == _COLUMN:
        return np.flatnonzero(found.relative[:, _place(found, rest)] > 0)
    raise ConfigError(
        f"what={what[:60]}: expected column:NAME, end:BEFORE > AFTER, {_SPLIT}, {_ONLY_HERE} or {_ONLY_THERE}"
    )


def _place(found: Moves, name: str) -> int:
    if name not in found.names:
        raise ConfigError(
            f"the two data sets have no column {name[:60]!r} to compare; they have {', '.join(found.names)}"
        )
    return found.names.index(name)


def _pair(dataset: ViewedDataset, other: ViewedDataset, found: Moves, place: int) -> dict[str, Any]:
    before, after = found.pairs[place].tolist()
    order = np.argsort(-found.relative[place], kind="stable")[:_SAID]
    return {
        "here": dataset.short_rows([after])[0], "there": other.short_rows([before])[0], "end": found.ends[place],
        "split": found.splits[place],
        "moved": [_amount(dataset, found, place, int(i)) for i in order if found.relative[place, i] > 0],
    }  # fmt: skip


def _amount(dataset: ViewedDataset, found: Moves, place: int, i: int) -> dict[str, Any]:
    name = found.names[i]
    column = dataset.columns.columns.get(name)
    listed = column is not None and column.kind == "list"
    return {
        "name": f"{name}[{found.which[place, i]}]" if listed else name, "column": name,
        "before": float(found.old[place, i]), "after": float(found.new[place, i]),
        "amount": float(found.amount[place, i]), "spreads": float(found.relative[place, i]),
        "unit": "bits of 256" if name == PICTURE else column.unit if column else "-",
    }  # fmt: skip


def _most(amount: Float[np.ndarray, " p"]) -> float:
    return float(np.nanmax(amount)) if np.isfinite(amount).any() else 0.0


HANDLERS = (
    (r"api/moves", MovesHandler),
    (r"api/moves/rows", MovedRowsHandler),
    (r"other/thumb/(?P<sample_id>[0-9a-f]{32})", OtherPictureHandler),
    (
        r"other/picture/(?P<sample_id>[0-9a-f]{32})/(?P<kind>photograph|crop|superres|cutout|alpha|portrait|face)",
        OtherPictureHandler,
    ),
)
