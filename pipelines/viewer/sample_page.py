"""One sample, opened: all that is known of it and every picture at full size; and the report's page beside it."""

from __future__ import annotations

from tornado.web import HTTPError

from pipelines.viewer.guarded_handler import GuardedHandler
from pipelines.viewer.sample_facts import sample_facts

_REPORT_SECURITY = (
    "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; frame-ancestors 'self'"
)


class SampleHandler(GuardedHandler):
    """GET api/sample/ID: everything that is known of a sample."""

    async def get(self, sample_id: str) -> None:
        """Answer with facts by stage, the pictures there are, what is drawn on them, and its marks."""
        row = self.dataset.rows_of([sample_id])[0]
        self.answer(await self.in_thread(sample_facts, self.dataset, row))


class PictureHandler(GuardedHandler):
    """GET picture/ID/KIND: one picture of a sample, full size."""

    async def get(self, sample_id: str, kind: str) -> None:
        """Answer with the picture as it lies on disk, or as it is made for the eye."""
        row = self.dataset.rows_of([sample_id])[0]
        self.answer_picture(await self.in_thread(self.dataset.images.whole, kind, self.dataset.key_row(row)))


class ReportHandler(GuardedHandler):
    """GET report/index.html: the static page, in a box of its own: its scripts reach nothing of the viewer."""

    async def get(self) -> None:
        """Answer with the page, to a frame of ours alone; 404 when the data set has none."""
        if self.request.headers.get("Sec-Fetch-Dest", "iframe") != "iframe":
            raise HTTPError(403)
        path = self.dataset.out / "report" / "index.html"
        if not await self.in_thread(path.is_file):
            raise HTTPError(404)
        self.set_header("Content-Security-Policy", _REPORT_SECURITY)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(await self.in_thread(path.read_bytes))


HANDLERS = (
    (r"api/sample/(?P<sample_id>[0-9a-f]{32})", SampleHandler),
    (
        r"picture/(?P<sample_id>[0-9a-f]{32})/(?P<kind>photograph|crop|superres|cutout|alpha|portrait|face)",
        PictureHandler,
    ),
    (r"report/index\.html", ReportHandler),
)
