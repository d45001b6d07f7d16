"""Procedural backgrounds in linear light: studio papers, and busy out-of-focus rooms, streets, parks and lights."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Light = NDArray[np.float64]  # (H, W, 3) linear RGB


def paint(kind: str, rng: np.random.Generator, width: int, height: int, floor_y: float) -> Light:
    """Paint one backdrop; `floor_y` is the row (pixels) where the person's feet stand."""
    return np.clip(_PAINTERS[kind](rng, width, height, floor_y), 0.0, 1.2)


def ground_shadow(width: int, height: int, feet_px: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    """Multiplicative contact shadow (H, W, 1) below the feet (n, 2)."""
    dark = np.zeros((height, width))
    for x, y in feet_px:
        cv2.ellipse(dark, (int(x), int(y)), (46, 9), 0, 0, 360, 1.0, -1)
    dark = cv2.GaussianBlur(dark, (0, 0), 12)
    return (1 - strength * np.clip(dark, 0, 1))[..., None]


def _flat(colour: tuple[float, float, float], width: int, height: int) -> Light:
    return np.broadcast_to(np.asarray(colour), (height, width, 3)).copy()


def _vignette(width: int, height: int, strength: float, centre: tuple[float, float] = (0.5, 0.42)) -> Light:
    y, x = np.mgrid[0:height, 0:width]
    r2 = ((x / width - centre[0]) * 0.8) ** 2 + (y / height - centre[1]) ** 2
    return (1 - strength * np.clip(r2 / 0.5, 0, 1))[..., None]


def _noise(rng: np.random.Generator, width: int, height: int, cell_px: float) -> NDArray[np.float64]:
    """Smooth noise in [0, 1] with features of about `cell_px`."""
    grid = rng.random((int(height / cell_px) + 3, int(width / cell_px) + 3)).astype(np.float32)
    return np.clip(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1).astype(np.float64)


def _blur(light: Light, sigma: float) -> Light:
    return cv2.GaussianBlur(light, (0, 0), sigma)


def _muted(rng: np.random.Generator) -> NDArray[np.float64]:
    """A colour of household things: no pure hues."""
    return 0.35 * rng.random(3) + 0.35 * rng.random() + 0.02


def _white(rng: np.random.Generator, width: int, height: int, floor_y: float) -> Light:
    return _flat((1.0, 1.0, 1.0), width, height)


def _grey(rng: np.random.Generator, width: int, height: int, floor_y: float) -> Light:
    return _flat((1.0, 1.0, 1.0), width, height) * rng.uniform(0.2, 0.6) * _vignette(width, height, 0.35)


def _colour(rng: np.random.Generator, width: int, height: int, floor_y: float) -> Light:
    hue = rng.random(3) * 0.45 + 0.08
    return _flat((hue[0], hue[1], hue[2]), width, height) * _vignette(width, height, 0.4)


def _dark(rng: np.random.Generator, width: int, height: int, floor_y: float) -> Light:
    """A studio without light on the wall: dark hair hardly stands out."""
    tone = rng.uniform(0.006, 0.03) * (1 + rng.normal(0, 0.12, 3))
    glow = _vignette(width, height, rng.uniform(0.3, 0.8), (rng.uniform(0.3, 0.7), 0.35))
    return _flat(tuple(tone), width, height) * glow


def _gradient(rng: np.random.Generator, width: int, height: int, floor_y: float) -> Light:
    top, bottom = rng.random(3) * 0.4 + 0.35, rng.random(3) * 0.25 + 0.1
    share = np.linspace(0, 1, height)[:, None, None]
    return top * (1 - share) + bottom * share + np.zeros((height, width, 3))


def _paper(rng: np.random.Generator, width: int, height: int, floor_y: float) -> Light:
    """Seamless paper: a wall, a curved transition and a lighter floor."""
    wall = rng.uniform(0.35, 0.75) * (1 + rng.normal(0, 0.05, 3))
    floor = wall * rng.uniform(0.75, 1.12)
    turn = floor_y - rng.uniform(30, 110)
    share = 1 / (1 + np.exp(-(np.arange(height) - turn) / 18.0))[:, None, None]
    return (wall * (1 - share) + floor * share) * _vignette(width, height, 0.25) + np.zeros((height, width, 3))


def _room(rng: np.random.Generator, width: int, height: int, floor_y: float) -> Light:
    """A wall with a window, pictures, shelves and furniture, out of focus."""
    scene = _flat(tuple(rng.uniform(0.2, 0.6) * (1 + rng.normal(0, 0.12, 3))), width, height)
    horizon = int(floor_y - rng.uniform(60, 170))
    floor = np.array([0.22, 0.14, 0.08]) * rng.uniform(0.6, 1.7)
    planks = 0.85 + 0.3 * _noise(rng, width, height, 24)
    scene[horizon:] = (floor * planks[..., None])[horizon:]
    scene[horizon - 14 : horizon] = rng.uniform(0.4, 0.7)
    for _ in range(int(rng.integers(5, 10))):
        w, h = int(rng.uniform(40, 190)), int(rng.uniform(50, 260))
        x, y = int(rng.uniform(-60, width)), int(rng.uniform(-40, horizon - h * 0.6))
        colour = _muted(rng) * rng.uniform(0.1, 1.0)
        frame = rng.random() < 0.6
        cv2.rectangle(scene, (x, y), (x + w, y + h), (0.05, 0.04, 0.03) if frame else tuple(colour), -1)
        if frame:
            cv2.rectangle(scene, (x + 6, y + 6), (x + w - 6, y + h - 6), tuple(colour * 1.6), -1)
    wx, wy = int(rng.uniform(-80, width - 120)), int(rng.uniform(20, 200))
    cv2.rectangle(scene, (wx, wy), (wx + 170, wy + 330), (0.85, 0.92, 1.0), -1)
    cv2.line(scene, (wx + 85, wy), (wx + 85, wy + 330), (0.3, 0.28, 0.26), 8)
    for _ in range(3):
        x, h = int(rng.uniform(-40, width)), int(rng.uniform(80, 240))
        colour = _muted(rng) * 0.6
        cv2.rectangle(scene, (x, horizon - h), (x + int(rng.uniform(60, 180)), horizon + 24), tuple(colour), -1)
    return _blur(scene, rng.uniform(2.5, 6.0)) * _vignette(width, height, 0.3)


def _street(rng: np.random.Generator, width: int, height: int, floor_y: float) -> Light:
    """Facades with windows, a pavement and a strip of sky."""
    scene = _gradient(rng, width, height, floor_y) * 0.5 + np.array([0.25, 0.35, 0.5])
    horizon = int(floor_y - rng.uniform(120, 240))
    x = -40
    while x < width:
        w = int(rng.uniform(90, 220))
        top = int(rng.uniform(-100, 260))
        wall = rng.uniform(0.08, 0.4) * (1 + rng.normal(0, 0.15, 3))
        cv2.rectangle(scene, (x, top), (x + w, horizon), tuple(wall), -1)
        glass = np.array([0.1, 0.14, 0.2]) * rng.uniform(0.3, 2.5)
        for row in range(top + 24, horizon - 60, 74):
            for column in range(x + 14, x + w - 30, 44):
                lit = glass * rng.uniform(0.5, 1.6)
                cv2.rectangle(scene, (column, row), (column + 24, row + 42), tuple(lit), -1)
        x += w
    pavement = np.array([0.28, 0.27, 0.26]) * rng.uniform(0.6, 1.3)
    scene[horizon:] = pavement * (0.85 + 0.3 * _noise(rng, width, height, 9)[horizon:, :, None])
    for _ in range(4):
        px, base = int(rng.uniform(0, width)), horizon + int(rng.uniform(10, 60))
        cv2.ellipse(scene, (px, base - 60), (12, 60), 0, 0, 360, tuple(rng.random(3) * 0.3), -1)
    return _blur(scene, rng.uniform(2.0, 5.0))


def _park(rng: np.random.Generator, width: int, height: int, floor_y: float) -> Light:
    """Foliage, trunks and grass in several scales of noise."""
    leaves = sum(w * _noise(rng, width, height, c) for w, c in ((0.5, 90), (0.3, 30), (0.2, 9)))
    shade = np.clip((leaves - 0.25) / 0.5, 0, 1)[..., None]
    scene = np.array([0.02, 0.05, 0.015]) * (1 - shade) + np.array([0.30, 0.42, 0.12]) * shade
    gaps = np.clip((_noise(rng, width, height, 60) - 0.72) * 6, 0, 1)[..., None]
    gaps = gaps * np.clip(1 - np.arange(height) / (0.55 * height), 0, 1)[:, None, None]
    scene = scene * (1 - gaps) + np.array([0.8, 0.9, 1.0]) * gaps
    for _ in range(3):
        x = int(rng.uniform(0, width))
        cv2.line(
            scene,
            (x, 0),
            (x + int(rng.normal(0, 30)), int(floor_y) - 90),
            (0.05, 0.035, 0.02),
            int(rng.uniform(10, 34)),
        )
    horizon = int(floor_y - rng.uniform(60, 130))
    grass = 0.6 + 0.8 * _noise(rng, width, height, 5)
    scene[horizon:] = (np.array([0.10, 0.17, 0.04]) * grass[..., None])[horizon:]
    return _blur(scene, rng.uniform(2.0, 4.5))


def _bokeh(rng: np.random.Generator, width: int, height: int, floor_y: float) -> Light:
    """Night lights far out of focus."""
    scene = _flat((0.02, 0.022, 0.035), width, height) * (1 + _noise(rng, width, height, 120)[..., None] * 3)
    for _ in range(46):
        disc = np.zeros_like(scene)
        colour = np.array([1.0, rng.uniform(0.4, 0.95), rng.uniform(0.15, 0.8)]) * rng.uniform(0.08, 0.6)
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, floor_y - 60)))
        cv2.circle(disc, centre, int(rng.uniform(8, 34)), tuple(colour), -1, cv2.LINE_AA)
        scene += disc
    scene[int(floor_y) - 40 :] *= 0.6
    return _blur(scene, 2.0)


_PAINTERS: dict[str, Callable[[np.random.Generator, int, int, float], Light]] = {
    "white": _white, "grey": _grey, "colour": _colour, "gradient": _gradient, "paper": _paper, "room": _room,
    "street": _street, "park": _park, "bokeh": _bokeh, "dark": _dark,
}  # fmt: skip
