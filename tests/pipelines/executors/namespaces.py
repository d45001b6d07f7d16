"""Hosts for tests of clusters: network namespaces of this machine, joined by a bridge in the first of them.

They share files (as machines share a network disk) and nothing of the network but that bridge: neither loopback nor
the way out. Pulling a host's cable is taking its end of the bridge down.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

_NETWORK = "10.213.77"


@dataclass(frozen=True)
class Host:
    """A network namespace; `port` is the bridge's end of its cable."""

    namespace: str
    address: str
    port: str = ""
    hub: str = ""

    def command(self, *command: str) -> list[str]:
        """`command`, to run on this host."""
        return ["ip", "netns", "exec", self.namespace, *command]

    def cable(self, state: str) -> None:
        """`state`: up or down."""
        _ip("-n", self.hub, "link", "set", self.port, state)


@cache
def why_not() -> str:
    """Why this machine cannot make such hosts; "" when it can."""
    if shutil.which("ip") is None:
        return "no `ip` command: apt-get install iproute2"
    try:
        with hosts(1):
            return ""
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be made here ({error.stderr.strip()}): it takes root and CAP_NET_ADMIN"


@contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """`count` hosts, the first with the bridge; gone afterwards."""
    tag = f"shhq{os.getpid() % 10000}{uuid.uuid4().hex[:3]}"
    made: list[str] = []
    try:
        hub = f"{tag}-0"
        _ip("netns", "add", hub)
        made.append(hub)
        _ip("-n", hub, "link", "set", "lo", "up")
        _ip("-n", hub, "link", "add", "bridge", "type", "bridge")
        _ip("-n", hub, "address", "add", f"{_NETWORK}.1/24", "dev", "bridge")
        _ip("-n", hub, "link", "set", "bridge", "up")
        found = [Host(hub, f"{_NETWORK}.1")]
        for i in range(1, count):
            name, port, address = f"{tag}-{i}", f"port{i}", f"{_NETWORK}.{i + 1}"
            _ip("netns", "add", name)
            made.append(name)
            _ip("-n", hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("-n", hub, "link", "set", port, "master", "bridge", "up")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            found.append(Host(name, address, port, hub))
        yield found
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
