"""The grid: what columns there are, which rows a query leaves, a window of them, and their thumbnails."""

from __future__ import annotations

from typing import Any

import numpy as np

from dataprep.errors import ConfigError
from pipelines.viewer.guarded_handler import GuardedHandler
from pipelines.viewer.row_queries import RowQuery
from pipelines.viewer.sample_images import NO_PICTURE
from pipelines.viewer.viewed_dataset import ViewedDataset, first_values

MOST_ROWS = 500  # in one window


class ColumnsHandler(GuardedHandler):
    """GET api/columns: every column, by which filters are offered."""

    async def get(self) -> None:
        """Answer with all of them; they do not change while the server runs."""
        self.answer({"columns": [column.as_json() for column in self.dataset.columns.all_columns()]})


class FoundHandler(GuardedHandler):
    """GET api/found?QUERY: how many rows match."""

    async def get(self) -> None:
        """Answer with counts, and the number of marks that the order was made at."""
        query = RowQuery.parsed(self.arguments_of_address())
        self.answer(await self.in_thread(found, self.dataset, query))


class RowsHandler(GuardedHandler):
    """GET api/rows?QUERY&from=0&count=100&at=17: a window of the rows, in order."""

    async def get(self) -> None:
        """Answer with what the grid says of each."""
        named, rest = first_values(self.arguments_of_address(), "from", "count", "at")
        first, count, at = (whole_number(name, value) for name, value in named.items())
        query = RowQuery.parsed(rest)
        self.answer(await self.in_thread(window, self.dataset, query, first, min(count or 100, MOST_ROWS), at))


class IdsHandler(GuardedHandler):
    """GET api/ids?QUERY: every id that matches, in order, to mark them all."""

    async def get(self) -> None:
        """Answer with ids alone."""
        query = RowQuery.parsed(self.arguments_of_address())
        rows = await self.in_thread(self.dataset.ordered, query)
        self.answer({"ids": [self.dataset.census.ids[row] for row in rows]})


class SetHandler(GuardedHandler):
    """POST api/set {"ids": [...]}: a name for some samples, to filter by set=NAME."""

    async def post(self) -> None:
        """Answer with the name."""
        ids = self.body_as_json().get("ids")
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            raise ConfigError("api/set expects a list of sample ids")
        self.answer({"set": await self.in_thread(self.dataset.keep_set, ids)})


class ThumbHandler(GuardedHandler):
    """GET thumb/ID: the small picture of a sample."""

    async def get(self, sample_id: str) -> None:
        """Answer with WebP, with an empty picture where there is none."""
        row = self.dataset.rows_of([sample_id])[0]
        found = await self.in_thread(self.dataset.images.thumb, self.dataset.key_row(row))
        self.answer_picture(found or NO_PICTURE)


def found(dataset: ViewedDataset, query: RowQuery) -> dict[str, Any]:
    """How many rows a query leaves, of all and of the selected ones."""
    at = dataset.marks_made()
    rows = dataset.ordered(query, at)
    return {"total": len(rows), "selected": int(dataset.census.selected[rows].sum()), "all": len(dataset), "at": at}


def window(dataset: ViewedDataset, query: RowQuery, first: int, count: int, at: int) -> dict[str, Any]:
    """Some of the rows in order, each with the value that the order goes by."""
    rows = dataset.ordered(query, at)
    shown = rows[first : first + count]
    said = dataset.short_rows(shown)
    if name := query.sort.removeprefix("-"):
        said = [one | {"value": dataset.value_at(name, int(row))} for one, row in zip(said, shown, strict=True)]
    return {"total": len(rows), "from": first, "rows": said}


def whole_number(name: str, value: str) -> int:
    """A count of an address, 0 when missing; raises ConfigError on what is none."""
    if not value:
        return 0
    if not value.isdecimal() or len(value) > 9:
        raise ConfigError(f"{name}={value[:40]}: expected a whole number")
    return int(np.int64(value))


HANDLERS = (
    (r"api/columns", ColumnsHandler),
    (r"api/found", FoundHandler),
    (r"api/rows", RowsHandler),
    (r"api/ids", IdsHandler),
    (r"api/set", SetHandler),
    (r"thumb/(?P<sample_id>[0-9a-f]{32})", ThumbHandler),
)
