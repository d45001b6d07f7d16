"""Downloads from http and https, through fsspec: limited in size, tried again, and never to a private address unasked.

A list may come from anybody. Who downloads what it names, asks servers in the name of this machine; some of those
answer nobody else: services of this machine and of the local network, credentials at link-local addresses of clouds.
So names are resolved here, once, and the connection goes to the address that was looked at; each step of a redirection
is judged anew. `fetch.private_addresses` turns that off.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import fsspec

from dataprep.errors import ConfigError
from dataprep.inputs.gathering import Fetch

NOT_FETCHED = "not_fetched"  # the reason of what could not be downloaded
_REDIRECTIONS = 5
_PIECE_BYTES = 1 << 20
_BUSY = {408, 425, 429}  # and 5xx: later it may answer
_AGENT = "shhq-hs (data set of portraits)"


@dataclass(frozen=True)
class Download:
    """What came of a URL: its bytes, or why there are none. `lasting`: it would be the same later."""

    url: str
    data: bytes = b""
    refused: str = ""
    lasting: bool = True


class _NotNow(Exception):
    """A server did not answer, or says that it is busy."""


class _Refused(Exception):
    """It would be the same later."""


def download(urls: Iterable[str], fetch: Fetch, keep: Callable[[Download], None], stopped: Callable[[], bool]) -> None:
    """Download many; `keep` is called for each, in this thread, as it ends. Raises KeyboardInterrupt once `stopped`."""
    client = _Client(fetch)
    with ThreadPoolExecutor(fetch.at_once) as pool:
        for one in pool.map(lambda url: None if stopped() else client.get(url), urls):
            if one is None:
                raise KeyboardInterrupt
            keep(one)


def is_public(address: str) -> bool:
    """Whether an address may be asked by anybody: neither this machine, nor a local network, nor link-local."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_global and not found.is_multicast


class _Client:
    """Connections for many downloads; safe in threads."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._most = round(fetch.most_mib * (1 << 20))
        self._aiohttp, self._fs = _Transport.load(fetch)

    def get(self, url: str) -> Download:
        """Download one URL, as often as it takes."""
        pause_s, said = self._fetch.first_pause_s, ""
        for attempt in range(self._fetch.tries):
            if attempt:
                time.sleep(pause_s)
                pause_s *= 2
            try:
                return Download(url, self._once(url))
            except _Refused as error:
                return Download(url, refused=f"{NOT_FETCHED}: {error}")
            except _NotNow as error:
                said = str(error)
        return Download(url, refused=f"{NOT_FETCHED}: {said}", lasting=False)

    def _once(self, url: str) -> bytes:
        for _ in range(_REDIRECTIONS + 1):
            self._require_allowed(url)
            content = self._ask(url)
            if isinstance(content, bytes):
                return content
            url = urljoin(url, content)
        raise _Refused(f"more than {_REDIRECTIONS} redirections")

    def _require_allowed(self, url: str) -> None:
        """Addresses that are written as numbers; names are judged when they are resolved."""
        parts = urlsplit(url)
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            raise _Refused("it leads to something that is neither http nor https")
        try:
            public = is_public(parts.hostname)
        except ValueError:
            return
        if not public and not self._fetch.private_addresses:
            raise _Refused(_PRIVATE)

    def _ask(self, url: str) -> bytes | str:
        """The bytes, or where to look instead."""
        http = self._aiohttp
        try:
            # A size spares a request for it; without blocks the answer is read as it comes.
            with self._fs.open(url, block_size=0, size=1, allow_redirects=False) as file:
                if 300 <= file.r.status < 400 and (place := file.r.headers.get("Location")):
                    return str(place)
                return self._read(file)
        except FileNotFoundError as error:
            raise _Refused("the server says 404, not found") from error
        except http.ClientResponseError as error:
            if error.status in _BUSY or error.status >= 500:
                raise _NotNow(f"the server says {error.status}") from error
            raise _Refused(f"the server says {error.status}") from error
        except http.InvalidURL as error:
            raise _Refused("it is no URL") from error
        except (TimeoutError, http.ClientError, OSError) as error:
            if any(isinstance(one, _Private) for one in _causes(error)):
                raise _Refused(_PRIVATE) from error
            raise _NotNow("the server does not answer") from error

    def _read(self, file: Any) -> bytes:
        pieces, size = [], 0
        while piece := file.read(_PIECE_BYTES):
            pieces.append(piece)
            size += len(piece)
            if size > self._most:
                raise _Refused(f"it has more than {self._fetch.most_mib:g} MiB (fetch.most_mib)")
        return b"".join(pieces)


_PRIVATE = "its server has a private address; fetch.private_addresses=yes allows that"


class _Private(OSError):
    """A name leads to an address that is not public."""


def _causes(error: BaseException) -> Iterable[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        inner = getattr(one, "os_error", None)
        if inner is not None and inner is not one:
            yield inner
        one = one.__cause__ or one.__context__


class _PublicNames:
    """A resolver as aiohttp takes it, which knows no private address."""

    def __init__(self, resolver: Any) -> None:
        self._resolver = resolver

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> Any:
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(one["host"]) for one in found):
            raise _Private(f"{host} has a private address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


class _Transport:
    """What requests go through."""

    @staticmethod
    def load(fetch: Fetch) -> tuple[Any, Any]:
        """Return the package aiohttp, which need not be installed, and a file system of fsspec over it."""
        try:
            import aiohttp
        except ImportError as error:
            raise ConfigError("the list names URLs, and the package aiohttp is missing; install it with: "
                              "pip install 'shhq-hs[http]'") from error  # fmt: skip

        async def client(loop: Any = None, **kwargs: Any) -> Any:
            resolver: Any = aiohttp.ThreadedResolver()
            chosen: Any = resolver if fetch.private_addresses else _PublicNames(resolver)
            connector = aiohttp.TCPConnector(resolver=chosen, limit=fetch.at_once)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=fetch.timeout_s, sock_read=fetch.timeout_s)
            return aiohttp.ClientSession(connector=connector, timeout=timeout, headers={"User-Agent": _AGENT})

        return aiohttp, fsspec.filesystem("http", get_client=client, skip_instance_cache=True)


def key_of(url: str) -> str:
    """Return the name under which a download lies: 32 hex digits."""
    return hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:32]
