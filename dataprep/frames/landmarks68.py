"""The 68 iBUG landmarks from MediaPipe's face mesh: picks of which every point's mirror point is there, and a jaw that
is where iBUG's annotators draw it, on the visible edge.

iBUG order: 0-16 jaw (image left to right), 17-21 and 22-26 brows, 27-30 nose bridge, 31-35 nostrils, 36-41 and 42-47
eyes (image left, image right), 48-59 outer lips, 60-67 inner lips. Several mesh vertices mean their mean; one that is
named twice counts twice.

iBUG's points divide each line evenly: the jaw from the ear to the chin (on 33 real faces its inner points lie at 0.13,
0.25, 0.38, 0.50, 0.63, 0.76 and 0.88 of the line), the bridge from between the eyes to the tip, a brow from end to end.
The mesh's vertices do not. Counted along its outline (127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152 are 0 to
11) even steps lie at 1.3, 2.5, 3.6, 4.7, 6.2, 7.8 and 9.5, annotated points at 1.5, 2.6, 3.7, 4.8, 6.3, 7.7 and 9.6;
the list takes the nearest halves and thirds.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float

# fmt: off
MESH_FROM_IBUG: tuple[int | tuple[int, ...], ...] = (
    127, (234, 93), (93, 132, 132), (132, 58, 58), 172, (136, 136, 150), 149, (176, 148),                 # jaw
    152, (400, 377), 378, (365, 365, 379), 397, (361, 288, 288), (323, 361, 361), (454, 323), 356,
    (70, 70, 46), (63, 63, 53), (105, 105, 66), (66, 66, 107), (107, 107, 55),                            # brows
    (336, 336, 285), (296, 296, 336), (334, 334, 296), (293, 293, 283), (300, 300, 276),
    (168, 168, 6), (6, 197, 197), (195, 5), 4,   75, 97, 2, 326, 305,                                         # nose
    (33, 33, 7), (160, 160, 159), (158, 158, 157), (133, 133, 155), 153, 144,                             # eyes
    (362, 362, 382), (385, 385, 384), (387, 387, 386), (263, 263, 249), 373, 380,
    61, (39, 40), 37, 0, 267, (269, 270), 291, (321, 405), 314, 17, 84, (91, 181),                        # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,                                                                    # inner lips
)
# fmt: on
_AT_MOST = 6  # vertices: one, two or three fill it evenly
_VERTICES = np.array([np.resize(entry, _AT_MOST) for entry in MESH_FROM_IBUG])

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


_IMAGE_LEFT, _IMAGE_RIGHT = np.arange(8), np.arange(9, 17)  # the chin, 8, stays
_OUTER_EYE_CORNERS, _BRIDGE, _CHIN, _INNER = [36, 45], 27, 8, slice(17, 68)
_SKIN = 468  # vertices; the irises come after them
_BELOW = 0.012  # of the eye distance: how far annotated brows, eyes, noses and mouths all lie below the mesh's


def landmarks68_from_mesh(mesh: Float[np.ndarray, "478 d"]) -> Float[np.ndarray, "68 2"]:
    """Mesh points (x, y, ...) in any pixel frame, y down -> the 68 landmarks in the same frame.

    Jaw points lie on the mesh's edge as it is seen, at the height of their picks: on a turned head the vertices of the
    far cheek are behind it. (Real faces turned by less than 45 degrees: jaw 6.0% of the eye distance off, not 7.3; even
    steps along that edge are better than the picks below 15 degrees and worse above.) The mesh may be that of a mirror
    image, flipped back.
    """
    picks = mesh[_VERTICES, :2].mean(axis=1)
    across = np.subtract(*picks[_OUTER_EYE_CORNERS[::-1]])
    if not across.any():
        return picks
    down = np.array([-across[1], across[0]])
    down = down if down @ (picks[_CHIN] - picks[_BRIDGE]) > 0 else -down  # a mirror image, flipped back
    upright_from_picture = np.array([across, down]) / np.linalg.norm(across)
    edge_left, edge_right = _sides(mesh[:_SKIN, :2] @ upright_from_picture.T)
    points = picks @ upright_from_picture.T
    points[_INNER, 1] += _BELOW * np.linalg.norm(across)
    points[_IMAGE_LEFT, 0] = np.interp(points[_IMAGE_LEFT, 1], *edge_left)
    points[_IMAGE_RIGHT, 0] = np.interp(points[_IMAGE_RIGHT, 1], *edge_right)
    return points @ upright_from_picture


def _sides(points: Float[np.ndarray, "n 2"]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Left and right side of the convex hull, each as heights (rising) and what lies outermost there."""
    hull = points[cv2.convexHull(points.astype(np.float32), returnPoints=False)[:, 0]]
    hull = np.roll(hull, -int(hull[:, 1].argmin()), axis=0)
    turn = int(hull[:, 1].argmax())
    sides = hull[: turn + 1], np.concatenate((hull[turn:], hull[:1]))[::-1]
    return [(side[:, 1], side[:, 0]) for side in sorted(sides, key=lambda side: float(side[:, 0].mean()))]
