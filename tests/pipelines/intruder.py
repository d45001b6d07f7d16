"""Somebody else on this machine: no keys, and another user id where that can be had. Prints what it got, as JSON.

    python -m tests.pipelines.intruder UID PORT ...

`rehearsal` is what it gets of an open cluster, so that coming back with nothing means something.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.request
from collections.abc import Iterable
from http.client import HTTPException
from typing import Any

from distributed import LocalCluster, rpc
from distributed.protocol.pickle import dumps
from distributed.security import Security

_PATIENCE_S = 5
_PAGES = ("/info/main/workers.html", "/json/counts.json", "/metrics", "/health", "/status")


async def attack(ports: Iterable[int]) -> list[str]:
    """Speak to every port as dask does, with and without keys of one's own, and as a browser."""
    speakers = (("tcp", Security(require_encryption=False)), ("tls", Security.temporary()))
    tries = [_speak(f"{protocol}://127.0.0.1:{port}", keys) for port in ports for protocol, keys in speakers]
    tries += [asyncio.to_thread(_browse, f"http://127.0.0.1:{port}{page}") for port in ports for page in _PAGES]
    return [got for got in await asyncio.gather(*tries) if got]


async def _speak(address: str, keys: Security) -> str:
    try:
        async with rpc(address, connection_args=keys.get_connection_args("client"), timeout=_PATIENCE_S) as remote:
            who = await asyncio.wait_for(remote.identity(), _PATIENCE_S)
            ran: Any = await asyncio.wait_for(remote.run(function=dumps(os.getuid)), _PATIENCE_S)
            return f"{address}: {who['type']} ran code: {ran}"
    except Exception:  # a refusal looks like anything; the rehearsal shows that a success would be seen
        return ""


def _browse(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:
            return f"{url}: {answer.read(100)!r}"
    except (OSError, HTTPException):
        return ""


async def main(uid: int, ports: list[int]) -> None:
    async with LocalCluster(n_workers=1, processes=False, protocol="tcp", asynchronous=True) as cluster:
        worker = cluster.workers[0]
        rehearsal = await attack([worker.port, worker.http_server.port])
    if uid != os.getuid():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    print(json.dumps({"uid": os.getuid(), "rehearsal": len(rehearsal), "got": await attack(ports)}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
