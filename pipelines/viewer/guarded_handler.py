"""Who may ask the viewer, and the base of everything that answers.

The address holds a random token as its first folder: http://127.0.0.1:8717/TOKEN/. Whoever does not know it, such as
another user of this machine, gets nothing. It is part of the path and no cookie, since cookies go to every port of a
host, whoever listens there, and come along when a foreign page asks. A foreign page that reaches this server by a host
name of its own (DNS rebinding) is refused by that name.
"""

from __future__ import annotations

import hmac
import json
import logging
import math
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler

from dataprep.errors import ShhqError
from dataprep.files.filenames import printable_lines

if TYPE_CHECKING:
    from pipelines.viewer.viewed_dataset import ViewedDataset

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_WORKERS = 4  # threads that read and make pictures while the server goes on answering
T = TypeVar("T")


def new_token() -> str:
    """192 random bits that can stand in an address."""
    return secrets.token_urlsafe(24)


class GuardedHandler(RequestHandler):
    """Base of the viewer's handlers. What a handler raises as ShhqError becomes an answer with its message."""

    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="viewer")

    def initialize(self, dataset: ViewedDataset, token: str) -> None:
        """`dataset` is shared by all handlers of a server."""
        self.dataset, self._token = dataset, token

    def prepare(self) -> None:
        """Refuse whoever may not ask; raises HTTPError with nothing to learn from it."""
        host = urlsplit(f"//{self.request.host}").hostname or ""
        given = self.path_kwargs.pop("token", "")
        if host not in LOOPBACK_NAMES or not hmac.compare_digest(given.encode(), self._token.encode()):
            raise HTTPError(403)
        if self.request.method not in ("GET", "HEAD"):
            self._require_own_page()

    def _require_own_page(self) -> None:
        """What changes something comes from this server's own page, as JSON."""
        origin = self.request.headers.get("Origin")
        kind = self.request.headers.get("Content-Type", "").partition(";")[0]
        if origin not in (None, f"http://{self.request.host}") or kind != "application/json":
            raise HTTPError(403)

    def set_default_headers(self) -> None:
        """Let nothing of the page be framed, guessed, kept or asked for from elsewhere."""
        self.clear_header("Server")
        self.set_header("Content-Security-Policy", CONTENT_SECURITY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")

    def compute_etag(self) -> None:
        """Leave out the hash of every answer: nothing is kept."""

    async def in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """`work(*arguments)` beside the server, which answers others meanwhile."""
        return await IOLoop.current().run_in_executor(self.pool, work, *arguments)

    def arguments_of_address(self) -> dict[str, list[str]]:
        """The address's arguments, each with all its values."""
        return {name: self.get_query_arguments(name, strip=False) for name in self.request.query_arguments}

    def body_as_json(self) -> dict[str, Any]:
        """What the page sent; raises HTTPError unless it is an object."""
        try:
            content = json.loads(self.request.body)
        except (ValueError, RecursionError):
            raise HTTPError(400) from None
        if not isinstance(content, dict):
            raise HTTPError(400)
        return content

    def answer(self, content: Any) -> None:
        """Send JSON; numbers that are none become null."""
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps(_finite(content), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))

    def answer_picture(self, picture: Any) -> None:
        """Send an EncodedPicture, which a browser may keep: it never changes; 404 without one."""
        if picture is None:
            raise HTTPError(404)
        self.set_header("Content-Type", picture.mime)
        self.set_header("Cache-Control", "private, max-age=3600")
        self.finish(picture.data)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say what went wrong: a ShhqError in its own words, the rest in a number."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, ShhqError):
            self.set_status(400)
            self.answer({"error": printable_lines(str(error))})
            return
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}\n")

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log what nobody expected, without the address, which holds the token."""
        if not isinstance(value, ShhqError | HTTPError):
            logging.getLogger(__name__).error("%s failed", type(self).__name__, exc_info=(typ, value, tb))


class NothingHere(GuardedHandler):
    """Whatever else is asked: the same answer with a token as without one."""

    def prepare(self) -> None:
        """Refuse."""
        raise HTTPError(403)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
