"""Lay out a folder of rendered people with truth, as `samples/README.md` describes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataprep.devtools.render import photo, truth
from dataprep.devtools.render.assets import MakeHuman
from dataprep.devtools.render.figure import Figure, build_figure
from dataprep.devtools.render.people import Recipe, draw_recipe
from dataprep.devtools.render.raster import Rasteriser

MASK_THRESHOLD = 128


@dataclass(frozen=True)
class Studio:
    """What rendering needs: the unpacked MakeHuman package, the stand-in models, an OpenGL context."""

    makehuman: MakeHuman
    standin: truth.StandIn
    rasteriser: Rasteriser

    def shoot(self, recipe: Recipe) -> Shot:
        """Render one person by recipe."""
        figure = build_figure(recipe, self.makehuman, self.standin.skeleton)
        render = self.rasteriser.render(figure.surfaces, figure.camera, recipe.lights)
        picture = photo.expose(photo.compose(render, [figure], recipe), recipe)
        return Shot(recipe, figure, picture, photo.alpha_of(render))


@dataclass(frozen=True)
class Shot:
    """A finished photograph: sRGB bytes (H, W, 3), soft alpha (H, W), and the posed figure behind it."""

    recipe: Recipe
    figure: Figure
    picture: NDArray[np.uint8]
    alpha: NDArray[np.uint8]


def render_people(
    studio: Studio,
    out: Path,
    seed: int,
    count: int,
    masked_share: float = 0.5,
    progress: Callable[[str], object] = lambda image: None,
) -> list[str]:
    """Render people 0 .. `count - 1` of a seed into `out/people` and `out/truth`; returns the images' paths.

    The first `masked_share` of them go to SHHQ's layout (`no_segment` with `segments`), the others to `photos`. Other
    seeds give other people; a longer set of one seed has the same people in front.
    """
    images = []
    for index in range(count):
        folder = "no_segment" if index < round(masked_share * count) else "photos"
        images.append(save_shot(out, f"{folder}/p{index + 1:03d}.jpg", studio, index, seed))
        progress(images[-1])
    return images


def save_shot(out: Path, image: str, studio: Studio, index: int, seed: int) -> str:
    """Render one person and write the picture, its truth and, in `no_segment`, its mask."""
    shot = studio.shoot(draw_recipe(seed, index))
    write_bytes(out / "people" / image, photo.jpeg(shot.picture, shot.recipe.defect))
    if image.startswith("no_segment/"):
        mask = np.where(shot.alpha >= MASK_THRESHOLD, 255, 0).astype(np.uint8)
        write_bytes(out / "people" / "segments" / f"{Path(image).stem}.png", photo.png(mask))
    write_truth(out, image, shot, studio.standin)
    return image


def write_truth(out: Path, image: str, shot: Shot, standin: truth.StandIn) -> None:
    """Write `truth/<image>.json` and `truth/<image>.alpha.png`, both for the picture as displayed."""
    height, width = shot.alpha.shape
    alpha_name = f"{image}.alpha.png"
    record: dict[str, Any] = {
        "schema": truth.SCHEMA,
        "image": image,
        "width": width,
        "height": height,
        "seed": [shot.recipe.seed, shot.recipe.index],
        "expect": "ok",
        "alpha": Path(alpha_name).name,
        "recipe": truth.recipe_summary(shot.recipe, shot.figure),
        **truth.body_truth(shot.figure),
        **truth.face_truth(shot.figure, standin),
    }
    truth.write(out / "truth" / f"{image}.json", record)
    write_bytes(out / "truth" / alpha_name, photo.png(shot.alpha))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
