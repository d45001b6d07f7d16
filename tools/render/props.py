"""Things that people sit on, stand behind or hold before themselves: plain boxes, placed by the posed body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tools.render.figure import Figure, skin_vertices
from tools.render.makehuman_assets import TexturedMesh, fan
from tools.render.poses import HEAD, LEFT_ANKLE, LEFT_HIP, LEFT_KNEE, RIGHT_ANKLE, RIGHT_HIP, RIGHT_KNEE
from tools.render.recipes import Recipe
from tools.render.scene import Surface, SurfaceMaterial
from tools.render.wardrobe import encoded

Array = NDArray[np.float64]

PROP_STREAM = 4
MATT = SurfaceMaterial(specular=0.015, exponent=12.0, wrap=0.1)
_CORNERS = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)])
_SIDES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
SEAT_THIGH_M = 0.22  # how far in front of the hips the seat ends: the shins hang free
SEAT_BEHIND_M, SEAT_HALF_WIDTH_M = 0.22, 0.25
CUP_RADIUS_M, CUP_HEIGHT_M, CUP_SIDES = 0.042, 0.10, 48
CUP_FROM_HEAD_M = np.array([0.0, -0.045, 0.155])
SHIN_RADIUS_M, THIGH_UNDER_HIP_M = 0.10, 0.16
SINK_M = 0.012  # what cushion and flesh give way


def built(recipe: Recipe, figure: Figure) -> list[Surface]:
    """The things in a person's picture, in camera axes."""
    return [] if recipe.prop is None else PROPS[recipe.prop](recipe, figure)


def held_out(surfaces: Sequence[Surface]) -> list[Surface]:
    """The same things as holes, so that what is left of the coverage is the person's."""
    return [replace(s, material=replace(s.material, holdout=True)) for s in surfaces]


def box(low_m: Array, high_m: Array, cam_from_box: Array, colour: Array) -> Surface:
    """A box of one linear colour between two corners (3,) in its own axes; sides share no corners: edges are hard."""
    quads = [tuple(range(4 * i, 4 * i + 4)) for i in range(len(_SIDES))]
    points = (low_m + _CORNERS * (high_m - low_m))[np.ravel(_SIDES)] @ cam_from_box.T
    return _plain(points, quads, colour)


def _plain(points: Array, polygons: list[tuple[int, ...]], colour: Array) -> Surface:
    triangles = fan(polygons)
    mesh = TexturedMesh(triangles, np.zeros_like(triangles), np.full((1, 2), 0.5, np.float32))
    texture = np.dstack([encoded(np.broadcast_to(colour, (1, 1, 3))), np.full((1, 1), 255, np.uint8)])
    return Surface("prop", points, mesh, texture, MATT)


def _seat(recipe: Recipe, figure: Figure) -> list[Surface]:
    """A block of some colour that stands on the ground, turned with the person."""
    cam_from_box = figure.rotations_cam[0]
    low, high = seat_corners_m(figure.base_cam_m[skin_vertices()] @ cam_from_box, figure.joints_cam_m @ cam_from_box)
    return [box(low, high, cam_from_box, 0.25 * recipe.rng(PROP_STREAM).random(3) + 0.12)]


def seat_corners_m(body: Array, joints: Array) -> tuple[Array, Array]:
    """Lowest and highest corner (3,) of a seat: below thighs and buttocks, behind the shins, down to the soles.

    Skin (n, 3) and joints (24, 3) are in metres in the pelvis's axes.
    """
    middle = joints[[LEFT_HIP, RIGHT_HIP]].mean(axis=0)
    shins = joints[[LEFT_KNEE, RIGHT_KNEE, LEFT_ANKLE, RIGHT_ANKLE]]
    front = min(middle[2] + SEAT_THIGH_M, shins[:, 2].min() - SHIN_RADIUS_M)
    thighs = (body[:, 1] > middle[1] - THIGH_UNDER_HIP_M) & (np.abs(body[:, 0] - middle[0]) < SEAT_HALF_WIDTH_M)
    top = body[thighs & (body[:, 2] < front) & (body[:, 2] > middle[2] - SEAT_BEHIND_M), 1].min() + SINK_M
    low = np.array([middle[0] - SEAT_HALF_WIDTH_M, body[:, 1].min(), middle[2] - SEAT_BEHIND_M])
    return low, np.array([middle[0] + SEAT_HALF_WIDTH_M, top, front])


def _cup(recipe: Recipe, figure: Figure) -> list[Surface]:
    """A mug at the mouth, upright in the head's axes."""
    cam_from_head = figure.rotations_cam[HEAD]
    mouth = figure.joints_cam_m[HEAD] @ cam_from_head + CUP_FROM_HEAD_M
    turn = np.arange(CUP_SIDES) * 2 * np.pi / CUP_SIDES
    rim = np.stack([CUP_RADIUS_M * np.cos(turn), np.zeros(CUP_SIDES), CUP_RADIUS_M * np.sin(turn)], axis=1)
    half = np.array([0.0, CUP_HEIGHT_M / 2, 0.0])
    points = np.concatenate([mouth + rim + half, mouth + rim - half]) @ cam_from_head.T
    around = [(i, (i + 1) % CUP_SIDES, CUP_SIDES + (i + 1) % CUP_SIDES, CUP_SIDES + i) for i in range(CUP_SIDES)]
    colour = 0.3 * recipe.rng(PROP_STREAM).random(3) + 0.1
    return [_plain(points, [*around, tuple(range(CUP_SIDES, 2 * CUP_SIDES))], colour)]


PROPS: dict[str, Callable[[Recipe, Figure], list[Surface]]] = {"seat": _seat, "cup": _cup}
