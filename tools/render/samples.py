"""Lay out a folder of rendered people with truth, as `samples/README.md` describes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.render import exact_truth, photo, props
from tools.render.figure import Figure, build_figure
from tools.render.makehuman_assets import MakeHuman
from tools.render.raster import Rasteriser
from tools.render.recipes import Recipe
from tools.render.scene import SceneCamera, Surface

MASK_THRESHOLD = 128
WHOLE_PX = 2_000_000  # a frame buffer of 16 samples a pixel beyond this is too large
MARGIN_PX = 4


@dataclass(frozen=True)
class SampleStudio:
    """What rendering needs: the unpacked MakeHuman package, the stand-in models, an OpenGL context."""

    makehuman: MakeHuman
    standin: exact_truth.StandIn
    rasteriser: Rasteriser

    def shoot(self, recipe: Recipe) -> SampleShot:
        """Render one person by recipe."""
        figure = build_figure(recipe, self.makehuman, self.standin.skeleton)
        things = props.built(recipe, figure)
        render = self.render([*figure.surfaces, *things], figure.camera, recipe)
        picture = photo.expose(photo.compose(render, [figure], recipe), recipe)
        person = self.render([*figure.surfaces, *props.held_out(things)], figure.camera, recipe) if things else render
        return SampleShot(recipe, figure, picture, photo.alpha_of(person))

    def render(self, surfaces: list[Surface], camera: SceneCamera, recipe: Recipe) -> NDArray[np.float32]:
        """Premultiplied linear RGBA (H, W, 4); of large photographs only the part with surfaces is rasterised."""
        if camera.width * camera.height <= WHOLE_PX:
            return self.rasteriser.render(surfaces, camera, recipe.lights)
        part, rows, columns = _seen(surfaces, camera)
        whole = np.zeros((camera.height, camera.width, 4), np.float32)
        whole[rows, columns] = self.rasteriser.render(surfaces, part, recipe.lights)
        return whole


@dataclass(frozen=True)
class SampleShot:
    """A finished photograph: sRGB bytes (H, W, 3), soft alpha (H, W), and the posed figure behind it."""

    recipe: Recipe
    figure: Figure
    picture: NDArray[np.uint8]
    alpha: NDArray[np.uint8]


def _seen(surfaces: list[Surface], camera: SceneCamera) -> tuple[SceneCamera, slice, slice]:
    """The part of the photograph that holds the surfaces: its camera, its rows and its columns."""
    at = camera.project(np.concatenate([s.position_m for s in surfaces]))
    size = np.array([camera.width, camera.height])
    left, top = np.clip(np.floor(at.min(axis=0)) - MARGIN_PX, 0, size - 1).astype(int)
    right, bottom = np.clip(np.ceil(at.max(axis=0)) + MARGIN_PX, 1, size).astype(int)
    return camera.window(left, top, right - left, bottom - top), slice(top, bottom), slice(left, right)


def render_people(
    studio: SampleStudio,
    out: Path,
    recipes: list[Recipe],
    first_number: int = 1,
    masked_share: float = 0.5,
    progress: Callable[[str], object] = lambda image: None,
) -> list[str]:
    """Render people into `out/people` and `out/truth`; returns the images' paths, numbered from `first_number`.

    The first `masked_share` of them go to SHHQ's layout (`no_segment` with `segments`), the others to `photos`.
    """
    images = []
    for place, recipe in enumerate(recipes):
        folder = "no_segment" if place < round(masked_share * len(recipes)) else "photos"
        images.append(save_shot(out, f"{folder}/p{first_number + place:03d}.jpg", studio, recipe))
        progress(images[-1])
    return images


def save_shot(out: Path, image: str, studio: SampleStudio, recipe: Recipe) -> str:
    """Render one person and write the picture, its truth and, in `no_segment`, its mask."""
    shot = studio.shoot(recipe)
    write_bytes(out / "people" / image, photo.jpeg(shot.picture, shot.recipe.defect))
    if image.startswith("no_segment/"):
        mask = np.where(shot.alpha >= MASK_THRESHOLD, 255, 0).astype(np.uint8)
        write_bytes(out / "people" / "segments" / f"{Path(image).stem}.png", photo.png(mask))
    write_truth(out, image, shot, studio.standin)
    return image


def write_truth(out: Path, image: str, shot: SampleShot, standin: exact_truth.StandIn) -> None:
    """Write `truth/<image>.json` and `truth/<image>.alpha.png`, both for the picture as displayed."""
    height, width = shot.alpha.shape
    alpha_name = f"{image}.alpha.png"
    record: dict[str, Any] = {
        "schema": exact_truth.SCHEMA,
        "image": image,
        "width": width,
        "height": height,
        "seed": [shot.recipe.seed, shot.recipe.index],
        "expect": "ok",
        "alpha": Path(alpha_name).name,
        "recipe": exact_truth.recipe_summary(shot.recipe, shot.figure),
        **exact_truth.body_truth(shot.figure),
        **exact_truth.face_truth(shot.figure, standin),
    }
    exact_truth.write(out / "truth" / f"{image}.json", record)
    write_bytes(out / "truth" / alpha_name, photo.png(shot.alpha))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
