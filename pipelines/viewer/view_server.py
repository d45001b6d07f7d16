"""The viewer's server: on loopback alone, for whoever has the address it prints."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError

from dataprep.errors import ConfigError
from pipelines.viewer.guarded_handler import GuardedHandler, NothingHere, new_token
from pipelines.viewer.viewed_dataset import ViewedDataset
from pipelines.viewer.viewer_pages import PAGES

USUAL_PORT = 8717  # assumed; the next free one where it is taken
_TRIED_PORTS = 20
_MOST_BODY_BYTES = 8 << 20  # ids of 100,000 samples
_MIME = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FILES = (
    *files("pipelines.viewer").joinpath("static").iterdir(),
    files("dataprep.report").joinpath("templates", "theme.css"),  # the report's colours
)
_STATIC = {file.name: file.read_bytes() for file in _FILES if file.name.rpartition(".")[2] in _MIME}


class StaticHandler(GuardedHandler):
    """GET FILE: the page itself, from memory; nothing of the disk is named."""

    async def get(self, name: str) -> None:
        """Answer with a file of `static/`."""
        if (name or "index.html") not in _STATIC:
            raise HTTPError(404)
        ending = (name or "index.html").rpartition(".")[2]
        self.set_header("Content-Type", f"{_MIME[ending]}; charset=utf-8")
        self.finish(_STATIC[name or "index.html"])


class StartHandler(GuardedHandler):
    """GET api/start: what the page begins with."""

    async def get(self) -> None:
        """Answer with the data set's name and size, who marks, and the tabs."""
        tabs = [
            {"key": page.key, "title": page.title, "script": page.script}
            for page in PAGES
            if page.title and (self.dataset.other is not None or not page.needs_other)
        ]
        self.answer({"name": str(self.dataset.out), "rows": len(self.dataset), "who": self.dataset.who, "tabs": tabs})


def make_application(dataset: ViewedDataset, token: str) -> Application:
    """Every handler below the token, and nothing outside it."""
    known = {"dataset": dataset, "token": token}
    handlers = [(r"api/start", StartHandler), *(pair for page in PAGES for pair in page.handlers)]
    routes: list[Any] = [(rf"/(?P<token>[^/]*)/{path}", handler, known) for path, handler in handlers]
    routes.append((r"/(?P<token>[^/]*)/(?P<name>[a-z_]*\.?[a-z]*)", StaticHandler, known))
    return Application(routes, default_handler_class=NothingHere, default_handler_args=known, log_function=_silent)


def listen(application: Application, port: int | None) -> tuple[HTTPServer, int]:
    """Answer on loopback and nowhere else; `port` None takes the first free one from USUAL_PORT.

    Raises ConfigError when the port is taken.
    """
    server = HTTPServer(application, max_buffer_size=_MOST_BODY_BYTES, idle_connection_timeout=3600)
    ports = range(USUAL_PORT, USUAL_PORT + _TRIED_PORTS) if port is None else (port,)
    for tried in (*ports, 0) if port is None else ports:
        try:
            listening = socket.create_server(("127.0.0.1", tried), backlog=128)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue
        listening.setblocking(False)
        server.add_sockets([listening])
        return server, int(listening.getsockname()[1])
    raise ConfigError(f"--port {port} is taken or not allowed; leave it out, and a free one is found")


async def serve(dataset: ViewedDataset, port: int | None, ready: Callable[[str], None]) -> None:
    """Answer until cancelled; `ready` is told the address."""
    token = new_token()
    server, taken = listen(make_application(dataset, token), port)
    try:
        ready(f"http://127.0.0.1:{taken}/{token}/")
        await asyncio.Event().wait()
    finally:
        server.stop()


def _silent(handler: Any) -> None:
    """Log no request: addresses hold the token."""
