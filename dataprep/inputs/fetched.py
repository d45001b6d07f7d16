"""What was downloaded, as it lies in a data set: every URL once.

OUT/inputs/fetched/3f/3f0c...   the bytes, under the hash of the URL
OUT/inputs/fetched.parquet      URL, sha256 and size of each, and why one is not there where that will not change

A download that failed because its server did not answer is tried again by the next run; what failed for good is not,
until `shhq-hs retry` has forgotten it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence

import pyarrow as pa

from dataprep.errors import Damaged
from dataprep.files.locations import Location, listing
from dataprep.inputs.fetching import Download, download, key_of
from dataprep.inputs.gathering import Fetch
from dataprep.tables.columns import HASH256, STRING, UINT64
from dataprep.tables.input_rows import FETCHED_FOLDER, IN_OUT
from dataprep.tables.sealed import read_table
from dataprep.tables.store import atomic_file, write_table

_SCHEMA = pa.schema([("url", STRING), ("sha256", HASH256), ("size", UINT64), ("refused", STRING)])
_KEEP_EVERY_S = 30.0
Known = tuple[bytes | None, int, str]  # sha256, bytes, why there are none


class FetchedFiles:
    """The downloads of a data set."""

    def __init__(self, out: Location) -> None:
        self._out = out
        self._table = out / f"{FETCHED_FOLDER}.parquet"
        self._known = self._read()
        self._passing: dict[str, Known] = {}  # what may be there the next time
        self._buckets: dict[str, dict[str, int]] = {}
        self._kept_s = time.monotonic()

    def missing(self, urls: Sequence[str]) -> list[str]:
        """Return those that are not there and may be had."""
        return [url for url in urls if not self._is_there(url)]

    def fetch(self, urls: Sequence[str], fetch: Fetch, said: Callable[[], None], stopped: Callable[[], bool]) -> None:
        """Download; `said` is called for each that is done. The record is written now and then, and at the end."""

        def keep(one: Download) -> None:
            self._keep(one)
            said()

        try:
            download(urls, fetch, keep, stopped)
        finally:
            self._write()

    def forget(self, urls: Iterable[str]) -> None:
        """Let the next run ask for these again, whether they failed or came with other bytes than a list says."""
        for url in urls:
            self._path(url).unlink(missing_ok=True)
            self._known.pop(url, None)
        self._write()

    def found(self, url: str) -> Known | None:
        """Return digest, size and refusal of a URL; None where nobody has asked for it."""
        return self._known.get(url) or self._passing.get(url)

    def place(self, url: str) -> str:
        """Return where its bytes lie."""
        key = key_of(url)
        return f"{IN_OUT}{FETCHED_FOLDER}/{key[:2]}/{key}"

    def _path(self, url: str) -> Location:
        return self._out / self.place(url).removeprefix(IN_OUT)

    def _is_there(self, url: str) -> bool:
        """A file that no record names was written just before a kill: it is whole."""
        key = key_of(url)
        known = self._known.get(url)
        if known is not None and known[2]:
            return True
        size = self._listed(key[:2]).get(key)
        if size is None or (known is not None and known[1] != size):
            self._known.pop(url, None)
            return False
        if known is None:
            data = self._path(url).read_bytes()
            self._known[url] = (hashlib.sha256(data).digest(), len(data), "")
        return True

    def _listed(self, bucket: str) -> dict[str, int]:
        if bucket not in self._buckets:
            files = listing(self._out / FETCHED_FOLDER / bucket)
            self._buckets[bucket] = {name: size for name, (size, _) in files.items()}
        return self._buckets[bucket]

    def _keep(self, one: Download) -> None:
        if one.refused:
            (self._known if one.lasting else self._passing)[one.url] = (None, 0, one.refused)
        else:
            with atomic_file(self._path(one.url)) as file:
                file.write(one.data)
            self._known[one.url] = (hashlib.sha256(one.data).digest(), len(one.data), "")
        if time.monotonic() - self._kept_s > _KEEP_EVERY_S:
            self._write()

    def _read(self) -> dict[str, Known]:
        if not self._table.exists():
            return {}
        try:
            columns = [read_table(self._table)[name].to_pylist() for name in _SCHEMA.names]
        except (Damaged, KeyError):  # it is only a record: the files are there
            return {}
        return {url: (sha256, size, refused) for url, sha256, size, refused in zip(*columns, strict=True)}

    def _write(self) -> None:
        rows = sorted((url, *known) for url, known in self._known.items())
        arrays = [pa.array([row[i] for row in rows], field.type) for i, field in enumerate(_SCHEMA)]
        write_table(self._table, pa.Table.from_arrays(arrays, schema=_SCHEMA))
        self._kept_s = time.monotonic()
