"""Exact neighbours against the definition, and which points an outline holds."""

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from dataprep.errors import ConfigError
from pipelines.viewer.nearness.lasso import corners_of, inside
from pipelines.viewer.nearness.nearest_rows import all_nearest, nearest


def units(rows, width=12, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(rows, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("rows", [2, 9, 700])  # 700: more than two blocks
def test_neighbours_are_those_of_the_largest_cosines(rows):
    vectors = units(rows)
    cosines = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    np.fill_diagonal(cosines, -np.inf)
    count = min(7, rows - 1)
    expected = np.argsort(-cosines, axis=1)[:, :count]
    places, values = all_nearest(vectors, 7)
    assert np.array_equal(places, expected)
    assert np.allclose(values, np.take_along_axis(cosines, expected, 1), atol=1e-6)
    for place in (0, rows - 1):
        assert np.array_equal(nearest(vectors, place, 7)[0], expected[place])


def test_equal_portraits_come_in_their_order_and_nobody_is_their_own_neighbour():
    vectors = np.repeat(units(3), 4, axis=0)
    assert nearest(vectors, 5, 3)[0].tolist() == [4, 6, 7]
    assert all_nearest(vectors, 3)[0][5].tolist() == [4, 6, 7]


def test_an_outline_holds_what_matplotlib_says():
    random = np.random.default_rng(1)
    points = random.random((5000, 2))
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    corners = 0.5 + (0.2 + 0.25 * random.random(40))[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = inside(points, corners)
    assert 300 < found.sum() < 2500
    assert np.array_equal(found, Outline(corners).contains_points(points))


NOT_OUTLINES = (
    None, {"a": 1}, [[0, 0], [1, 1]], [[0, 0], [1, "x"], [1, 1]], [[0, 0], [1, float("nan")]] * 2, [[0, 0, 0]] * 4,
    [[0, 0]] * 2001,
)  # fmt: skip


@pytest.mark.parametrize("content", NOT_OUTLINES)
def test_no_outline_is_refused_with_what_was_expected(content):
    with pytest.raises(ConfigError, match="outline"):
        corners_of(content)
