"""From features to distances with their protocols.

Suffixes: N M pictures, D feature dimensions.
"""

from collections.abc import Iterable

import numpy as np

from gan.evaluation.distances import frechet_distance, kernel_distance
from gan.evaluation.fakes import FLIPS, Sizes
from gan.evaluation.feature_networks import NetworkSpec
from gan.evaluation.jobs import VIEWS
from gan.evaluation.protocol import Measurement, Protocol
from gan.evaluation.result_chunks import Arrays

GENERATOR, INITIAL = "this generator", "its initialisation"
NOISE, HALVES = "mean portrait plus noise", "real against real (halves)"


def distances(
    of: str,
    real: Arrays,
    fake: Arrays,
    networks: Iterable[NetworkSpec],
    sizes: Sizes,
    real_sha256: str,
    seed: int,
    psi: float,
) -> list[Measurement]:
    """Return Fréchet and kernel distances of both views by every network."""
    rows = []
    for spec in networks:
        for view, px in zip(VIEWS, sizes[:2], strict=True):
            name = f"{spec.frechet_name}/{view}"
            a, b = real[name], fake[name]
            protocol = Protocol(
                spec.frechet_name, view, px, len(a), len(b), spec.resize, FLIPS, seed, psi, real_sha256,
                spec.weights, spec.weights_sha256,
            )  # fmt: skip
            rows.append(Measurement(of, frechet_distance(a, b), protocol))
            kernel = kernel_distance(a, b, seed)
            changed = {"metric": spec.kernel_name, "subsets": kernel.subsets, "subset_size": kernel.subset_size}
            protocol = Protocol(**{**protocol.__dict__, **changed})
            rows.append(Measurement(of, 100 * kernel.mean, protocol, 100 * kernel.std))
    return rows


def halves(real: Arrays, seed: int) -> tuple[Arrays, Arrays]:
    """Split real features in two at random: what a perfect generator of half the pictures would reach."""
    count = len(next(iter(real.values())))
    order = np.random.default_rng(np.random.SeedSequence((seed, count))).permutation(count)
    first, second = order[: count // 2], order[count // 2 :]
    return {name: rows[first] for name, rows in real.items()}, {name: rows[second] for name, rows in real.items()}


def nearest_real(real_ND: np.ndarray, fake_MD: np.ndarray) -> np.ndarray:
    """Return every generated picture's distance to the nearest real one in feature space: large is unlike any."""
    real, fake = real_ND.astype(np.float64), fake_MD.astype(np.float64)
    squared = (fake**2).sum(1)[:, None] + (real**2).sum(1) - 2 * fake @ real.T
    return np.sqrt(squared.clip(0).min(1))
