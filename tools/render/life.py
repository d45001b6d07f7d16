"""People who move: recipes of walking, seated, jumping and leaning people, crossed limbs, hands at hair and chin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tools.render import acts, wardrobe
from tools.render.poses import Direction, Pose
from tools.render.recipes import Framing, Recipe, cycled, draw_recipe

LIFE_STREAM = 3
LIVELY = ("room", "street", "paper", "park", "grey", "bokeh", "gradient")
INDOORS, OUTDOORS, DARK = ("room", "paper", "gradient"), ("paper", "park", "street"), ("dark", "bokeh")
SKIRT, LOW_WAIST = "female_elegantsuit01", "female_sportsuit01"  # do not follow a stride, or hips that bend
JACKETS = ("male_casualsuit05", "male_elegantsuit01", "male_worksuit01")  # arms that lie on the trunk would sink in
LONG_HAIR = ("long01", "ponytail01")
FRINGES = (*wardrobe.COVERS_AN_EYE, "Braid01")

PORTRAIT = Framing()
Rng = np.random.Generator


@dataclass(frozen=True)
class Kind:
    """One way of being: `pose` acts for the left side, and half of the people are mirrored."""

    pose: Callable[[Rng], Pose]
    yaw_deg: tuple[float, float] = (0.0, 30.0)  # how far the body turns to either side
    backdrops: tuple[str, ...] = LIVELY
    framing: Framing = PORTRAIT
    fill: tuple[float, float] = (0.82, 0.9)
    fov_deg: tuple[float, float] = (12.0, 26.0)
    hair: tuple[str, ...] | None = None
    prop: str | None = None
    not_worn: tuple[str, ...] = (SKIRT,)
    hair_colours: tuple[str, ...] | None = None
    defect: str | None = None  # None: as the recipe has it


def draw_life(seed: int, index: int, kind: str | None = None) -> Recipe:
    """Decide everything about person `index` of a set of people who move; kinds take turns unless one is given."""
    return lively(draw_recipe(seed, index), cycled(tuple(KINDS), index) if kind is None else kind)


def lively(recipe: Recipe, name: str) -> Recipe:
    """The same person in a pose, frame and place of kind `name`."""
    kind, rng = KINDS[name], recipe.rng(LIFE_STREAM)
    pose = turned(kind.pose(rng), rng, np.radians(rng.uniform(*kind.yaw_deg) * rng.choice((-1.0, 1.0))))
    if rng.random() < 0.5:
        pose = acts.mirrored(pose)
    hair = recipe.hair if kind.hair is None else kind.hair[recipe.index % len(kind.hair)]
    outfit = _outfit(recipe, kind.not_worn)
    return replace(
        recipe,
        pose_name=name,
        pose=pose,
        outfit=outfit,
        top=outfit.tops[(recipe.index * 5 + recipe.seed) % len(outfit.tops)],
        hair="short02" if hair in FRINGES else hair,
        hair_colour=recipe.hair_colour if kind.hair_colours is None else str(rng.choice(kind.hair_colours)),
        backdrop=kind.backdrops[int(rng.integers(len(kind.backdrops)))],
        framing=kind.framing,
        fill=float(rng.uniform(*kind.fill)),
        fov_deg=float(rng.uniform(*kind.fov_deg)),
        prop=kind.prop,
        defect=recipe.defect if kind.defect is None else kind.defect,
    )


def _outfit(recipe: Recipe, not_worn: tuple[str, ...]) -> wardrobe.Outfit:
    """The person's own, or one that suits."""
    every = wardrobe.FEMALE_OUTFITS if recipe.sex == "female" else wardrobe.MALE_OUTFITS
    choices = [outfit for outfit in every if outfit.name not in not_worn]
    return recipe.outfit if recipe.outfit in choices else choices[recipe.index // 2 % len(choices)]


def turned(pose: Pose, rng: Rng, yaw: float) -> Pose:
    """Turn the body, let the head turn back partly, and shake everything a little."""
    nod, turn, tilt = np.radians(np.clip(rng.normal(0.0, [4.0, 7.0, 4.0]), -12, 12))
    bend = np.radians(np.clip(rng.normal(0.0, [2.0, 3.0, 2.0]), -6, 6))
    return replace(
        pose,
        body_yaw=float(pose.body_yaw + yaw),
        camera_pitch=float(np.radians(np.clip(rng.normal(2.0, 3.0), -4, 8))),
        spine=_plus(pose.spine, bend),
        head=_plus(pose.head, (nod, turn - 0.4 * yaw, tilt)),
    )


def _plus(a: Direction, b: Direction | np.ndarray) -> Direction:
    return float(a[0] + b[0]), float(a[1] + b[1]), float(a[2] + b[2])


_SEATED: dict[str, Any] = {
    "framing": Framing(640, 960, (0.5, 0.52)),
    "prop": "seat",
    "backdrops": INDOORS,
    "not_worn": (SKIRT, LOW_WAIST),
}
LARGE = Framing(3072, 4096, (0.42, 0.70))
# Those of SHHQ's frame come first, as the first half of the samples' people who move is written in SHHQ's layout.
KINDS: dict[str, Kind] = {
    "walking": Kind(acts.walking, (18.0, 40.0)),
    "arms crossed": Kind(acts.arms_crossed, not_worn=(SKIRT, *JACKETS)),
    "hand to hair": Kind(acts.hand_to_hair, hair=LONG_HAIR),
    "hand to chin": Kind(acts.hand_to_chin, not_worn=(SKIRT, *JACKETS)),
    "long hair, dark": Kind(
        acts.standing, backdrops=DARK, hair=("long01",), hair_colours=("black", "dark_brown", "brown")
    ),
    "legs crossed": Kind(acts.legs_crossed),
    "leaning aside, dark": Kind(acts.leaning_aside, (0.0, 20.0), backdrops=DARK, hair=("long01",)),
    "seated": Kind(acts.seated, (10.0, 40.0), **_SEATED),
    "jumping": Kind(acts.jumping, framing=Framing(768, 1024, (0.5, 0.47), 0.3), backdrops=OUTDOORS),
    "leaning forward": Kind(acts.leaning, (0.0, 30.0), framing=Framing(640, 960)),
    "seated, legs crossed": Kind(acts.seated_legs_crossed, (5.0, 35.0), **_SEATED),
    "star jump": Kind(acts.star_jump, (0.0, 25.0), framing=Framing(1024, 1024, (0.5, 0.49), 0.2), backdrops=OUTDOORS),
    "hands behind head": Kind(acts.hands_behind_head, framing=Framing(640, 1024), hair=("long01", "ponytail01")),
    "far away": Kind(
        acts.walking,
        (10.0, 30.0),
        framing=LARGE,
        fill=(0.198, 0.2),
        fov_deg=(42.0, 50.0),
        backdrops=("paper",),
        defect="phone",
    ),
}
