"""Which label rows lie so far out that training never draws them: `priors` leaves them out, reports count them."""

import numpy as np
from jaxtyping import Float

OUTLIER_CUT = 4.0  # assumed: robust deviations (root mean square over a label's dimensions) beyond which a row is out


def robust_distance(values: Float[np.ndarray, "n *k"]) -> Float[np.ndarray, " n"]:
    """Root mean square over the dimensions of (value - median) / (1.4826 MAD).

    A dimension in which most rows agree (MAD zero) is measured in standard deviations; a constant one does not count.
    """
    flat = values.reshape(len(values), -1).astype(np.float64)
    centred = flat - np.median(flat, axis=0)
    spread = 1.4826 * np.median(np.abs(centred), axis=0)
    spread = np.where(spread > 0, spread, flat.std(axis=0))
    z = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    return np.sqrt(np.mean(z**2, axis=1))
