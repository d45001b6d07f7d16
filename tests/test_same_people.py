"""Clusters of embeddings: the same as scipy's average linkage, in any order, and no chains."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from dataprep import same_people as module
from dataprep.same_people import same_people

STEPS = 1024


def looks(people: int, photographs: int, spread: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    faces = np.repeat(rng.normal(size=(people, 128)), photographs, axis=0)
    faces += spread * rng.normal(size=faces.shape)
    return (faces / np.linalg.norm(faces, axis=1, keepdims=True)).astype(np.float32)


def partition(cluster: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(cluster == number).tolist()) for number in set(cluster.tolist())}


@pytest.mark.parametrize("cosine", [0.3, 0.5, 0.55, 0.6])
def test_it_is_average_linkage(cosine):
    faces = looks(60, 4, 0.9)
    exact = np.rint(faces.astype(float) * STEPS) / STEPS
    distance = 1 - (exact @ exact.T)[np.triu_indices(len(exact), 1)]
    known = fcluster(linkage(distance, "average"), 1 - cosine, "distance")
    assert partition(same_people(faces, cosine)) == partition(known)


def test_neither_order_nor_blocks_change_a_cluster(monkeypatch):
    faces = looks(40, 5, 1.0)
    faces[7] = faces[100]  # the same file twice
    whole = same_people(faces, 0.45)
    assert 40 < len(set(whole.tolist())) < 200
    shuffled = np.random.default_rng(1).permutation(len(faces))
    monkeypatch.setattr(module, "_BLOCK_ROWS", 7)
    again = np.empty_like(whole)
    again[shuffled] = same_people(faces[shuffled], 0.45)
    assert partition(again) == partition(whole)
    assert list(dict.fromkeys(whole.tolist())) == sorted(set(whole.tolist()))  # numbered by first appearance


def test_a_chain_of_neighbours_is_not_one_person():
    """Each of 14 faces is 12 degrees from the next, the last far from the first."""
    angle = np.radians(12) * np.arange(14)
    chain = np.column_stack([np.cos(angle), np.sin(angle)])
    cluster = same_people(chain, np.cos(np.radians(15)))
    for number in set(cluster.tolist()):
        assert np.ptp(np.flatnonzero(cluster == number)) < 4


def test_nobody_and_one_person():
    assert same_people(np.zeros((0, 128)), 0.5).tolist() == []
    assert same_people(looks(1, 1, 0.0), 0.5).tolist() == [0]
    assert same_people(np.repeat(looks(1, 1, 0.0), 2_000, axis=0), 0.5).tolist() == [0] * 2_000
