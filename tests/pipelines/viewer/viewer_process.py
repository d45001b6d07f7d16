"""The viewer as people start it: a process of its own, and requests to it as anybody can make them."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_START_S = 120


@dataclass
class Reply:
    """A status, headers and what came with them."""

    status: int
    headers: dict[str, str]
    data: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.data)


class ViewerProcess:
    """`shhq-hs view`; a context manager, killed at its end."""

    def __init__(self, out: object, *options: str) -> None:
        command = [sys.executable, "-m", "pipelines.main", "view", str(out), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.output = ""
        timer = threading.Timer(_START_S, self.process.kill)
        timer.start()
        for line in self.process.stdout or ():
            self.output += line
            if line.startswith("http://"):
                break
        timer.cancel()
        found = re.search(r"http://127\.0\.0\.1:\d+/\S+/", self.output)
        assert found, self.output
        self.address = found[0]
        self.port = int(urlsplit(self.address).port or 0)
        self.token = urlsplit(self.address).path.strip("/")

    def __enter__(self) -> ViewerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL: nothing can be saved any more."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def get(self, path: str, token: str | None = None, **headers: str) -> Reply:
        """GET below the token, or below another one."""
        return self.request("GET", f"/{self.token if token is None else token}/{path}", None, headers)

    def post(self, path: str, content: Any, **headers: str) -> Reply:
        """POST of JSON as the page does it."""
        usual = {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{self.port}"}
        return self.request("POST", f"/{self.token}/{path}", json.dumps(content), usual | headers)

    def request(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Reply:
        """Anything at all; `Content_Type` stands for Content-Type."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        reply = Reply(answer.status, dict(answer.getheaders()), answer.read())
        connection.close()
        return reply

    def resident_mib(self, peak: bool = False) -> float:
        """Memory of the process, now or at most."""
        said = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(said.split("VmHWM:" if peak else "VmRSS:")[1].split()[0]) / 1024
