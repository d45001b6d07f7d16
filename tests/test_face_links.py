"""Faces that are alike, found through cells: what is found is right, little is missed, and no division changes it."""

from __future__ import annotations

import numpy as np
import pytest

from dataprep import face_links
from dataprep.face_links import STEPS, all_links, cells_of, links_of_faces, links_within, pivots_of, shared_out
from dataprep.same_people import distinct_faces, people_of

COSINE = 0.86


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def faces_of(people, photographs, spread, seed=0):
    rng = np.random.default_rng(seed)
    looks = np.repeat(unit(rng.normal(size=(people, 32))), photographs, axis=0)
    return distinct_faces(unit(looks + spread / np.sqrt(32) * rng.normal(size=looks.shape)))


def as_set(links):
    return set(map(tuple, links.tolist()))


def in_tasks(faces, pairs):
    pivots = pivots_of(faces)
    cells = cells_of(faces, pivots)
    shares = shared_out(np.bincount(cells.ravel(), minlength=len(pivots)), pairs)
    assert [cell for some in shares for cell in some] == list(range(len(pivots)))
    return len(shares), np.concatenate([links_within(faces, cells, some, COSINE) for some in shares])


def test_cells_find_almost_all_links_and_no_others():
    """6,000 faces of 2,000 people, many just at the limit: the mean cosine of two photographs is .87."""
    faces, face_of_row = faces_of(2_000, 3, 0.38)
    exact = links_of_faces(faces, slice(0, len(faces)), COSINE)
    _, found = in_tasks(faces, 1 << 40)
    assert as_set(found) <= as_set(exact)
    assert len(found) == len(as_set(found))
    assert len(found) >= 0.998 * len(exact) > 3_000
    people = [people_of(faces, face_of_row, links, COSINE) for links in (found, exact)]
    assert np.mean(people[0] == people[1]) >= 0.998


@pytest.mark.slow  # half a minute: as many pivots as a million faces have
@pytest.mark.parametrize(("cosine", "least"), [(0.86, 0.995), (0.9, 0.999), (0.95, 0.9999)])
def test_how_much_is_missed_among_a_million(cosine, least):
    """Random directions have no structure that would help: pairs of one cosine, and the pivots of a million faces."""
    rng = np.random.default_rng(1)
    pivots, one, other = (unit(rng.normal(size=(count, 32))) for count in (4096, 20_000, 20_000))
    other = unit(other - (one * other).sum(axis=1, keepdims=True) * one)
    other = cosine * one + np.sqrt(1 - cosine**2) * other
    rounded = [np.rint(some * STEPS).astype(np.int16) for some in (pivots, one, other)]
    first, second = (cells_of(some, rounded[0]) for some in rounded[1:])
    shared = (first[:, :, None] == second[:, None, :]).any(axis=(1, 2))
    assert shared.mean() >= least


def test_no_division_changes_what_is_found():
    faces, _ = faces_of(500, 3, 0.3)
    tasks, some = in_tasks(faces, 4_000)
    whole, all_at_once = in_tasks(faces, 1 << 40)
    assert (tasks > 20, whole) == (True, 1)
    assert as_set(some) == as_set(all_at_once)


def test_a_face_more_leaves_almost_all_pivots():
    faces, _ = faces_of(2_000, 2, 0.3)
    fewer = faces[np.random.default_rng(2).random(len(faces)) < 0.99]
    assert len(as_set(pivots_of(faces)) & as_set(pivots_of(fewer))) >= 0.96 * len(pivots_of(fewer))


def test_many_faces_go_through_cells_and_few_are_compared_with_all(monkeypatch):
    faces, _ = faces_of(400, 3, 0.3)
    exact = as_set(all_links(faces, COSINE))
    assert exact == as_set(links_of_faces(faces, slice(0, len(faces)), COSINE))
    monkeypatch.setattr(face_links, "EXACT_FACES", 10)
    assert as_set(all_links(faces, COSINE)) == exact  # none of these is missed
    nobody = np.zeros((0, 32), np.int16)
    monkeypatch.setattr(face_links, "EXACT_FACES", -1)
    assert all_links(nobody, COSINE).shape == (0, 2)
