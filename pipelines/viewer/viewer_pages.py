"""What the viewer is made of: every tab of the page, with the handlers that answer it.

Another tab is a file of handlers with a `ViewerPage`, its name in `PAGES`, and a script below `static/` that exports

    export function open(place, app) { ... }   // fill the element `place`; called when the tab is first shown
    export function shown(query) { ... }       // optional: the tab is shown again, or the filters changed

`app` (static/app.js) asks the server (`app.get("api/map", {...})`, `app.post`), opens a sample (`app.openSample(id)`),
filters (`app.setQuery({...})`), makes thumbnails (`app.thumb(id)`) and marks (`app.mark(ids, verdict, reason)`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.viewer import chart_page, grid_page, moves_page, review_page, sample_page
from pipelines.viewer.guarded_handler import GuardedHandler
from pipelines.viewer.nearness import alike_page, map_page


@dataclass(frozen=True)
class ViewerPage:
    """A tab and what answers it.

    Attributes:
        key: Names the tab in the page's address.
        title: Stands on the tab; "" for handlers without one.
        script: The module below `static/` that fills the tab.
        handlers: Paths below the token, as regular expressions with named groups, and who answers each.
        needs_other: Whether the tab stands only where another data set is open to compare with.

    """

    key: str
    title: str
    script: str
    handlers: Sequence[tuple[str, type[GuardedHandler]]]
    needs_other: bool = False


PAGES = (
    ViewerPage("grid", "Pictures", "grid.js", grid_page.HANDLERS),
    ViewerPage("charts", "Charts", "charts.js", chart_page.HANDLERS),
    ViewerPage("map", "Map", "map.js", map_page.HANDLERS),
    ViewerPage("alike", "Similar", "alike.js", alike_page.HANDLERS),
    ViewerPage("people", "People", "people.js", ()),
    ViewerPage("moves", "Compare", "moves.js", moves_page.HANDLERS, needs_other=True),
    ViewerPage("report", "Report", "report.js", sample_page.HANDLERS),
    ViewerPage("review", "Marks", "review.js", review_page.HANDLERS),
)
