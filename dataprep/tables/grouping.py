"""Which rows of a data set belong together: near-duplicates, photographs of one person, what stays in one split."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int, UInt8
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from dataprep.duplicates import clusters
from dataprep.same_people import same_people

NO_GROUP = -1


def near_duplicates(
    hashes: UInt8[np.ndarray, "m 32"], judged: Bool[np.ndarray, "n"], max_distance: int
) -> Int[np.ndarray, "n"]:
    """Return the cluster of every judged row, of which `hashes` are; NO_GROUP elsewhere."""
    cluster = np.full(len(judged), NO_GROUP)
    cluster[judged] = clusters(hashes, max_distance)
    return cluster


def people(
    likeness: Float[np.ndarray, "n k"],
    likeness_self: Float[np.ndarray, "n"],
    accepted: Bool[np.ndarray, "n"],
    min_cosine: float,
    min_self: float,
) -> Int[np.ndarray, "n"]:
    """Return the number of the person of every accepted row, NO_GROUP elsewhere.

    Rejected rows take no part: blurred faces and profiles are among them, and they resemble too many. A row whose face
    and mirror image agree by less than `min_self`, or that has no likeness, is a person of its own.
    """
    person = np.full(len(accepted), NO_GROUP)
    sure = accepted & (likeness_self >= min_self)
    person[sure] = same_people(likeness[sure], min_cosine)
    alone = np.flatnonzero(accepted & ~sure)
    person[alone] = person.max(initial=NO_GROUP) + 1 + np.arange(len(alone))
    return person


def either(a: Int[np.ndarray, "n"], b: Int[np.ndarray, "n"]) -> Int[np.ndarray, "n"]:
    """Return groups of rows that share a group of `a` or one of `b`, links being transitive; NO_GROUP where `a` has it.

    Rows without a group in `b` are linked by `a` alone.
    """
    rows = np.flatnonzero((a >= 0) & (b >= 0))
    count = int(a.max(initial=0)) + 1
    nodes = count + int(b.max(initial=0)) + 1  # the groups of `a`, then those of `b`
    links = coo_matrix((np.ones(len(rows)), (a[rows], count + b[rows])), shape=(nodes, nodes))
    _, joined = connected_components(links, directed=False)
    return np.where(a >= 0, joined[np.maximum(a, 0)], NO_GROUP)


def codes(names: pa.ChunkedArray) -> Int[np.ndarray, "n"]:
    """Return a number for each name, NO_GROUP where there is none."""
    encoded = names.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.fill_null(NO_GROUP)).astype(np.int64)


def first_rows(group: Int[np.ndarray, "n"], order: Int[np.ndarray, "n"]) -> Int[np.ndarray, "n"]:
    """Return, for every row, the row of its group that came first (`order`: place in the index); NO_GROUP stays."""
    rows = np.flatnonzero(group >= 0)
    rows = rows[np.lexsort((order[rows], group[rows]))]
    starts = np.flatnonzero(np.diff(group[rows], prepend=NO_GROUP))
    first = np.full(len(group), NO_GROUP)
    first[rows] = np.repeat(rows[starts], np.diff(starts, append=len(rows)))
    return first


def ranks(
    group: Int[np.ndarray, "n"], accepted: Bool[np.ndarray, "n"], order: Int[np.ndarray, "n"]
) -> Int[np.ndarray, "n"]:
    """Return the rank of every row in its group, NO_GROUP where it has none.

    Accepted rows rank first, then earlier inputs (`order` is a row's place in the index), so that images which are
    added later do not take the place of published ones.
    """
    rows = np.flatnonzero(group >= 0)
    rows = rows[np.lexsort((order[rows], ~accepted[rows], group[rows]))]
    starts = np.flatnonzero(np.diff(group[rows], prepend=NO_GROUP))
    rank = np.full(len(group), NO_GROUP)
    rank[rows] = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    return rank


def is_validation(first_id: str, fraction: float) -> bool:
    """Whether a group whose first input has this id is in the validation split: it depends on the id alone."""
    return int(hashlib.sha256(f"split:{first_id}".encode()).hexdigest()[:8], 16) / 2**32 < fraction
