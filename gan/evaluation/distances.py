"""Distances between two sets of feature vectors: Fréchet (as in FID) and kernel (as in KID), in float64.

Own arithmetic: torchmetrics imports torchvision wherever one is installed, and the one that `basicsr` brings does not
load beside CPU torch. The tests hold the numbers that torchmetrics 1.9 and pytorch-fid 0.3 compute.

Suffixes: N M samples, D feature dimensions.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.linalg import qr, svd

from dataprep.errors import ConfigError

KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000  # the published protocol (torch-fidelity's defaults)


class KernelDistance(NamedTuple):
    """Mean over subsets and standard deviation between them; `subset_size` is smaller than asked for in small sets."""

    mean: float
    std: float
    subsets: int
    subset_size: int


def frechet_distance(real_ND: Float[np.ndarray, "n d"], fake_MD: Float[np.ndarray, "m e"]) -> float:
    """Return |mu1 - mu2|² + tr(S1 + S2 - 2 (S1 S2)^½) of the sets' means and unbiased covariances.

    With S1 = A'A and S2 = B'B the last trace is the sum of the singular values of A B'. No root of a covariance is
    taken, so that fewer samples than dimensions cost no accuracy (a square root turns rounding of 1e-16 into 1e-8).
    Raises ConfigError with fewer than two samples or numbers that are not finite.
    """
    real, fake = _checked(real_ND, fake_MD)
    a, b = (_root_of_covariance(features) for features in (real, fake))
    between = float(((real.mean(0) - fake.mean(0)) ** 2).sum())
    shared = float(svd(a @ b.T, compute_uv=False).sum())
    return between + float((a**2).sum()) + float((b**2).sum()) - 2 * shared


def kernel_distance(
    real_ND: Float[np.ndarray, "n d"],
    fake_MD: Float[np.ndarray, "m e"],
    seed: int,
    subsets: int = KID_SUBSETS,
    subset_size: int = KID_SUBSET_SIZE,
) -> KernelDistance:
    """Return the unbiased squared MMD with the kernel (x·y / D + 1)³, averaged over subsets drawn from `seed`."""
    real, fake = _checked(real_ND, fake_MD)
    size = min(subset_size, len(real), len(fake))
    if size == len(real) == len(fake):
        subsets = 1  # every subset is the whole
    random = np.random.default_rng(np.random.SeedSequence((seed, subsets, size)))
    values = [
        squared_mmd(real[random.permutation(len(real))[:size]], fake[random.permutation(len(fake))[:size]])
        for _ in range(subsets)
    ]
    return KernelDistance(float(np.mean(values)), float(np.std(values)), subsets, size)


def squared_mmd(x_ND: Float[np.ndarray, "n d"], y_MD: Float[np.ndarray, "m d"]) -> float:
    """Return the unbiased estimate: pairs of one sample with itself do not count within a set."""
    n, m = len(x_ND), len(y_MD)
    xx, yy, xy = _kernel(x_ND, x_ND), _kernel(y_MD, y_MD), _kernel(x_ND, y_MD)
    within = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(within - 2 * xy.mean())


def _kernel(x_ND: np.ndarray, y_MD: np.ndarray) -> np.ndarray:
    return (x_ND @ y_MD.T / x_ND.shape[1] + 1) ** 3


def _root_of_covariance(features_ND: np.ndarray) -> np.ndarray:
    """Return A with A'A the unbiased covariance, of at most D rows."""
    centred = (features_ND - features_ND.mean(0)) / np.sqrt(len(features_ND) - 1)
    return np.asarray(qr(centred, mode="r")) if len(centred) > centred.shape[1] else centred


def _checked(real_ND: np.ndarray, fake_MD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if real_ND.shape[1] != fake_MD.shape[1]:
        raise ConfigError(f"features of {real_ND.shape[1]} and {fake_MD.shape[1]} dimensions are of two networks")
    for what, features in (("real", real_ND), ("fake", fake_MD)):
        if len(features) < 2:
            raise ConfigError(f"{len(features)} {what} pictures: a distance between sets needs at least two of each")
        if not np.isfinite(features).all():
            raise ConfigError(f"features of the {what} pictures are not finite; a generator that diverged makes such")
    return real_ND.astype(np.float64), fake_MD.astype(np.float64)
