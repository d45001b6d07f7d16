"""Groups of rows: people, what shares a split, first rows and ranks."""

from __future__ import annotations

import numpy as np
import pytest

from dataprep.tables.grouping import either, first_rows, people, ranks

ALL = np.ones(5, bool)


def test_a_face_that_says_little_is_a_person_of_its_own():
    """All five look the same; two cannot be trusted, one of them because nothing was read."""
    likeness = np.tile([1.0, 0.0], (5, 1))
    likeness[4] = np.nan
    certain = np.array([0.99, 0.5, 0.99, 0.99, np.nan])
    person = people(likeness, certain, ALL, min_cosine=0.9, min_self=0.9)
    assert person[0] == person[2] == person[3]
    assert len(set(person.tolist())) == 3
    assert people(likeness, certain, ~ALL, 0.9, 0.9).tolist() == [-1] * 5  # rejected ones take no part


def test_what_shares_a_cluster_or_a_person_stays_together():
    cluster = np.array([0, 0, 1, 2, 3, -1])
    person = np.array([0, 1, 1, 2, 3, -1])
    group = either(cluster, person)
    assert group[0] == group[1] == group[2]
    assert len({group[0], group[3], group[4]}) == 3
    assert group[5] == -1
    alone = either(cluster, np.full(6, -1))
    assert alone[0] == alone[1]
    assert len(set(alone.tolist())) == 5


def test_first_rows_and_ranks_follow_the_index():
    group = np.array([1, 0, 1, -1, 0])
    order = np.array([4, 3, 0, 1, 2])
    assert first_rows(group, order).tolist() == [2, 4, 2, -1, 4]
    accepted = np.array([True, True, False, False, True])
    assert ranks(group, accepted, order).tolist() == [0, 1, 1, -1, 0]


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(rows):
    nothing = np.full(rows, -1)
    assert either(nothing, nothing).tolist() == first_rows(nothing, nothing).tolist() == [-1] * rows
