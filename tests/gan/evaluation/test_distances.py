"""Distances of feature sets against published implementations, known Gaussians and cases worked by hand."""

import numpy as np
import pytest

from dataprep.errors import ConfigError
from gan.evaluation.distances import frechet_distance, kernel_distance, squared_mmd

# By pytorch-fid 0.3.0 (calculate_frechet_distance) and torchmetrics 1.9.0 (_compute_fid, poly_mmd), on `seeded`.
PUBLISHED = {
    (400, 300, 16): (7.979038004184481, 7.979038004184559, 1.2813811358322438),
    (40, 60, 96): (169.2919609064325, 169.29196053465512, 0.6910714502467483),
}


def seeded(n: int, m: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(11)
    first = random.standard_normal((n, d)) @ np.diag(np.linspace(0.2, 2, d))
    return first, random.standard_normal((m, d)) * 1.3 + 0.4


def with_moments(n: int, mean: np.ndarray, covariance: np.ndarray, seed: int) -> np.ndarray:
    """Samples whose mean and unbiased covariance are exactly those."""
    x = np.random.default_rng(seed).standard_normal((n, len(mean)))
    x -= x.mean(0)
    white = np.linalg.solve(np.linalg.cholesky(np.cov(x, rowvar=False)), x.T)
    return mean + (np.linalg.cholesky(covariance) @ white).T


@pytest.mark.parametrize(("sizes", "published"), PUBLISHED.items())
def test_published_implementations(sizes, published):
    pytorch_fid, torchmetrics, mmd = published
    real, fake = seeded(*sizes)
    found = frechet_distance(real, fake)
    # With fewer samples than dimensions the published ones take roots of zeros and differ from each other, too.
    assert found == pytest.approx(pytorch_fid, rel=3e-8)
    assert found == pytest.approx(torchmetrics, rel=3e-8)
    if sizes[0] > sizes[2]:
        assert abs(found - pytorch_fid) < 1e-6
        assert abs(found - torchmetrics) < 1e-6
    assert squared_mmd(real[:40], fake[:40]) == pytest.approx(mmd, abs=1e-12)


def test_gaussians_of_known_distance():
    """Commuting covariances: |mu1 - mu2|² + sum (s1 - s2)², also turned by any rotation."""
    s1, s2 = np.array([1.0, 2.0, 0.5]), np.array([1.5, 0.25, 0.5])
    mean = np.array([3.0, -1.0, 0.5])
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    a = with_moments(50, np.zeros(3), turn @ np.diag(s1**2) @ turn.T, 2)
    b = with_moments(30, mean, turn @ np.diag(s2**2) @ turn.T, 3)
    assert frechet_distance(a, b) == pytest.approx(float((mean**2).sum() + ((s1 - s2) ** 2).sum()), abs=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), abs=1e-9)


def test_kernel_distance_by_hand():
    """In one dimension k(x, y) = (xy + 1)³: x = {0, 1}, y = {1, 2}.

    Within x: k(0, 1) = 1. Within y: k(1, 2) = 27. Between: k(0, .) = 1 twice, k(1, 1) = 8, k(1, 2) = 27: mean 37 / 4.
    """
    x, y = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert squared_mmd(x, y) == pytest.approx(1 + 27 - 2 * 37 / 4)


def test_kernel_distance_of_gaussians():
    """E(xy + 1)³ = 1 + 3 E[x]E[y] + 3 E[x²]E[y²] + E[x³]E[y³]; for N(0, 1) and N(1, 1) moments are 0 1 0 and 1 2 4."""
    random = np.random.default_rng(4)
    x, y = random.standard_normal((2000, 1)), 1 + random.standard_normal((2000, 1))
    within_x, within_y, between = 1 + 3, 1 + 3 + 3 * 4 + 16, 1 + 3 * 2
    assert squared_mmd(x, y) == pytest.approx(within_x + within_y - 2 * between, rel=0.15)


def test_subsets_come_from_the_seed_and_fit_small_sets():
    random = np.random.default_rng(5)
    real, fake = random.standard_normal((50, 4)), random.standard_normal((80, 4)) + 1
    first = kernel_distance(real, fake, seed=3, subsets=20, subset_size=40)
    assert first == kernel_distance(real, fake, seed=3, subsets=20, subset_size=40)
    assert first != kernel_distance(real, fake, seed=4, subsets=20, subset_size=40)
    assert first.std > 0
    assert kernel_distance(real, fake, seed=3).subset_size == 50
    whole = kernel_distance(real, fake[:50], seed=3)
    assert (whole.subsets, whole.mean) == (1, pytest.approx(squared_mmd(real, fake[:50])))


def test_what_is_no_distance():
    good = np.ones((3, 2))
    with pytest.raises(ConfigError, match="1 real pictures"):
        frechet_distance(good[:1], good)
    with pytest.raises(ConfigError, match="two networks"):
        frechet_distance(good, np.ones((3, 5)))
    with pytest.raises(ConfigError, match="fake pictures are not finite"):
        kernel_distance(good, np.full((3, 2), np.nan), seed=0)
