"""Lists of inputs: a CSV or parquet file with a path or a URL a row, and what is known of it.

| column | meaning |
|---|---|
| path (file, file_name, filename) | below the folder of the list, or of `--root` |
| url (image_url) | where it is downloaded from; beside a path it is only carried along |
| sha256 | of the file's bytes, hex; another one makes the row an error |
| license (licence) | terms of this input, in place of `ingest.license` |
| consent | what is known of the consent of those shown |
| caption (text) | what is said of the picture |
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dataprep.errors import ConfigError
from dataprep.files.filenames import unescape
from dataprep.files.foreign_files import why
from dataprep.files.locations import Location, ObjectPath
from dataprep.files.untrusted import leads_below
from dataprep.inputs.known_facts import NAMES, SHA256, columns_of

_URL = re.compile(r"https?://[^\s/]", re.IGNORECASE)


@dataclass(frozen=True)
class Listed:
    """One row of a list. `path` is text as `dataprep.files.filenames.escape` writes it, relative; "" for a URL."""

    path: str
    url: str | None = None
    sha256: str | None = None
    license: str | None = None
    consent: str | None = None
    caption: str | None = None

    @property
    def name(self) -> str:
        """What the input is called in the data set."""
        return self.path or self.url or ""


def read_list(file: Location, root: Location) -> list[Listed]:
    """Return the rows of a list; raises ConfigError, which names the file and the row, for what is no list."""
    rows: list[Listed] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(_rows(file), start=1):
        one = _listed(row, f"{file}, row {number}", root)
        if one.name in seen:
            raise ConfigError(f"{file}, row {number}: {one.name!r} stands in row {seen[one.name]}, too; delete one of "
                              "them")  # fmt: skip
        seen[one.name] = number
        rows.append(one)
    if not rows:
        raise ConfigError(f"{file}: the list has no row; expected a path or a URL in each")
    return rows


def _listed(row: Mapping[str, str | None], where: str, root: Location) -> Listed:
    path, url, sha256 = row["path"], row["url"], row["sha256"]
    if not path and not url:
        raise ConfigError(f"{where}: neither a path nor a url; fill one in, or delete the row")
    if url and not _URL.match(url):
        raise ConfigError(f"{where}: url is {url[:80]!r}, expected http:// or https://")
    if sha256 and not SHA256.fullmatch(sha256.lower()):
        raise ConfigError(f"{where}: sha256 is {sha256[:80]!r}, expected 64 hexadecimal digits")
    below = _below(path, root, where) if path else ""
    return Listed(below, url, sha256.lower() if sha256 else None, row["license"], row["consent"],
                  row["caption"])  # fmt: skip


def _below(path: str, root: Location, where: str) -> str:
    """The path below `root`; one that is absolute, or a whole URL of an object store, must lie there."""
    if isinstance(root, ObjectPath):
        path = path.removeprefix(f"{root}/")
    if isinstance(root, Path) and os.path.isabs(path):
        path = os.path.relpath(path, root)
    is_url, path = "://" in path, os.path.normpath(path)
    if is_url or not leads_below(unescape(path)):
        raise ConfigError(f"{where}: the path {path[:200]!r} does not lead below {root}; name the folder that all "
                          "paths lie in with --root")  # fmt: skip
    return path


def _rows(file: Location) -> Iterator[dict[str, str | None]]:
    """The columns that count, under our names, as text; None where there is nothing."""
    table = _read_parquet(file) if file.suffix.lower() == ".parquet" else _read_csv(file)
    known = columns_of(table.column_names)
    if "path" not in known and "url" not in known:
        raise ConfigError(f"{file}: no column path and no column url; it has: {', '.join(table.column_names)[:300]}")
    columns = {ours: _texts(table[known[ours]]) if ours in known else [None] * len(table) for ours in NAMES}
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    return [None if value is None or str(value).strip() == "" else str(value).strip() for value in column.to_pylist()]


def _read_parquet(file: Location) -> pa.Table:
    try:
        source = pa.BufferReader(file.read_bytes())
        with pq.ParquetFile(source) as parquet:
            names = parquet.schema_arrow.names
            table = parquet.read(list(columns_of(names).values()))
        return table if table.column_names else pa.table({name: pa.array([], pa.string()) for name in names})
    except (pa.ArrowException, ValueError, OSError) as error:
        raise ConfigError(f"{file}: not a parquet file that can be read ({error})") from error


def _read_csv(file: Location) -> pa.Table:
    try:
        text = file.read_bytes().decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t" if file.suffix.lower() == ".tsv" else ","))
    except OSError as error:
        raise ConfigError(f"{file}: the list cannot be read: {why(error)}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{file}: not a CSV file in UTF-8 ({error})") from error
    head, *body = rows or [[]]
    return pa.table({name: pa.array(list(_column(body, i)), pa.string()) for i, name in enumerate(head)})


def _column(body: Iterable[list[str]], place: int) -> Iterator[str | None]:
    for row in body:
        if row:
            yield row[place] if place < len(row) else None
