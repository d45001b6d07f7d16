"""Correlations of expressions: about their means a constant has nothing to follow."""

import numpy as np
import pytest

from pipelines.accuracy.expression import correlations

RNG = np.random.default_rng(0)
TRUE = np.abs(RNG.normal(0.5, 0.5, (30, 64))) * np.linspace(2, 0.1, 64)


def test_the_truth_scores_one_and_so_does_its_multiple_beside_another_mean() -> None:
    found = correlations(TRUE, TRUE)
    assert [found[name] for name in ("centred", "centred_strongest10", "pearson")] == pytest.approx([1, 1, 1])
    moved = correlations(0.5 * TRUE + RNG.normal(size=64), TRUE)
    assert moved["centred"] == pytest.approx(1)
    assert moved["pearson"] < 0.9


def test_a_constant_scores_uncentred_and_not_about_the_means() -> None:
    everybody = np.tile(TRUE.mean(0), (30, 1)) + RNG.normal(0, 1e-3, TRUE.shape)
    found = correlations(everybody, TRUE)
    assert found["pearson"] > 0.5
    assert found["constant"] == pytest.approx(found["pearson"], abs=0.1)
    assert abs(found["centred"]) < 0.1


def test_noise_lowers_it_and_the_ten_strongest_are_the_first() -> None:
    noisy = TRUE.copy()
    noisy[:, 10:] = RNG.normal(size=(30, 54))
    found = correlations(noisy, TRUE)
    assert found["centred_strongest10"] == pytest.approx(1)
    assert found["centred"] < 0.9
