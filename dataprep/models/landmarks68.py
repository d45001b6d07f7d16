"""The 68 iBUG landmarks from MediaPipe's face mesh, by a list in which every point's mirror point is present.

iBUG order: 0-16 jaw (image left to right), 17-21 and 22-26 brows, 27-30 nose bridge, 31-35 nostrils, 36-41 and 42-47
eyes (image left, image right), 48-59 outer lips, 60-67 inner lips. A pair of mesh vertices means their midpoint.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

# fmt: off
MESH_FROM_IBUG: tuple[int | tuple[int, int], ...] = (
    127, 234, 132, (132, 58), 172, 136, 149, 148, 152, 377, 378, 365, 397, (361, 288), 361, 454, 356,   # jaw
    70, 63, 105, 66, 107,   336, 296, 334, 293, 300,                                                    # brows
    168, 197, 5, 4,   75, 97, 2, 326, 305,                                                              # nose
    33, 160, 158, 133, 153, 144,   362, 385, 387, 263, 373, 380,                                        # eyes
    61, 39, 37, 0, 267, 269, 291, 321, 314, 17, 84, 91,                                                 # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,                                                                  # inner lips
)
# fmt: on
_PAIRS = np.array([(entry, entry) if isinstance(entry, int) else entry for entry in MESH_FROM_IBUG])

# iBUG index of every point's mirror image (left and right swapped)
# fmt: off
MIRROR68 = np.array([
    16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
    26, 25, 24, 23, 22, 21, 20, 19, 18, 17,
    27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,
    64, 63, 62, 61, 60, 67, 66, 65,
])
# fmt: on


def landmarks68_from_mesh(mesh: Float[np.ndarray, "478 d"]) -> Float[np.ndarray, "68 2"]:
    """Mesh points (x, y, ...) in any pixel frame -> the 68 landmarks in the same frame."""
    return mesh[_PAIRS, :2].mean(axis=1)
