"""Turn linear renders into photographs: backdrop, contact shadow, tone, lens blur, sensor noise, compression."""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.render import backdrops
from tools.render.figure import Figure
from tools.render.poses import LEFT_ANKLE, RIGHT_ANKLE
from tools.render.recipes import Recipe

BACKDROP_STREAM, NOISE_STREAM = 1, 2
PLAIN = ("white", "grey", "colour", "gradient")
JPEG_QUALITY, BAD_JPEG_QUALITY, PHONE_JPEG_QUALITY = 95, 30, 88
PAINTED_HEIGHT = 1024  # px, of the pictures for which the details of backdrops are sized


def compose(render: NDArray[np.float32], figures: list[Figure], recipe: Recipe) -> NDArray[np.float64]:
    """Put a premultiplied linear render (H, W, 4) before the recipe's backdrop; linear RGB (H, W, 3)."""
    height, width = render.shape[:2]
    feet = np.concatenate([_ground_px(f, recipe.framing.lift_m) for f in figures])
    floor_y = float(feet[:, 1].max())
    scene = _backdrop(recipe, width, height, floor_y)
    scene = scene * backdrops.ground_shadow(width, height, feet, 0.15 if recipe.backdrop in PLAIN else 0.6)
    return render[..., :3] + (1 - render[..., 3:]) * scene


def _backdrop(recipe: Recipe, width: int, height: int, floor_y: float) -> NDArray[np.float64]:
    """Paint the backdrop; those of large photographs are painted at the painters' size and enlarged."""
    scale = max(1, round(height / PAINTED_HEIGHT))
    scene = backdrops.paint(
        recipe.backdrop, recipe.rng(BACKDROP_STREAM), width // scale, height // scale, floor_y / scale
    )
    return scene if scale == 1 else cv2.resize(scene, (width, height), interpolation=cv2.INTER_LINEAR)


def _ground_px(figure: Figure, lift_m: float) -> NDArray[np.float64]:
    """Where the ground below the two feet is in the picture (2, 2)."""
    soles_m = figure.base_cam_m[_sole_vertices(figure)]
    if lift_m:
        soles_m[:, 1] = soles_m[:, 1].max() + lift_m
    return figure.camera.project(soles_m)


def _sole_vertices(figure: Figure) -> NDArray[np.int64]:
    """The lowest body vertex near each ankle."""
    lowest = []
    for ankle in (LEFT_ANKLE, RIGHT_ANKLE):
        near = np.flatnonzero(np.linalg.norm(figure.base_cam_m - figure.joints_cam_m[ankle], axis=1) < 0.16)
        lowest.append(near[np.argmax(figure.base_cam_m[near, 1])])
    return np.array(lowest)


def expose(linear_rgb: NDArray[np.float64], recipe: Recipe) -> NDArray[np.uint8]:
    """Develop a linear picture: a little lens blur and sensor noise always, more of either where the recipe says so."""
    rng = recipe.rng(NOISE_STREAM)
    blur = {"soft": rng.uniform(0.8, 1.2), "noisy": 0.5}.get(recipe.defect, 0.35)
    noise = {"noisy": 0.024}.get(recipe.defect, 0.004)
    picture = cv2.GaussianBlur(linear_rgb, (0, 0), blur) if blur > 0.4 else linear_rgb
    developed = np.clip(picture, 0.0, 1.0) ** (1 / 2.2)
    paper_white = developed.min(axis=-1, keepdims=True) > 0.999  # a cut-out white backdrop has no grain
    grain = rng.normal(0.0, noise, (*developed.shape[:2], 1)) + rng.normal(0.0, noise * 0.4, developed.shape)
    developed = developed + np.where(paper_white & (recipe.defect != "noisy"), 0.0, grain)
    return (np.clip(developed, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def jpeg(rgb: NDArray[np.uint8], defect: str = "none", exif_orientation: int | None = None) -> bytes:
    """Encode 4:4:4 at quality 95, or 4:2:0 at quality 30 when the defect is "jpeg" and at 88 when it is "phone"."""
    buffer = io.BytesIO()
    options: dict[str, object] = {"quality": JPEG_QUALITY, "subsampling": 0}
    if defect in ("jpeg", "phone"):
        options = {"quality": BAD_JPEG_QUALITY if defect == "jpeg" else PHONE_JPEG_QUALITY, "subsampling": 2}
    if exif_orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = exif_orientation
        options["exif"] = exif.tobytes()
    Image.fromarray(rgb).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def png(picture: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def alpha_of(render: NDArray[np.float32]) -> NDArray[np.uint8]:
    """8-bit coverage (H, W)."""
    return (np.clip(render[..., 3], 0, 1) * 255.0 + 0.5).astype(np.uint8)
