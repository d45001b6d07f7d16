"""The expression that landmarks tell, as non-negative activations of facial units (`expression_units`)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls

from dataprep.fits.face.expression_units import ExpressionUnits

# Prior density of an activation a: exp(-RATE a - CURVATURE a^2 / 2). Its mean is 0.14; chosen by cross-validation on
# rendered people with random expressions, where anything from 3 to 5 and from 4 to 16 does as well.
RATE, CURVATURE = 4.0, 8.0


def likeliest(
    units: ExpressionUnits, information: Float[np.ndarray, "64 64"], score: Float[np.ndarray, "64"]
) -> Float[np.ndarray, "64"]:
    """The expression that minimises e' information e / 2 - score' e plus the units' prior."""
    coefficients = units.coefficients
    quadratic = coefficients.T @ information @ coefficients + CURVATURE * np.eye(coefficients.shape[1])
    lower = cholesky(quadratic, lower=True)
    activations, _ = nnls(lower.T, solve_triangular(lower, coefficients.T @ score - RATE, lower=True))
    return coefficients @ activations
