"""A proxy before an S3 server that fails as object stores do: throttles, errs, loses answers, drops connections."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

# throttled, failed: the request does not reach the server. lost: it is carried out, and the answer is an error.
# dropped: it is carried out, and the connection ends within the answer.
Fault = Literal["", "throttled", "failed", "lost", "dropped"]
_ANSWERS = {
    "throttled": (503, "SlowDown", "Please reduce your request rate."),
    "failed": (500, "InternalError", "We encountered an internal error. Please try again."),
    "lost": (500, "InternalError", "We encountered an internal error. Please try again."),
}
_DROPPED_AFTER = 20  # bytes of an answer's body


class FaultyStore:
    """`fault_of` says what happens to a request by its number, from 1, its verb and its path; `faults` counts."""

    def __init__(self, server_url: str, fault_of: Callable[[int, str, str], Fault]) -> None:
        self._host = server_url.removeprefix("http://")
        self._fault_of, self._lock = fault_of, threading.Lock()
        self.requests, self.faults = 0, Counter[str]()
        handler = type("Handler", (_Handler,), {"store": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next_fault(self, verb: str, path: str) -> Fault:
        with self._lock:
            self.requests += 1
            fault = self._fault_of(self.requests, verb, path)
            self.faults.update([fault] if fault else [])
        return fault

    def answer(self, verb: str, path: str, headers: dict[str, str], body: bytes) -> http.client.HTTPResponse:
        """Ask the server behind; the request was signed for the host that the client sees, which it keeps."""
        connection = http.client.HTTPConnection(self._host, timeout=60)
        connection.request(verb, path, body, headers)
        return connection.getresponse()


class _Handler(BaseHTTPRequestHandler):
    store: FaultyStore
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        self.close_connection = True
        self.raw_requestline = self.rfile.readline(65537)
        if self.raw_requestline and self.parse_request():
            self.close_connection = self._pass_on() or self.close_connection

    def _pass_on(self) -> bool:
        """Answer one request; True when the connection must end."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.store.next_fault(self.command, self.path)
        if fault not in ("throttled", "failed"):
            answer = self.store.answer(self.command, self.path, dict(self.headers), body)
            content = answer.read()
        if fault in _ANSWERS:
            status, code, message = _ANSWERS[fault]
            self._say(status, {"Content-Type": "application/xml"}, f"<?xml version='1.0' encoding='UTF-8'?><Error>"
                      f"<Code>{code}</Code><Message>{message}</Message></Error>".encode())  # fmt: skip
            return False
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in ("connection", "date")}
        self._say(answer.status, headers, content[:_DROPPED_AFTER] if fault else content)
        return bool(fault)

    def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding"):
                self.send_header(name, value)
        stated = next((value for name, value in headers.items() if name.lower() == "content-length"), str(len(body)))
        self.send_header("Content-Length", stated)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
