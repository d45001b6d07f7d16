"""Near-duplicate clusters against the brute-force definition."""

import numpy as np
import pytest
from skimage import data, transform

from dataprep.duplicates import clusters, difference_hash


def test_clusters_equal_brute_force():
    rng = np.random.default_rng(1)
    base = rng.integers(0, 256, (40, 32), dtype=np.uint8)
    near = base[:15].copy()
    for row in near:
        for bit in rng.choice(256, rng.integers(0, 14), replace=False):
            row[bit // 8] ^= 1 << (bit % 8)
    hashes = np.concatenate([base, near])
    found = clusters(hashes, 10)
    distance = np.unpackbits(hashes[:, None] ^ hashes[None], axis=2).sum(axis=2)
    for i, j in zip(*np.nonzero(distance <= 10), strict=True):
        assert found[i] == found[j]
    linked = distance <= 10
    reach = np.linalg.matrix_power(linked.astype(np.int64) + np.eye(55, dtype=np.int64), 8) > 0
    np.testing.assert_array_equal(found[:, None] == found[None], reach)
    first_seen = list(dict.fromkeys(found.tolist()))
    assert first_seen == list(range(len(first_seen)))


def test_no_hashes_give_no_clusters():
    assert clusters(np.zeros((0, 32), np.uint8), 10).shape == (0,)


def test_the_hash_survives_resizing_and_tells_pictures_apart():
    astronaut, coffee = data.astronaut(), data.coffee()
    smaller = (transform.resize(astronaut, (200, 200), anti_aliasing=True) * 255).astype(np.uint8)

    def distance(a, b):
        ha, hb = (np.frombuffer(difference_hash(image), np.uint8) for image in (a, b))
        return int(np.unpackbits(ha ^ hb).sum())

    assert distance(astronaut, smaller) <= 10
    assert distance(astronaut, coffee) > 60


@pytest.mark.parametrize("bits", [0, 1, 10])
def test_identical_hashes_always_meet(bits):
    hashes = np.zeros((5, 32), np.uint8)
    assert set(clusters(hashes, bits)) == {0}
