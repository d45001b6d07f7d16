"""How well expression coefficients follow the truth: correlations about each coefficient's own mean.

Coefficients have means of their own among people, since mouths open and do not open by less than nothing. A constant,
the same face for everybody, follows those means: over all coefficients at once it reaches 0.4 without looking at
anybody. About the means of estimate and truth it has nothing to follow. So the centred numbers are the ones to quote.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

STRONGEST = 10  # the basis is in the order of strength

Expressions = Float[np.ndarray, "n k"]


def correlations(estimated: Expressions, true: Expressions) -> dict[str, float]:
    """Pearson correlations of n >= 2 people's coefficients: centred, uncentred, and what a constant scores uncentred.

    Each of all coefficients, and of the ten strongest. The constant of a person is the mean truth of the others.
    """
    others = (true.sum(axis=0) - true) / max(len(true) - 1, 1)
    pairs = {"centred": (about_mean(estimated), about_mean(true)), "pearson": (estimated, true)}
    pairs["constant"] = (others, true)
    found: dict[str, float] = {"n": len(true)}
    for name, (ours, theirs) in pairs.items():
        found[name] = pearson(ours, theirs)
        found[f"{name}_strongest10"] = pearson(ours[:, :STRONGEST], theirs[:, :STRONGEST])
    return found


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Return the correlation over everything that both hold; nan where one of them is constant."""
    if not np.ptp(a) or not np.ptp(b):
        return float("nan")
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def about_mean(values: Expressions) -> Expressions:
    """Return each coefficient's distance from its mean over all rows."""
    return values - values.mean(axis=0)
