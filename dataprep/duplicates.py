"""Near-duplicates: a 256-bit difference hash per portrait, and clusters of portraits whose hashes almost agree."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Int, UInt8

from dataprep.components import joined, numbered

HASH_SIDE = 16
HASH_BYTES = HASH_SIDE * HASH_SIDE // 8
_FEW = 64  # members of a group that are compared with each other; larger groups are divided by more bits
_MANY_LINKS = 1 << 21


def difference_hash(rgb: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """32 bytes: is each cell of a 16 x 17 grid brighter than its right neighbour? Robust to scale and compression."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    cells = cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.packbits(cells[:, :-1] > cells[:, 1:]).tobytes()


def clusters(hashes: UInt8[np.ndarray, "n 32"], max_distance: int) -> Int[np.ndarray, "n"]:
    """Cluster number of each hash: hashes at most `max_distance` bits apart are linked, links are transitive.

    Exact: two hashes within d bits agree entirely in at least one of d + 1 bands, so only equal bands are compared.
    Numbers count up in order of first appearance.
    """
    links = [links_of_band(hashes, max_distance, band) for band in range(band_count(max_distance))]
    return numbered(joined(np.concatenate(links), len(hashes)))


def band_count(max_distance: int) -> int:
    """How many bands there are: with one more than bits may differ, one is the same in both."""
    return max_distance + 1


def links_of_band(hashes: UInt8[np.ndarray, "n 32"], max_distance: int, band: int) -> Int[np.ndarray, "k 2"]:
    """Pairs that agree in a band and are at most `max_distance` bits apart, or fewer pairs that link the same rows.

    A band's bits lie all over the picture: white backgrounds would make bands of neighbouring bits all alike. What is
    alike all the same is divided again by the bits that are left, in the same way, so that it stays exact.
    """
    distinct, row = np.unique(_as_text(hashes), return_index=True)
    words = (
        np.frombuffer(distinct.tobytes(), np.uint64).reshape(len(row), -1) if len(row) else np.zeros((0, 4), np.uint64)
    )
    copies = np.stack([row[np.searchsorted(distinct, _as_text(hashes))], np.arange(len(hashes))], axis=1)
    links = _Links(len(hashes))
    links.add(copies[copies[:, 0] != copies[:, 1]] if band == 0 else copies[:0])
    bits = np.arange(8 * HASH_BYTES)
    of_band = bits[band :: band_count(max_distance)]
    _compare(_Rows(words, row, hashes[row], links), of_band, np.setdiff1d(bits, of_band), np.zeros(len(row), np.int64),
             np.arange(len(row)), max_distance)  # fmt: skip
    return links.all()


class _Links:
    """Pairs found so far, as few as link the same rows."""

    def __init__(self, rows: int) -> None:
        self._rows, self._found, self._count = rows, [np.zeros((0, 2), np.int64)], 0

    def add(self, pairs: Int[np.ndarray, "k 2"]) -> None:
        self._found.append(pairs)
        self._count += len(pairs)
        if self._count > _MANY_LINKS:
            self._found, self._count = [self._spanning()], 0

    def all(self) -> Int[np.ndarray, "k 2"]:
        return self._spanning()

    def _spanning(self) -> Int[np.ndarray, "k 2"]:
        labels = joined(np.concatenate(self._found), self._rows)
        _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        pairs = np.stack([first[inverse], np.arange(self._rows)], axis=1)
        return pairs[pairs[:, 0] != pairs[:, 1]]


class _Rows:
    """Distinct hashes as words and as bytes, the row that each came from, and where links go."""

    def __init__(
        self, words: np.ndarray, row: Int[np.ndarray, " m"], packed: UInt8[np.ndarray, "m 32"], links: _Links
    ) -> None:
        self.words, self.row, self.packed, self.links = words, row, packed, links


def _compare(
    rows: _Rows, key_bits: np.ndarray, left: np.ndarray, group: np.ndarray, members: np.ndarray, most: int
) -> None:
    """Link members of one group that agree in `key_bits`; large groups are divided by the bits `left` if that pays."""
    order, keys = _sorted_groups(rows.packed, key_bits, group, members)
    members, sizes = members[order], np.bincount(keys)
    parts = [left[i :: most + 1] for i in range(most + 1)]
    large = sizes > _FEW
    if large.any():
        some = large[keys]
        large &= (
            sum(_pairs_after(rows.packed, bits, keys[some], members[some], len(sizes)) for bits in parts) < sizes**2
        )
    whole = ~large[keys]
    _link(rows, members[whole], keys[whole], most)
    if large.any():
        for bits in parts:
            _compare(rows, bits, np.setdiff1d(left, bits), keys[~whole], members[~whole], most)


def _pairs_after(
    packed: np.ndarray, bits: np.ndarray, group: np.ndarray, members: np.ndarray, groups: int
) -> Int[np.ndarray, " g"]:
    """Twice the comparisons that are left of each group when it is divided by some more bits."""
    order, keys = _sorted_groups(packed, bits, group, members)
    first = group[order][np.flatnonzero(np.diff(keys, prepend=-1))]
    return np.bincount(first, np.bincount(keys).astype(np.float64) ** 2, minlength=groups)


def _sorted_groups(
    packed: np.ndarray, bits: np.ndarray, group: np.ndarray, members: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """An order in which equal keys stand together, and the number of the key in that order."""
    key = np.zeros((len(members), -(-len(bits) // 8)), np.uint8)
    for i, bit in enumerate(bits.tolist()):
        key[:, i // 8] |= (packed[members, bit // 8] >> (7 - bit % 8) & 1) << (i % 8)
    text = np.concatenate([group.astype(np.uint32)[:, None].view(np.uint8), key], axis=1)
    _, number = np.unique(_as_text(text), return_inverse=True)
    order = np.argsort(number, kind="stable")
    return order, number[order]


def _link(rows: _Rows, members: np.ndarray, keys: np.ndarray, most: int) -> None:
    """Every member against every later one of its group, one distance in the sorted order after the other."""
    here = np.arange(len(members))
    for step in range(1, len(members)):
        here = here[here + step < len(members)]
        here = here[keys[here] == keys[here + step]]
        if not len(here):
            return
        one, other = members[here], members[here + step]
        near = _distance(rows.words[one], rows.words[other]) <= most
        rows.links.add(np.stack([rows.row[one[near]], rows.row[other[near]]], axis=1))


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Bits in which words differ, added up over a row (numpy 1.26 cannot count them)."""
    x = a ^ b
    x = x - (x >> np.uint64(1) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + (x >> np.uint64(2) & np.uint64(0x3333333333333333))
    x = x + (x >> np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((x * np.uint64(0x0101010101010101)) >> np.uint64(56)).sum(axis=1)


def _as_text(rows: UInt8[np.ndarray, "n k"]) -> np.ndarray:
    """Rows of bytes as what numpy sorts fast."""
    return np.ascontiguousarray(rows).view(f"S{rows.shape[1]}").ravel()
