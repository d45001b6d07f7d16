"""From vectors to a plane: what is alike lies together.

`neighbours` is t-SNE (van der Maaten & Hinton 2008) by openTSNE, its forces by interpolation (Linderman 2019), so that
time grows with the rows and not with their pairs. It begins with the two main directions and draws nothing at random:
one machine gives one map. Distances between far groups mean nothing. `directions` is those two main directions alone:
at once, without another package, and distances mean what they seem to.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from jaxtyping import Float

from dataprep.errors import ConfigError
from pipelines.viewer.nearness.feature_rows import Progress
from pipelines.viewer.nearness.nearest_rows import all_nearest

NEIGHBOURS, DIRECTIONS = "neighbours", "directions"
LAYOUTS = {NEIGHBOURS: "neighbours together (t-SNE)", DIRECTIONS: "the two main directions"}
DIMENSIONS = 30  # those of smaller weight are noise to a map
VERSION = 1  # raise with any change to where points lie
_PERPLEXITY = 15  # people have few photographs; and a map of 40,000 rows takes half the time of 30
_LEAST_ROWS = 8  # fewer have no neighbourhoods
_EARLY, _LATE, _STEP = 250, 500, 25  # openTSNE's own numbers of iterations
_START_SPREAD = 1e-4


def available() -> list[str]:
    """The layouts that can be made here, the better first."""
    return [NEIGHBOURS, DIRECTIONS] if find_spec("openTSNE") else [DIRECTIONS]


def require_layout(how: str) -> str:
    """The layout itself; raises ConfigError on another word, or where its package is missing."""
    if how not in LAYOUTS:
        raise ConfigError(f"how={how[:40]}: expected one of {', '.join(LAYOUTS)}")
    if how not in available():
        raise ConfigError("the map of neighbours is made by openTSNE; install it with: pip install 'shhq-hs[map]'")
    return how


def layout(vectors: Float[np.ndarray, "m k"], how: str, progress: Progress) -> Float[np.ndarray, "m 2"]:
    """Where each row lies, within [0, 1] both ways."""
    reduced = main_directions(vectors, DIMENSIONS)
    if how == DIRECTIONS or len(vectors) < _LEAST_ROWS:
        return _framed(reduced[:, :2])
    return _framed(_by_neighbours(reduced, progress))


def main_directions(vectors: Float[np.ndarray, "m k"], count: int) -> Float[np.ndarray, "m c"]:
    """Coordinates along the directions of largest variance, that one first; each direction's largest entry is positive.

    Raises nothing on few rows: what they do not span is 0.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)
    kept = directions[:, ::-1][:, :count]
    signs = np.sign(kept[np.abs(kept).argmax(axis=0), np.arange(kept.shape[1])])
    found = centred @ (kept * signs)
    return found if found.shape[1] >= 2 else np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def load() -> Any:
    """Import what makes the map of neighbours; it takes seconds, and the viewer begins without it."""
    import openTSNE.affinity
    import openTSNE.nearest_neighbors

    return openTSNE


def _by_neighbours(reduced: Float[np.ndarray, "m c"], progress: Progress) -> Float[np.ndarray, "m 2"]:
    tsne = load()
    count = len(reduced)
    perplexity = min(_PERPLEXITY, (count - 1) / 3)
    progress(0.0, "looking for neighbours")
    lengths = np.linalg.norm(reduced, axis=1, keepdims=True)
    places, cosines = all_nearest((reduced / np.where(lengths > 0, lengths, 1)).astype(np.float32), int(3 * perplexity))
    distances = np.sqrt(np.maximum(2 - 2 * cosines.astype(np.float64), 0))
    affinities = tsne.affinity.PerplexityBasedNN(
        knn_index=tsne.nearest_neighbors.PrecomputedNeighbors(places.astype(np.int64), distances),
        perplexity=perplexity,
        n_jobs=1,
    )
    spread = reduced[:, 0].std()
    start = reduced[:, :2] / (spread if spread > 0 else 1) * _START_SPREAD
    points = tsne.TSNEEmbedding(
        start, affinities, negative_gradient_method="fft" if count > 1000 else "bh", n_jobs=1, random_state=0,
        learning_rate=max(count / 12, 50.0),
    )  # fmt: skip
    for done in range(0, _EARLY + _LATE, _STEP):
        progress(0.3 + 0.7 * done / (_EARLY + _LATE), f"moving {count:,} points")
        early = done < _EARLY
        points.optimize(
            _STEP, exaggeration=12 if early else None, momentum=0.5 if early else 0.8, inplace=True, n_jobs=1
        )
    return np.asarray(points, np.float64)


def _framed(points: Float[np.ndarray, "m 2"]) -> Float[np.ndarray, "m 2"]:
    """Both axes by one factor, centred."""
    low, high = points.min(axis=0), points.max(axis=0)
    span = max(float((high - low).max()), 1e-12)
    return ((points - (low + high) / 2) / span + 0.5).astype(np.float32)
