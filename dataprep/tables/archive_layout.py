"""Which files below a source folder are archives of pictures, and which tables only tell of what lies beside them."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from dataprep.files.untrusted import is_shard_name
from dataprep.tables.input_rows import Source
from dataprep.tables.layouts import is_tar, suffix_of
from dataprep.tables.shard_folders import SHARDS_INDEX

_TABLE = ".parquet"


def archives_among(found: Mapping[str, tuple[int, str | None]]) -> tuple[tuple[Source, ...], dict[str, str]]:
    """Return archives and, by folder, the tables beside folders; `found` has size and refusal of every file.

    A tar is one, and a table that does not merely tell of the tar or of the folder of its name: whether it holds
    pictures, who reads it will see. Shards of ours are none: they hold portraits, not photographs.
    """
    has_tables = any(suffix_of(path) == _TABLE for path in found)
    folders = {path[:at] for path in found for at in _slashes(path)} if has_tables else set[str]()
    archives: list[Source] = []
    tables: dict[str, str] = {}
    for path, (size, refused) in found.items():
        stem = path.rpartition(".")[0]
        if is_tar(path) and not _is_shard(path, found):
            beside = table_beside(path)
            archives.append(Source(path, size, refused=refused, beside=beside if beside in found else None))
        elif suffix_of(path) == _TABLE and stem in folders:
            tables[stem] = path
        elif suffix_of(path) == _TABLE and f"{stem}.tar" not in found and not refused:
            archives.append(Source(path, size))
    return tuple(archives), tables


def table_beside(tar: str) -> str:
    """Return the path of the table that tells of a tar's pictures, where there is one."""
    return f"{tar.rpartition('.')[0]}{_TABLE}"


def _slashes(path: str) -> Iterator[int]:
    return (at for at, letter in enumerate(path) if letter == "/" and at)


def _is_shard(path: str, found: Container[str]) -> bool:
    folder, slash, name = path.rpartition("/")
    return is_shard_name(name.removesuffix(".tar")) and f"{folder}{slash}{SHARDS_INDEX}" in found
