"""A real S3 server on loopback (moto's, a process of its own), and counts of the requests it answered."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dataprep.files import locations
from dataprep.files.locations import ObjectPath

_REQUEST = re.compile(r'"(?:\x1b\[[0-9;]*m)*(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP')


@dataclass(frozen=True)
class S3Server:
    """`environment` is what a client needs to find it."""

    url: str
    log: Path
    environment: dict[str, str]

    def requests(self) -> Counter[str]:
        """Answered so far: LIST, GET, HEAD, PUT, POST, DELETE."""
        lines = self.log.read_text(errors="replace")
        return Counter("LIST" if "list-type=" in path else verb for verb, path in _REQUEST.findall(lines))

    def writes_below(self, prefix: str) -> list[str]:
        """Requests that wrote or deleted below `/bucket/prefix`."""
        return [f"{verb} {path}" for verb, path in _REQUEST.findall(self.log.read_text(errors="replace"))
                if verb not in ("GET", "HEAD") and path.startswith(prefix)]  # fmt: skip


@contextmanager
def s3_server(folder: Path, **settings: str) -> Iterator[S3Server]:
    """A server that forgets everything at the end; its log lies in `folder`. `settings` are moto's, by environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "s3.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | settings)
    try:
        _await(port, process)
        url = f"http://127.0.0.1:{port}"
        yield S3Server(url, log, {
            "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        })  # fmt: skip
    finally:
        process.kill()
        process.wait()


@contextmanager
def s3_of_this_process(folder: Path) -> Iterator[S3Server]:
    """A server that this process and those it starts find by their environment; earlier connections are forgotten."""
    with s3_server(folder) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        locations._filesystem.cache_clear()
        yield server
        locations._filesystem.cache_clear()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline_s:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the S3 server did not start")


def make_bucket(name: str) -> ObjectPath:
    """An empty bucket of the server that the environment names."""
    import s3fs

    s3fs.S3FileSystem(skip_instance_cache=True).mkdir(name)
    return ObjectPath(f"s3://{name}")


def upload(folder: Path, target: ObjectPath) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            (target / path.relative_to(folder).as_posix()).upload(path)


def contents(root: ObjectPath) -> dict[str, bytes]:
    """Every object below `root`."""
    return {name: (root / name).read_bytes() for name, _ in root.walk()}
