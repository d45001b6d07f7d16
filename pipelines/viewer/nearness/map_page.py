"""The tab of the map: where every portrait lies, how it is coloured, and what an outline holds."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dataprep.errors import ConfigError
from pipelines.viewer.grid_page import MOST_ROWS, whole_number
from pipelines.viewer.guarded_handler import GuardedHandler
from pipelines.viewer.nearness.feature_rows import KINDS, require_kind
from pipelines.viewer.nearness.lasso import corners_of, inside
from pipelines.viewer.nearness.map_file import PortraitMap
from pipelines.viewer.nearness.map_job import MapState
from pipelines.viewer.nearness.map_layout import LAYOUTS, available, require_layout
from pipelines.viewer.nearness.nearness_state import nearness
from pipelines.viewer.row_queries import RowQuery
from pipelines.viewer.viewed_dataset import ViewedDataset, first_values

_GRID = 65535  # steps of a coordinate as it is sent
_SHADES, _NO_SHADE = 250, 255
_TAIL_PERCENT = 1.0  # of a column's values at either end share the end's colour


class MapHandler(GuardedHandler):
    """GET api/map?by=likeness&how=neighbours: a map, or how far it is; POST api/map {by, how}: make it."""

    async def get(self) -> None:
        """Answer with every point when it is there."""
        named, _ = first_values(self.arguments_of_address(), "by", "how")
        self.answer(await self.in_thread(said_of_map, self.dataset, named["by"], named["how"], False))

    async def post(self) -> None:
        """Answer as the GET, having begun."""
        content = self.body_as_json()
        by, how = str(content.get("by", "")), str(content.get("how", ""))
        self.answer(await self.in_thread(said_of_map, self.dataset, by, how, True))


class PaintHandler(GuardedHandler):
    """GET api/map/paint?QUERY&by=&how=&colour=COLUMN: which points the filters leave, and the colour of each."""

    async def get(self) -> None:
        """Answer with a byte a point for either."""
        named, rest = first_values(self.arguments_of_address(), "by", "how", "colour")
        query = RowQuery.parsed(rest)
        self.answer(await self.in_thread(paint, self.dataset, named["by"], named["how"], named["colour"], query))


class LassoHandler(GuardedHandler):
    """POST api/map/lasso {by, how, corners, query}: a set of what an outline holds and the filters leave."""

    async def post(self) -> None:
        """Answer with the set's name and how many it holds; raises ConfigError on what is no outline."""
        content = self.body_as_json()
        query = content.get("query")
        if not isinstance(query, dict) or not all(isinstance(one, list) for one in query.values()):
            raise ConfigError("api/map/lasso expects a query: values by column")
        parsed = RowQuery.parsed({str(name): [str(one) for one in values] for name, values in query.items()})
        by, how = str(content.get("by", "")), str(content.get("how", ""))
        self.answer(await self.in_thread(lasso, self.dataset, by, how, content.get("corners"), parsed))


class PointsHandler(GuardedHandler):
    """GET api/map/points?rows=17,38: the samples of some points."""

    async def get(self) -> None:
        """Answer with what the grid says of each."""
        named, _ = first_values(self.arguments_of_address(), "rows")
        rows = [whole_number("rows", one) for one in named["rows"].split(",")]
        if len(rows) > MOST_ROWS or max(rows) >= len(self.dataset):
            raise ConfigError(f"rows: expected at most {MOST_ROWS} numbers below {len(self.dataset):,}")
        self.answer({"rows": self.dataset.short_rows(rows)})


def said_of_map(dataset: ViewedDataset, by: str, how: str, begin: bool) -> dict[str, Any]:
    """What kinds of map there are; the points of one, or how far it is."""
    kind, layout = require_kind(by), require_layout(how or available()[0])
    maps = nearness(dataset).maps
    state = maps.begin(kind, layout) if begin else maps.look(kind, layout)
    said: dict[str, Any] = {
        "kinds": KINDS, "layouts": {name: LAYOUTS[name] for name in available()}, "by": kind, "how": layout,
        "all": len(dataset), "state": _word(state),
    }  # fmt: skip
    if state is not None and state.made is not None:
        made = state.made
        grid = np.rint(made.points * _GRID).astype("<u2")
        return said | {"rows": _sent(made.rows.astype("<u4")), "points": _sent(grid)}
    return said | ({"fraction": state.fraction, "said": state.problem or state.said} if state else {})


def paint(dataset: ViewedDataset, by: str, how: str, colour: str, query: RowQuery) -> dict[str, Any]:
    """A byte a point: whether the filters leave it, and which of the legend's colours it has."""
    made = _made(dataset, by, how)
    shown = dataset.finder.matching(query)[made.rows]
    shades, legend = _shades(dataset, colour) if colour else (np.zeros(len(dataset), np.uint8), {"kind": "none"})
    return {"shown": _sent(shown.astype(np.uint8)), "count": int(shown.sum()), "shades": _sent(shades[made.rows]),
            "legend": legend}  # fmt: skip


def lasso(dataset: ViewedDataset, by: str, how: str, corners: object, query: RowQuery) -> dict[str, Any]:
    """Keep what an outline holds as a set."""
    made = _made(dataset, by, how)
    chosen = made.rows[inside(made.points.astype(np.float64), corners_of(corners))]
    chosen = chosen[dataset.finder.matching(query)[chosen]]
    if not len(chosen):
        return {"set": "", "count": 0}
    return {"set": dataset.keep_set(dataset.census.ids[row] for row in chosen), "count": len(chosen)}


def _shades(dataset: ViewedDataset, name: str) -> tuple[UInt8[np.ndarray, " n"], dict[str, Any]]:
    column = dataset.columns.described(name)
    if column.kind == "number":
        values = dataset.columns.numbers(name)
        known = values[np.isfinite(values)]
        low, high = np.percentile(known, [_TAIL_PERCENT, 100 - _TAIL_PERCENT]) if len(known) else (0.0, 1.0)
        scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1) * (_SHADES - 1)
        shades = np.where(np.isfinite(values), np.nan_to_num(scaled), _NO_SHADE).astype(np.uint8)
        return shades, {"kind": "number", "low": float(low), "high": float(high)}
    if column.kind == "flag":
        return dataset.columns.flags(name).astype(np.uint8), {"kind": "word", "values": ["no", "yes"]}
    if column.kind == "word":
        words = dataset.columns.words(name)
        codes = np.where(words.codes < 0, _NO_SHADE, np.minimum(words.codes, _SHADES)).astype(np.uint8)
        return codes, {"kind": "word", "values": list(words.values)}
    raise ConfigError(f"column {name!r} has too many values to colour by; choose a number, a flag or a word")


def _made(dataset: ViewedDataset, by: str, how: str) -> PortraitMap:
    state = nearness(dataset).maps.look(require_kind(by), require_layout(how))
    if state is None or state.made is None:
        raise ConfigError("that map is not made yet; open the tab Map and wait for it")
    return state.made


def _word(state: MapState | None) -> str:
    if state is None:
        return "absent"
    return "ready" if state.made is not None else "problem" if state.problem else "making"


def _sent(values: np.ndarray) -> str:
    return b64encode(np.ascontiguousarray(values).tobytes()).decode()


HANDLERS = (
    (r"api/map", MapHandler),
    (r"api/map/paint", PaintHandler),
    (r"api/map/lasso", LassoHandler),
    (r"api/map/points", PointsHandler),
)
