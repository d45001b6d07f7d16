"""The smoother: what it lets through, what it fills in, what it does not cross."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dataprep.errors import ConfigError
from dataprep.tracking.smoothed_labels import Smoothing
from dataprep.tracking.whittaker import nearest, smooth, smooth_rotations, strength, stretches

FPS = 25.0


def waves(hz, n=500, fps=FPS):
    return np.sin(2 * np.pi * hz * np.arange(n) / fps)[:, None]


@given(st.integers(2, 40), st.floats(0.5, 10), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_straight_line_stays_and_is_drawn_through_gaps(n, cutoff_hz, seed):
    random = np.random.default_rng(seed)
    line = random.normal(size=3) + np.arange(n)[:, None] * random.normal(size=3)
    weights = (random.random(n) < 0.7).astype(float)
    weights[[0, -1]] = 1
    shown = np.where(weights[:, None] > 0, line, 1e3)
    np.testing.assert_allclose(smooth(shown, weights, cutoff_hz, FPS), line, atol=1e-4 * n)


@pytest.mark.parametrize("cutoff_hz", [1.0, 3.0, 6.0])
def test_the_cut_off_passes_by_half_without_delay_and_slow_movements_pass_whole(cutoff_hz):
    for hz, gain in ((cutoff_hz, 0.5), (cutoff_hz / 4, 1.0)):
        wave = waves(hz)
        smoothed = smooth(wave, np.ones(len(wave)), cutoff_hz, FPS)[100:-100]
        assert np.sum(smoothed * wave[100:-100]) / np.sum(wave[100:-100] ** 2) == pytest.approx(gain, abs=0.02)
        across = np.cos(2 * np.pi * hz * np.arange(500) / FPS)[100:-100, None]
        assert abs(np.sum(smoothed * across) / np.sum(across**2)) < 0.02  # nothing of it comes late


def test_it_solves_the_minimisation_it_claims():
    random = np.random.default_rng(3)
    y, weights = random.normal(size=(30, 2)), random.uniform(0.2, 1, 30)
    second = np.diff(np.eye(30), 2, axis=0)
    factor = strength(4.0, FPS)
    wanted = np.linalg.solve(np.diag(weights) + factor * second.T @ second, weights[:, None] * y)
    away = np.linalg.norm(y - wanted, axis=1)
    assert (away < 3 * 1.4826 * np.median(away)).all()  # no outlier, so that Huber's weights are 1
    np.testing.assert_allclose(smooth(y, weights, 4.0, FPS), wanted, atol=1e-6)


def test_a_single_wild_frame_does_not_pull_the_line():
    wave = waves(0.5, 100)
    noise = 0.01 * np.random.default_rng(0).normal(size=wave.shape)
    wild = wave + noise
    wild[50] += 5
    weights = np.ones(100)
    assert abs(smooth(wild, weights, 3.0, FPS) - smooth(wave + noise, weights, 3.0, FPS)).max() < 0.06


def test_rotations_turn_with_the_world_and_fill_gaps():
    random = np.random.default_rng(1)
    angles = np.stack([0.4 * np.sin(np.arange(60) / 9), 0.2 * np.cos(np.arange(60) / 7), np.zeros(60)], 1)
    rotations = Rotation.from_rotvec(angles + 0.02 * random.normal(size=(60, 3))).as_matrix()
    weights = np.ones(60)
    weights[20:26] = 0
    rotations[20:26] = np.nan
    world = Rotation.from_rotvec([1.0, -2.0, 0.5]).as_matrix()
    smoothed = smooth_rotations(rotations, weights, 4.0, FPS)
    np.testing.assert_allclose(smooth_rotations(world @ rotations, weights, 4.0, FPS), world @ smoothed, atol=1e-9)
    true = Rotation.from_rotvec(angles).as_matrix()
    error = Rotation.from_matrix(smoothed.swapaxes(1, 2) @ true).magnitude()
    assert error.max() < np.radians(4)


def test_stretches_end_at_cuts_and_long_gaps():
    known = np.array([0, 1, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1], bool)
    scene = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1])
    assert stretches(known, scene, 2) == [(1, 6), (9, 10), (10, 12)]
    assert stretches(known, scene, 3) == [(1, 10), (10, 12)]
    covered = np.zeros(12, bool)
    covered[1:6] = covered[10:] = True
    assert nearest(covered, scene).tolist() == [1, 1, 2, 3, 4, 5, 5, 5, 5, 5, 10, 11]


def test_settings_that_make_no_sense():
    with pytest.raises(ConfigError, match="--head-hz 0: expected"):
        Smoothing(head_hz=0)
    with pytest.raises(ConfigError, match="--max-gap-s -1"):
        Smoothing(max_gap_s=-1)
