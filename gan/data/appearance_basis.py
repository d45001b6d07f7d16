"""The basis in which codes say what people look like.

gan.training.warm_start.appearance finds it; weights may bring one along.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Basis(NamedTuple):
    """The mean texture, and the directions that make textures codes of unit variance, the largest first.

    Suffixes: V values of a texture, C components.
    """

    mean_V: Float[np.ndarray, " v"]
    direction_VC: Float[np.ndarray, "v c"]
