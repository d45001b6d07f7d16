"""Renders of a face model through the face camera, in memory: what the stand-in face estimator is trained on.

A painter: triangles in flat colours, from far to near. Around the face, random shapes in flat colours play
hair, neck and clothes, so that the network does not read the white rim. Suffixes: V vertices, T triangles, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dataprep.frames.face_frames import head_from_3dmm
from dataprep.models.face.bfm import EXP, ID, TEX, FaceModel, lit_colour
from gan.config import GeneratorConfig
from gan.face.face_space import DM_IN_FACE_UNIT

ANGLE_STD_RAD = (0.12, 0.35, 0.04)  # x nods, y turns, z leans: what is left after the crop took the roll out
TRANSLATION_STD_DM = 0.04
CODE_SPREAD = 0.9  # deviations
LIGHT_STD = 0.12


@dataclass(frozen=True)
class FaceDraw:
    """The 257 numbers of a render, in R-Net's order."""

    identity: Float[np.ndarray, "80"]
    expression: Float[np.ndarray, "64"]
    tex: Float[np.ndarray, "80"]
    angle_rad: Float[np.ndarray, "3"]
    gamma: Float[np.ndarray, "27"]
    trans_dm: Float[np.ndarray, "3"]

    def row(self) -> Float[np.ndarray, "257"]:
        parts = (self.identity, self.expression, self.tex, self.angle_rad, self.gamma, self.trans_dm)
        return np.concatenate(parts).astype(np.float32)


def draw_face(random: np.random.Generator) -> FaceDraw:
    """Draw codes, pose and light; all independent and normal."""
    gamma = random.normal(0, LIGHT_STD, (3, 9)) * np.r_[1, np.ones(3), np.full(5, 0.4)]
    gamma = 0.3 * gamma + 0.7 * gamma[:1]  # mostly white light
    return FaceDraw(
        random.normal(0, CODE_SPREAD, ID),
        random.normal(0, CODE_SPREAD, EXP),
        random.normal(0, 1, TEX),
        random.normal(0, 1, 3) * ANGLE_STD_RAD,
        gamma.ravel(),
        random.normal(0, TRANSLATION_STD_DM, 3),
    )


def render_face(
    model: FaceModel, face: FaceDraw, size_px: int, random: np.random.Generator | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Render on white as the face camera frames it; `random` adds hair, neck and clothes."""
    turn = head_from_3dmm(face.angle_rad)
    vertices_V3 = model.shape(face.identity, face.expression)
    placed_V3 = vertices_V3 @ turn.T + face.trans_dm
    colours_V3 = lit_colour(model.texture(face.tex), model.normals(vertices_V3) @ turn.T, face.gamma).clip(0, 255)
    camera = GeneratorConfig()
    depth_V = DM_IN_FACE_UNIT * camera.face_radius - placed_V3[:, 2]
    at_V2 = placed_V3[:, :2] / np.tan(camera.fov_rad / 2) / depth_V[:, None] * [1, -1]
    pixels_V2 = (at_V2 + 1) / 2 * (size_px - 1)  # rays at the rims, as the generator has them

    image = np.full((size_px, size_px, 3), 255, np.uint8)
    skin = colours_V3.mean(0)
    if random is not None:
        _behind(image, skin, random)
    corners_T32 = pixels_V2[model.triangles]
    (ax, ay), (bx, by) = ((corners_T32[:, k] - corners_T32[:, 0]).T for k in (1, 2))
    towards_T = (ax * by - ay * bx) * _winding(model) > 0
    order_T = np.flatnonzero(towards_T)
    order_T = order_T[np.argsort(-depth_V[model.triangles[order_T]].mean(1), kind="stable")]
    flat_T3 = colours_V3[model.triangles[order_T]].mean(1).tolist()
    for corners_32, colour in zip(np.rint(corners_T32[order_T] * 16).astype(np.int32), flat_T3, strict=True):
        cv2.fillConvexPoly(image, corners_32, colour, shift=4)
    if random is not None:
        _fringe(image, random)
    return image


def _winding(model: FaceModel) -> float:
    """The sign that triangles seen from the front have in a picture (y downwards)."""
    a, b, c = (model.mean[model.triangles[:, k], :2] for k in range(3))
    facing_T = model.normals(model.mean)[model.triangles[:, 0], 2] > 0.5
    (ax, ay), (bx, by) = (b - a)[facing_T].T, (c - a)[facing_T].T
    return -float(np.sign(np.median(ax * by - ay * bx)))


def _behind(image: np.ndarray, skin: np.ndarray, random: np.random.Generator) -> None:
    """Hair, neck and clothes."""
    side = len(image)
    if random.random() < 0.7:
        half, top = random.uniform(0.3, 0.45), random.uniform(0.35, 0.5)
        axes = _place(side, half, half * random.uniform(1, 1.5))
        cv2.ellipse(image, _place(side, 0.5, top), axes, 0, 0, 360, _colour(random), -1)
    left, right = random.uniform(0.25, 0.4), random.uniform(0.6, 0.75)
    cv2.rectangle(image, _place(side, left, 0.6), _place(side, right, 1.0), skin.tolist(), -1)
    if random.random() < 0.7:
        cv2.rectangle(image, _place(side, 0.0, random.uniform(0.85, 1)), _place(side, 1.0, 1.0), _colour(random), -1)


def _fringe(image: np.ndarray, random: np.random.Generator) -> None:
    """Hair over the forehead."""
    side = len(image)
    if random.random() < 0.6:
        centre = _place(side, random.uniform(0.4, 0.6), random.uniform(-0.1, 0.05))
        axes = _place(side, random.uniform(0.3, 0.5), random.uniform(0.15, 0.3))
        cv2.ellipse(image, centre, axes, random.uniform(-15, 15), 0, 360, _colour(random), -1)


def _place(side: int, x: float, y: float) -> tuple[int, int]:
    return round(x * side), round(y * side)


def _colour(random: np.random.Generator) -> list[int]:
    return random.integers(0, 256, 3).tolist()
