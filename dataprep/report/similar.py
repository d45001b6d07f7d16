"""Near-duplicates: the manifest's clusters, and the same question asked again of the released hashes.

The manifest decides clusters and splits. Here they are checked: hashes of all selected rows are clustered anew, and a
cluster with members in both splits is a leak, whatever the manifest's own columns say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataprep.duplicates import HASH_BYTES, clusters
from dataprep.report.census import Census


@dataclass(frozen=True)
class Cluster:
    """Portraits that look alike, by the manifest's rank or by id."""

    cluster: int
    size: int
    splits: tuple[str, ...]
    members: tuple[str, ...]  # up to a limit


@dataclass(frozen=True)
class Similar:
    """Near-duplicates and leaks.

    recorded: clusters of two or more in the manifest; removed: members that are not selected for it; found: clusters
    of two or more among the selected rows' hashes; leaks: those with members in both splits; same_file: inputs that
    are selected in both splits with the same bytes.
    """

    bits: int
    recorded: int
    removed: int
    found: int
    leaks: int
    leaked_rows: int
    same_file: int
    largest: tuple[Cluster, ...]
    leaking: tuple[Cluster, ...]


def similar(census: Census, bits: int, limit: int, members: int) -> Similar:
    """`bits`: hashes at most this far apart are near-duplicates; `limit` clusters of `members` are named."""
    recorded = _groups(census.floats("dup_cluster"), np.ones(len(census), bool))
    removed = sum(rank is not None and rank > 0 and not chosen
                  for rank, chosen in zip(census.column("dup_rank"), census.selected, strict=True))  # fmt: skip
    found = _groups(_rehashed(census, bits), census.selected)
    splits = census.column("split")
    leaking = [rows for rows in found if len({splits[i] for i in rows}) > 1]
    largest = sorted(recorded, key=lambda rows: (-len(rows), census.ids[rows[0]]))

    def named(groups: Sequence[np.ndarray]) -> tuple[Cluster, ...]:
        return tuple(_cluster(census, splits, number, rows, members) for number, rows in enumerate(groups[:limit]))

    return Similar(
        bits, len(recorded), int(removed), len(found), len(leaking), sum(map(len, leaking)), _same_file(census, splits),
        named(largest), named(sorted(leaking, key=lambda rows: (-len(rows), census.ids[rows[0]]))),
    )  # fmt: skip


def _rehashed(census: Census, bits: int) -> np.ndarray:
    """Cluster number of every selected row with a hash, NaN elsewhere."""
    hashes = census.column("portrait_dhash")
    rows = np.array([i for i, chosen in enumerate(census.selected) if chosen and hashes[i] is not None], int)
    packed = np.frombuffer(b"".join(hashes[i] for i in rows), np.uint8).reshape(-1, HASH_BYTES)
    out = np.full(len(census), np.nan)
    out[rows] = clusters(packed, bits)
    return out


def _groups(cluster: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Rows of every cluster of two or more."""
    members = np.flatnonzero(rows & ~np.isnan(cluster))
    members = members[np.argsort(cluster[members], kind="stable")]
    starts = np.flatnonzero(np.diff(cluster[members], prepend=-1))
    return [group for group in np.split(members, starts[1:]) if len(group) > 1]


def _cluster(census: Census, splits: list[str], number: int, rows: np.ndarray, members: int) -> Cluster:
    both = sorted({splits[i] or "not selected" for i in rows})
    first_of_each = [next(i for i in rows if (splits[i] or "not selected") == split) for split in both]
    shown = dict.fromkeys([*first_of_each, *rows.tolist()])
    return Cluster(number, len(rows), tuple(both), tuple(census.ids[i] for i in list(shown)[:members]))


def _same_file(census: Census, splits: list[str]) -> int:
    """Files whose bytes are selected in more than one split."""
    seen: dict[bytes, set[str]] = {}
    for sha256, split, chosen in zip(census.column("source_sha256"), splits, census.selected, strict=True):
        if chosen and sha256 is not None:
            seen.setdefault(sha256, set()).add(split)
    return sum(len(found) > 1 for found in seen.values())
