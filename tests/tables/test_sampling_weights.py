"""Weights even out every axis as far as their bound allows, the same for the same rows."""

import numpy as np
import pytest

from dataprep.tables.sampling_weights import AXES, effective_rows, evened, mouth_opening, sampling_weights


def shares(bins, weights):
    return np.bincount(bins[bins >= 0], weights[bins >= 0]) / weights[bins >= 0].sum()


def test_two_axes_are_even_where_the_bound_allows():
    random = np.random.default_rng(0)
    bins = [random.choice(3, 4000, p=[0.2, 0.5, 0.3]), random.choice(2, 4000, p=[0.3, 0.7])]
    weights = evened(bins, 4000, 10)
    assert weights.mean() == pytest.approx(1)
    for of_axis in bins:
        np.testing.assert_allclose(shares(of_axis, weights), 1 / (of_axis.max() + 1), rtol=1e-3)
    assert 2000 < effective_rows(weights) < 4000


@pytest.mark.parametrize("limit", [1.0, 3.0, 10.0])
def test_no_row_is_drawn_more_than_the_limit_times_as_often_as_another(limit):
    bins = [np.array([0] * 997 + [1] * 3), np.array([0, 1] * 500)]
    weights = evened(bins, 1000, limit)
    assert weights.max() / weights.min() == pytest.approx(limit)
    assert (weights[997:] >= weights[:997].max()).all()


def test_what_is_not_known_of_a_row_does_not_weigh_it():
    bins = np.array([0] * 6 + [1] * 2 + [-1] * 2)
    weights = evened([bins], 10, 10)
    np.testing.assert_allclose(shares(bins, weights), 0.5)
    assert weights[6] > weights[8] > weights[0]
    assert evened([np.full(4, -1)], 4, 10).tolist() == [1.0] * 4
    assert sampling_weights({}, 3, 10).tolist() == [1.0] * 3
    assert sampling_weights({}, 0, 10).tolist() == []


def test_order_of_the_rows_does_not_matter():
    random = np.random.default_rng(1)
    bins = [random.integers(0, 4, 200), random.integers(-1, 3, 200)]
    order = random.permutation(200)
    shuffled = evened([of_axis[order] for of_axis in bins], 200, 10)
    np.testing.assert_allclose(shuffled, evened(bins, 200, 10)[order], rtol=1e-12)


def test_bins_of_each_axis():
    yaw, pitch, mouth, tone = AXES
    assert yaw.bin_of(np.radians([-50.0, 0.0, 50.0])).tolist() == [0, 3, 6]
    assert pitch.bin_of(np.array([np.nan, 0.0])).tolist() == [-1, 2]
    assert [tone.bins[i] for i in tone.bin_of(np.array([-45.0, 20.0, 60.0]))] == ["dark", "tan", "very light"]
    assert all(len(axis.bins) == len(axis.limits) + 1 for axis in AXES)
    face = np.zeros((1, 68, 2))
    face[0, 33] = [0, 50]
    face[0, [65, 66, 67]] = [0, 15]
    assert mouth_opening(face.reshape(1, 136)) == pytest.approx(0.3)
    assert mouth.bins[mouth.bin_of(face.reshape(1, 136))[0]] == "open"
    assert mouth.bin_of(np.zeros((1, 136))).tolist() == [-1]
