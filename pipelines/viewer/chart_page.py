"""Charts of the rows that the filters leave; a click on one filters."""

from __future__ import annotations

from typing import Any

from pipelines.viewer.guarded_handler import GuardedHandler
from pipelines.viewer.row_queries import RowQuery
from pipelines.viewer.viewed_dataset import ViewedDataset, first_values

_MOST_CHARTS = 200


class ChartsHandler(GuardedHandler):
    """GET api/charts?QUERY&columns=yaw,q_sharpness: counts of columns."""

    async def get(self) -> None:
        """Answer with one chart a column: its bars among the rows that all other filters leave, and among all."""
        named, rest = first_values(self.arguments_of_address(), "columns")
        names = [name for name in named["columns"].split(",") if name][:_MOST_CHARTS]
        self.answer({"charts": await self.in_thread(charts, self.dataset, RowQuery.parsed(rest), names)})


class HeatHandler(GuardedHandler):
    """GET api/heat?QUERY&across=yaw&up=pitch: two columns against each other."""

    async def get(self) -> None:
        """Answer with counts by cell."""
        named, rest = first_values(self.arguments_of_address(), "across", "up")
        query = RowQuery.parsed(rest).without(named["across"]).without(named["up"])
        self.answer(await self.in_thread(heat, self.dataset, query, named["across"], named["up"]))


def charts(dataset: ViewedDataset, query: RowQuery, names: list[str]) -> list[dict[str, Any]]:
    """A chart of each column, each without its own filter, so that a bar can be added to it."""
    filtered = {name for name, _ in query.filters}
    everywhere = dataset.finder.matching(query)
    return [
        dataset.charts.chart(name, dataset.finder.matching(query.without(name)) if name in filtered else everywhere)
        for name in names
    ]


def heat(dataset: ViewedDataset, query: RowQuery, across: str, up: str) -> dict[str, Any]:
    """Counts by cell of two columns."""
    return dataset.charts.heat(across, up, dataset.finder.matching(query))


HANDLERS = ((r"api/charts", ChartsHandler), (r"api/heat", HeatHandler))
