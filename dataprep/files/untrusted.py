"""Data from elsewhere: what a data set names may have been put there by anybody, so no name becomes a path unchecked.

Every reader of ids, shards' names, JSON and paths below a folder asks here, and every command that writes files named
by a data set writes them through `inside`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from dataprep.errors import StoreError

_SAMPLE_ID = re.compile(r"[0-9a-f]{32}")
_SHARD_NAME = re.compile(r"(train|val)-[0-9]{5}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # spreadsheets read the wide ones, too
_NOT_OURS = "this was not written by shhq-hs, or is damaged"
_SHOWN = 60  # characters of a bad name


def require_sample_ids(ids: Iterable[object], where: object) -> None:
    """Raise StoreError, which names `where` and the row, unless all are 32 hexadecimal digits."""
    for row, sample_id in enumerate(ids):
        if not (isinstance(sample_id, str) and _SAMPLE_ID.fullmatch(sample_id)):
            raise StoreError(f"{where}: row {row} has the sample id {_shown(sample_id)}, expected 32 hexadecimal "
                             f"digits: {_NOT_OURS}")  # fmt: skip


def require_shard_name(name: object, where: object) -> None:
    """Raise StoreError unless a shard is called train-00000 or val-00000, with any digits."""
    if not (isinstance(name, str) and is_shard_name(name)):
        raise StoreError(f"{where}: a shard is called {_shown(name)}, expected train-00000 or val-00000: "
                         f"{_NOT_OURS}")  # fmt: skip


def is_shard_name(name: str) -> bool:
    """Whether a shard of ours may be called so, without the suffix."""
    return _SHARD_NAME.fullmatch(name) is not None


def require_word(word: object, what: str) -> None:
    """Raise StoreError unless a word can be a part of a file's name: letters, digits, `_`, `.` and `-`."""
    if not (isinstance(word, str) and _WORD.fullmatch(word)):
        raise StoreError(f"{what} is {_shown(word)}, expected letters and digits: {_NOT_OURS}")


def parse_json(text: str | bytes) -> Any:
    """`json.loads`; raises ValueError for what nests too deeply, too."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def leads_below(name: str) -> bool:
    """Whether `folder / name` lies below the folder, as far as the name tells: relative, and never upwards."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def lies_within(path: Path, folder: Path) -> bool:
    """Whether a path leads to a place below a folder, once all links are followed; loops lead nowhere."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def as_cell(text: str) -> str:
    """A text for a table that people open in a spreadsheet: what would be a formula there begins with an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def inside(folder: Path, *names: str) -> Path:
    """`folder / names`, to write to; raises StoreError where a name or a link on the way leads out of the folder."""
    path = folder.joinpath(*names)
    if not all(map(leads_below, names)) or not lies_within(path.parent, folder):
        raise StoreError(f"{path} leads out of {folder}, which is all that this command writes to; delete the link, or "
                         "name another place")  # fmt: skip
    return path


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
