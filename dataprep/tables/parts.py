"""What a part is, apart from where it lies: its record, its name, the places of its images, what it was made from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from dataprep.tables.columns import HASH256, UINT64, Column

_PART = re.compile(r"part-(\d{6})\.parquet")


class Place(NamedTuple):
    """Where an image lies in its part's tar; parts of earlier versions do not say its sha256."""

    offset: int
    size: int
    sha256: bytes | None


@dataclass(frozen=True, slots=True)
class PartRecord:
    """A committed part: what its inputs were called, what they were, what it holds, and its size.

    `key` names the inputs (ids, fingerprints); `made_from` hashes the contents of the parts it was made from, "" where
    an earlier version did not say. `identity`: of the parquet, which holds the sha256 of the tar.
    """

    key: str
    made_from: str
    identity: str
    parquet_bytes: int
    tar_bytes: int | None
    tar_sha256: str = ""


def part_number(name: str) -> int | None:
    """The number in the name of a part's parquet; None for other files."""
    match = _PART.fullmatch(name)
    return int(match[1]) if match else None


def content_of(identities: Iterable[str]) -> str:
    """One hash over the identities of what something is made from, in their order."""
    return hashlib.sha256("".join(identities).encode()).hexdigest()[:32]


def blob_position_columns(blob: str) -> tuple[Column, Column, Column]:
    """Where a row's image lies in the part's tar, and what it is."""
    return (
        Column(f"{blob}:offset", UINT64, f"byte offset of {blob} in the part's tar", unit="B", released=False),
        Column(f"{blob}:size", UINT64, f"bytes of {blob}", unit="B", released=False),
        Column(f"{blob}:sha256", HASH256, f"sha256 of {blob}", released=False),
    )
