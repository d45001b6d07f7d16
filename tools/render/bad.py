"""Inputs that the pipeline must reject, each for one reason, and one rotated photograph that it must accept.

Files here are no people of the set: their names do not start with p.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.render import backdrops, photo, props, samples
from tools.render.figure import Figure, build_figure
from tools.render.poses import ARMS, HEAD, NECK, Pose, Reach
from tools.render.recipes import Framing, Recipe, draw_recipe
from tools.render.wardrobe import COVERS_AN_EYE, encoded

WIDTH, HEIGHT = 512, 1024
EXIF_ROTATED_90_CLOCKWISE = 6  # the viewer must turn the stored picture 90 degrees clockwise
EDGE_ABOVE_NECK_M = 0.10  # cuts the picture off at the chin
FOREHEAD_SHOWN_M = 0.015  # above the brows
SHOWN_BELOW_NECK_M = 0.035  # of the 0.105 m that a portrait shows
HEIGHT_CLOSE_UP_PX = 768
BROWS, RIGHT_JAW = slice(17, 27), 2  # of the 68 landmarks
FIRST_INDEX = 900  # recipes of bad inputs: apart from those of the good ones


@dataclass(frozen=True)
class Expected:
    """Where and why the pipeline must reject an input."""

    stage: str
    reason: str


def write_bad_inputs(studio: samples.SampleStudio, out: Path, seed: int, good_image: str) -> dict[str, Expected]:
    """Write `out/people/bad/*`, an exact copy of `good_image` beside it, and `out/truth/bad.json`."""
    makers: dict[str, tuple[Callable[[samples.SampleStudio, int], bytes], Expected]] = {
        "bad/truncated.jpg": (_truncated, Expected("ingest", "undecodable")),
        "bad/text.png": (_text, Expected("ingest", "undecodable")),
        "bad/zero_bytes.jpg": (lambda studio, seed: b"", Expected("ingest", "empty_file")),
        "bad/grey16.png": (_grey16, Expected("ingest", "unsupported_mode")),
        "bad/no_person.jpg": (_no_person, Expected("detect", "no_person")),
        "bad/two_people.jpg": (_two_people, Expected("detect", "multiple_people")),
        "bad/back_view.jpg": (_back_view, Expected("detect", "back_view")),
        "bad/face_out_of_frame.jpg": (_face_out_of_frame, Expected("detect", "face_out_of_frame")),
        "bad/turned_away.jpg": (_turned_away, Expected("detect", "turned_away")),
        "bad/head_cut.jpg": (_head_cut, Expected("quality", "cut_top")),
        "bad/shoulders_cut.jpg": (_shoulders_cut, Expected("quality", "cut_bottom")),
        "bad/shoulder_cut.jpg": (_shoulder_cut, Expected("quality", "cut_sides")),
        "bad/hand_over_mouth.jpg": (_hand_over_mouth, Expected("quality", "hand")),
        "bad/cup_over_mouth.jpg": (_cup_over_mouth, Expected("quality", "mouth")),
        "bad/on_its_side.jpg": (_on_its_side, Expected("detect", "not_upright")),
        "bad/on_its_head.jpg": (_on_its_head, Expected("detect", "not_upright")),
    }
    for image, (make, _) in makers.items():
        samples.write_bytes(out / "people" / image, make(studio, seed))
    expected = {image: reason for image, (_, reason) in makers.items()}
    # The copy sorts after its original, so that the original is the one that is kept.
    copy = f"{good_image.removesuffix('.jpg')}_copy.jpg"
    samples.write_bytes(out / "people" / copy, (out / "people" / good_image).read_bytes())
    expected[copy] = Expected("ingest", "duplicate")
    text = json.dumps({k: {"stage": e.stage, "reason": e.reason} for k, e in sorted(expected.items())}, indent=2)
    samples.write_bytes(out / "truth" / "bad.json", (text + "\n").encode())
    return expected


def write_exif_rotated(studio: samples.SampleStudio, out: Path, seed: int, index: int) -> str:
    """Write a good photograph that is stored lying on its side (EXIF orientation 6); its truth is for it upright."""
    image = "photos/exif_rotated.jpg"
    shot = studio.shoot(draw_recipe(seed, index))
    stored = np.ascontiguousarray(np.rot90(shot.picture))  # 90 degrees counter-clockwise
    samples.write_bytes(out / "people" / image, photo.jpeg(stored, exif_orientation=EXIF_ROTATED_90_CLOCKWISE))
    samples.write_truth(out, image, shot, studio.standin)
    return image


def _plain_recipe(seed: int, index: int, pose: Pose, backdrop: str = "paper", fill: float = 0.88) -> Recipe:
    recipe = draw_recipe(seed, index)
    hair = "short02" if recipe.hair in COVERS_AN_EYE else recipe.hair
    return replace(recipe, pose=pose, backdrop=backdrop, fill=fill, defect="none", hair=hair)


def _shoot(
    studio: samples.SampleStudio, recipes: list[Recipe], place: Callable[[list[Figure]], list[Figure]]
) -> NDArray[np.uint8]:
    figures = place([build_figure(r, studio.makehuman, studio.standin.skeleton) for r in recipes])
    surfaces = [surface for figure in figures for surface in figure.surfaces]
    surfaces += [thing for r, figure in zip(recipes, figures, strict=True) for thing in props.built(r, figure)]
    render = studio.rasteriser.render(surfaces, figures[0].camera, recipes[0].lights)
    return photo.expose(photo.compose(render, figures, recipes[0]), recipes[0])


def _truncated(studio: samples.SampleStudio, seed: int) -> bytes:
    recipe = _plain_recipe(seed, FIRST_INDEX, Pose())
    data = photo.jpeg(_shoot(studio, [recipe], list))
    return data[: len(data) * 2 // 5]


def _text(studio: samples.SampleStudio, seed: int) -> bytes:
    return b"This is a text file with the name of a picture.\n"


def _grey16(studio: samples.SampleStudio, seed: int) -> bytes:
    picture = _shoot(studio, [_plain_recipe(seed, FIRST_INDEX + 1, Pose())], list)
    grey = picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return photo.png((grey[::2, ::2] * 257.0).astype(np.uint16))


def _no_person(studio: samples.SampleStudio, seed: int) -> bytes:
    recipe = _plain_recipe(seed, FIRST_INDEX + 2, Pose(), "room")
    scene = backdrops.paint("room", recipe.rng(photo.BACKDROP_STREAM), WIDTH, HEIGHT, HEIGHT * 0.9)
    return photo.jpeg(encoded(scene))


def _two_people(studio: samples.SampleStudio, seed: int) -> bytes:
    pose = Pose(left_arm=ARMS["down"], right_arm=ARMS["down"])
    recipes = [_plain_recipe(seed, FIRST_INDEX + k, pose, "paper", fill=0.62) for k in (4, 5)]

    def side_by_side(figures: list[Figure]) -> list[Figure]:
        depth = [f.joints_cam_m[0, 2] for f in figures]
        moved = []
        for figure, side in zip(figures, (-1, 1), strict=True):
            # Both are seen by the first figure's camera: match depths so that they stand on one floor.
            at = np.array(
                [side * 0.25 * WIDTH * depth[0] / figures[0].camera.fx, 0.0, depth[0] - figure.joints_cam_m[0, 2]]
            )
            moved.append(replace(figure.moved(at), camera=figures[0].camera))
        return moved

    return photo.jpeg(_shoot(studio, recipes, side_by_side))


def _back_view(studio: samples.SampleStudio, seed: int) -> bytes:
    recipe = _plain_recipe(seed, FIRST_INDEX + 6, Pose(body_yaw=np.pi), "grey")
    return photo.jpeg(_shoot(studio, [recipe], list))


def _moved_px(figure: Figure, point_m: NDArray[np.float64], to_px: tuple[float | None, float | None]) -> Figure:
    """The figure moved across the picture so that a point of it gets a column, a row, or both."""
    at = figure.camera.project(point_m)
    step_px = [0.0 if to is None else to - now for now, to in zip(at, to_px, strict=True)]
    return figure.moved(np.array([*step_px, 0.0]) * point_m[2] / figure.camera.fx)


def _face_out_of_frame(studio: samples.SampleStudio, seed: int) -> bytes:
    def raise_above_the_edge(figures: list[Figure]) -> list[Figure]:
        (figure,) = figures
        above_m = np.array([0.0, EDGE_ABOVE_NECK_M, 0.0])
        return [_moved_px(figure, figure.joints_cam_m[NECK] - above_m, (None, 0.0))]

    return photo.jpeg(_shoot(studio, [_plain_recipe(seed, FIRST_INDEX + 7, Pose())], raise_above_the_edge))


def _turned_away(studio: samples.SampleStudio, seed: int) -> bytes:
    pose = Pose(body_yaw=np.radians(72), head=(0.0, np.radians(10), 0.0))
    return photo.jpeg(_shoot(studio, [_plain_recipe(seed, FIRST_INDEX + 8, pose)], list))


def _head_cut(studio: samples.SampleStudio, seed: int) -> bytes:
    def raise_the_brows_to_the_edge(figures: list[Figure]) -> list[Figure]:
        (figure,) = figures
        brows_m = figure.base_cam_m[studio.standin.landmark_vertex[BROWS]].mean(axis=0)
        return [_moved_px(figure, brows_m - np.array([0.0, FOREHEAD_SHOWN_M, 0.0]), (None, 0.0))]

    return photo.jpeg(_shoot(studio, [_plain_recipe(seed, FIRST_INDEX + 9, Pose())], raise_the_brows_to_the_edge))


def _close_up(recipe: Recipe, fill: float = 2.6) -> Recipe:
    return replace(recipe, framing=Framing(HEIGHT_CLOSE_UP_PX, HEIGHT_CLOSE_UP_PX), fill=fill)


def _shoulders_cut(studio: samples.SampleStudio, seed: int) -> bytes:
    def lower_to_the_neck(figures: list[Figure]) -> list[Figure]:
        (figure,) = figures
        below_m = figure.joints_cam_m[NECK] + np.array([0.0, SHOWN_BELOW_NECK_M, 0.0])
        return [_moved_px(figure, below_m, (None, HEIGHT_CLOSE_UP_PX))]

    recipe = _close_up(_plain_recipe(seed, FIRST_INDEX + 10, Pose()))
    return photo.jpeg(_shoot(studio, [recipe], lower_to_the_neck))


def _shoulder_cut(studio: samples.SampleStudio, seed: int) -> bytes:
    def move_to_the_left_edge(figures: list[Figure]) -> list[Figure]:
        (figure,) = figures
        beside_m = figure.base_cam_m[studio.standin.landmark_vertex[RIGHT_JAW]]
        return [_moved_px(figure, beside_m, (6.0, None))]

    recipe = _plain_recipe(seed, FIRST_INDEX + 11, Pose(), "grey")
    return photo.jpeg(_shoot(studio, [recipe], move_to_the_left_edge))


def _hand_over_mouth(studio: samples.SampleStudio, seed: int) -> bytes:
    hand = Reach(HEAD, (0.10, -0.065, 0.13), (0.5, -1.0, 0.2), (-1.0, 0.15, -0.05), (0.0, 0.0, -1.0), 0.15)
    return photo.jpeg(_shoot(studio, [_plain_recipe(seed, FIRST_INDEX + 12, Pose(right_arm=hand), "grey")], list))


def _cup_over_mouth(studio: samples.SampleStudio, seed: int) -> bytes:
    hand = Reach(HEAD, (0.07, -0.155, 0.16), (0.5, -1.0, 0.2), (-0.5, 0.75, 0.4), (-1.0, -0.4, 0.0), 0.5)
    recipe = replace(_plain_recipe(seed, FIRST_INDEX + 13, Pose(left_arm=hand), "room"), prop="cup")
    return photo.jpeg(_shoot(studio, [recipe], list))


def _on_its_side(studio: samples.SampleStudio, seed: int) -> bytes:
    picture = _shoot(studio, [_plain_recipe(seed, FIRST_INDEX + 14, Pose(), "street")], list)
    return photo.jpeg(np.ascontiguousarray(np.rot90(picture)))


def _on_its_head(studio: samples.SampleStudio, seed: int) -> bytes:
    picture = _shoot(studio, [_plain_recipe(seed, FIRST_INDEX + 15, Pose(), "grey")], list)
    return photo.jpeg(np.ascontiguousarray(picture[::-1, ::-1]))
