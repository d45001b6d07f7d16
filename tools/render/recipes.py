"""Draw recipes of people: everything about one picture, decided from (seed, index) alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from tools.render import wardrobe
from tools.render.poses import ARMS, Arm, Pose
from tools.render.scene import Lights
from tools.standins.anny_base import sample_adults
from tools.standins.derive_face import sample_local_changes

T = TypeVar("T")

RACES = ("caucasian", "african", "asian")
FACE_YAW_DEG = (-49.0, 49.0)
FRINGE_YAW_DEG = (-30.0, -8.0)  # the fringes cover the right eye: turned left, nothing of the face would be left
BUILD = {"weight": (0.25, 0.7), "muscle": (0.3, 0.75), "height": (0.3, 0.7), "cupsize": (0.2, 0.6)}
FEMALE_BUILD = {"weight": (0.25, 0.6), "muscle": (0.25, 0.5)}
NAMED_STRENGTH = (0.75, 1.15)  # factor on the amounts of EXPRESSIONS
CALMER = 0.85  # of the changes of the face: the strongest look ill


def _both(unit: str, amount: float) -> dict[str, float]:
    return {f"{unit}Left": amount, f"{unit}Right": amount}


EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": _both("mouthSmile", 0.55) | _both("cheekSquint", 0.3),
    "laugh": _both("mouthSmile", 0.7) | {"jawOpen": 0.25} | _both("mouthUpperUp", 0.35) | _both("cheekSquint", 0.5),
    "speaking": {"jawOpen": 0.3} | _both("mouthLowerDown", 0.2),
    "surprise": {"jawOpen": 0.45, "browInnerUp": 0.8} | _both("browOuterUp", 0.7) | _both("eyeWide", 0.6),
    "stern": _both("browDown", 0.7) | _both("mouthPress", 0.4) | _both("eyeSquint", 0.3),
    "sad": _both("mouthFrown", 0.55) | {"browInnerUp": 0.6},
    "smirk": {"mouthSmileLeft": 0.6, "mouthDimpleLeft": 0.4, "browOuterUpRight": 0.5},
    "pout": {"mouthPucker": 0.55, "mouthFunnel": 0.2},
    "brows_up": {"browInnerUp": 0.6} | _both("browOuterUp", 0.6) | _both("mouthSmile", 0.2),
}
BACKDROPS = (
    "white", "room", "grey", "street", "colour", "paper", "bokeh", "white", "room", "gradient", "park", "paper",
)  # fmt: skip
DEFECTS = ("none", "none", "soft", "none", "noisy", "none", "jpeg", "none", "none")

# Seeds that differ by this draw the same sex, race and hair for an index, so that a pose suits the hair, and yet
# neither the same arms nor the same expression, which take turns in tens.
_SEEDS_A_DAY = 3_003


@dataclass(frozen=True)
class Framing:
    """A photograph's size in px, the place of the person's middle in it (fractions), the soles' height above ground."""

    width: int = 512
    height: int = 1024
    centre: tuple[float, float] = (0.5, 0.5)
    lift_m: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """One person in one picture. Angles in radians; `phenotype` and `local` go to `anny_base.shaped_vertices`."""

    seed: int
    index: int
    sex: str
    age_years: float
    phenotype: dict[str, float]
    local: dict[str, float]
    race_share: dict[str, float]
    skin_gain: float
    outfit: wardrobe.Outfit
    top: wardrobe.Rgb | None
    bottom: wardrobe.Rgb | None
    shoes: str
    hair: str
    hair_colour: str
    brow: str
    lash: str
    iris: str
    expression_name: str
    expression: dict[str, float]
    pose_name: str
    pose: Pose
    fov_deg: float
    fill: float
    lights: Lights
    backdrop: str
    defect: str
    framing: Framing = field(default_factory=Framing)
    prop: str | None = None  # of `props.PROPS`

    def rng(self, purpose: int) -> np.random.Generator:
        """A stream of its own for each later use (backdrop, noise), traced to (seed, index, purpose)."""
        return np.random.default_rng(np.random.SeedSequence((self.seed, self.index, purpose)))


def _spread(seed: int, index: int, dimension: int) -> float:
    """Value in [0, 1), evenly spread over the people of a seed (Kronecker sequence): few people cover the range."""
    step = (1.0 / 1.2207440846057596) ** (dimension + 1)  # powers of the plastic-number family: low discrepancy
    start = np.random.default_rng(np.random.SeedSequence((seed, 1_000_000 + dimension))).random()
    return float((start + index * step) % 1.0)


def draw_recipe(seed: int, index: int) -> Recipe:
    """Decide everything about person `index` of a set; any prefix of a set is varied."""
    rng = np.random.default_rng(np.random.SeedSequence((seed, index)))
    sex = "female" if index % 2 == 0 else "male"
    race = RACES[(index // 2 + seed) % 3]
    age_years = 18.0 + 57.0 * _spread(seed, index, 0) ** 1.25
    share = _race_share(rng, race)
    expression_name = list(EXPRESSIONS)[(index * 3 + seed) % len(EXPRESSIONS)]
    strength = rng.uniform(*NAMED_STRENGTH)
    hair = _hair(index, sex, race)
    pose_name, pose = _pose(rng, seed, index, FRINGE_YAW_DEG if hair in wardrobe.COVERS_AN_EYE else FACE_YAW_DEG)
    outfit = cycled(wardrobe.FEMALE_OUTFITS if sex == "female" else wardrobe.MALE_OUTFITS, index // 2)
    return Recipe(
        seed=seed,
        index=index,
        sex=sex,
        age_years=age_years,
        phenotype=_phenotype(rng, sex, age_years, share),
        local=_local_changes(rng),
        race_share=share,
        skin_gain=float(rng.uniform(0.88, 1.08)),
        outfit=outfit,
        top=outfit.tops[(index * 5 + seed) % len(outfit.tops)],
        bottom=wardrobe.BOTTOM_COLOURS[(index * 3 + seed) % len(wardrobe.BOTTOM_COLOURS)],
        shoes=wardrobe.SHOES[int(rng.integers(len(wardrobe.SHOES)))],
        hair=hair,
        hair_colour=_hair_colour(rng, race, age_years),
        brow=f"eyebrow{int(rng.integers(1, 13)):03d}",
        lash="eyelashes02" if sex == "female" else "eyelashes04",
        iris=wardrobe.IRISES[int(rng.integers(len(wardrobe.IRISES)))] if race == "caucasian" else "brown",
        expression_name=expression_name,
        expression={unit: strength * amount for unit, amount in EXPRESSIONS[expression_name].items()},
        pose_name=pose_name,
        pose=pose,
        fov_deg=float(rng.uniform(10.0, 24.0)),
        fill=float(rng.uniform(0.85, 0.92)),
        lights=_lights(rng),
        backdrop=cycled(BACKDROPS, index),
        defect=cycled(DEFECTS, index),
    )


def another_day(recipe: Recipe, day: int) -> Recipe:
    """Return the person of `recipe` as photographed on another day; day 0 is the recipe itself."""
    if day == 0:
        return recipe
    other = draw_recipe(recipe.seed + _SEEDS_A_DAY * day, recipe.index)
    outfits = wardrobe.FEMALE_OUTFITS if recipe.sex == "female" else wardrobe.MALE_OUTFITS
    outfit = outfits[(outfits.index(recipe.outfit) + day) % len(outfits)]
    return replace(
        other,
        age_years=recipe.age_years,
        phenotype=recipe.phenotype,
        local=recipe.local,
        race_share=recipe.race_share,
        skin_gain=recipe.skin_gain,
        hair=recipe.hair,
        hair_colour=recipe.hair_colour,
        brow=recipe.brow,
        lash=recipe.lash,
        iris=recipe.iris,
        outfit=outfit,
        top=cycled(outfit.tops, recipe.index + day),
        backdrop=cycled(BACKDROPS, recipe.index + day),
        defect=cycled(DEFECTS, recipe.index + day),
    )


def cycled(choices: tuple[T, ...], index: int) -> T:
    """Take choices in turn, one further in each round, so that two cycles of related lengths do not march in step."""
    return choices[(index + index // len(choices)) % len(choices)]


def _race_share(rng: np.random.Generator, race: str) -> dict[str, float]:
    main = rng.uniform(0.6, 1.0)
    rest = rng.dirichlet([1.0, 1.0]) * (1 - main)
    others = [r for r in RACES if r != race]
    return {race: float(main), others[0]: float(rest[0]), others[1]: float(rest[1])}


def _phenotype(rng: np.random.Generator, sex: str, age_years: float, share: dict[str, float]) -> dict[str, float]:
    """An adult's build, kept within what the garments (whose offsets do not scale) can cover."""
    drawn = {k: float(v[0]) for k, v in sample_adults(rng, 1, (age_years, age_years)).items()}
    drawn["gender"] = float(np.clip(rng.normal(0.95 if sex == "female" else 0.05, 0.06), 0.0, 1.0))
    for name, (low, high) in (BUILD | (FEMALE_BUILD if sex == "female" else {})).items():
        drawn[name] = float(np.clip(drawn[name], low, high))
    drawn["proportions"] = max(drawn["proportions"], 0.4)
    return {**drawn, **share}


def _local_changes(rng: np.random.Generator) -> dict[str, float]:
    """Small changes of the face, from the distribution behind the stand-in face, a little calmer."""
    return {axis: CALMER * float(value[0]) for axis, value in sorted(sample_local_changes(rng, 1).items())}


def _hair(index: int, sex: str, race: str) -> str:
    if race == "african":
        choices = tuple(h for h in wardrobe.AFRICAN_HAIR if sex == "female" or h != "Braid01")
    else:
        choices = wardrobe.FEMALE_HAIR if sex == "female" else wardrobe.MALE_HAIR
    return choices[(index // 2) % len(choices)]


def _hair_colour(rng: np.random.Generator, race: str, age_years: float) -> str:
    if rng.random() < (age_years - 45) / 35:
        return str(rng.choice(["grey", "white"]))
    if race != "caucasian":
        return str(rng.choice(["black", "dark_brown"]))
    return str(rng.choice(["dark_brown", "brown", "auburn", "dark_blond", "blond"]))


def _jitter(rng: np.random.Generator, arm: Arm) -> Arm:
    def shake(direction: tuple[float, float, float]) -> tuple[float, float, float]:
        x, y, z = np.asarray(direction) + rng.normal(0.0, 0.05, 3)
        return float(x), float(y), float(z)

    return Arm(shake(arm.upper), shake(arm.forearm), arm.hand, arm.twist_rad)


ARM_PAIRS: dict[str, tuple[str, str]] = {
    "down": ("down", "down"),
    "left bent": ("bent", "relaxed"),
    "relaxed": ("relaxed", "relaxed"),
    "right akimbo": ("relaxed", "akimbo"),
    "away": ("away", "away"),
    "right bent up": ("down", "bent_up"),
    "left raised": ("raised", "down"),
    "akimbo": ("akimbo", "akimbo"),
    "right wave": ("relaxed", "wave"),
    "both bent": ("bent", "bent"),
}


def _pose(rng: np.random.Generator, seed: int, index: int, face_yaw_deg: tuple[float, float]) -> tuple[str, Pose]:
    """Body yaw within 40 degrees, face yaw within 50, small bends of the spine."""
    name = list(ARM_PAIRS)[(index + seed) % len(ARM_PAIRS)]
    left, right = (_jitter(rng, ARMS[arm]) for arm in ARM_PAIRS[name])
    body_yaw = np.radians(80.0 * (_spread(seed, index, 1) - 0.5))
    spine = np.radians(np.clip(rng.normal(0.0, [3.5, 5.0, 3.0]), -9, 9))
    face_yaw = np.clip(body_yaw + spine[1] + np.radians(rng.normal(0.0, 16.0)), *np.radians(face_yaw_deg))
    head = (
        float(np.radians(np.clip(rng.normal(1.0, 7.0), -16, 18))),
        float(np.clip(face_yaw - body_yaw - spine[1], -np.radians(38), np.radians(38))),
        float(np.radians(np.clip(rng.normal(0.0, 6.0), -14, 14))),
    )
    stance = rng.uniform(-0.06, 0.06)
    knee = float(max(0.0, rng.normal(0.0, 0.2)))
    legs = [(float(stance), 0.0, 0.0), (float(stance), 0.55 * knee, knee)]
    if rng.random() < 0.5:
        legs.reverse()
    pose = Pose(
        body_yaw=float(body_yaw),
        camera_pitch=float(np.radians(rng.normal(0.0, 2.5))),
        body_roll=float(np.radians(rng.normal(0.0, 1.5))),
        spine=(float(spine[0]), float(spine[1]), float(spine[2])),
        head=head,
        left_arm=left,
        right_arm=right,
        left_leg=legs[0],
        right_leg=legs[1],
    )
    return name, pose


def _lights(rng: np.random.Generator) -> Lights:
    """A key light from above on either side, a weak fill, and a sky whose brightness sets the contrast."""
    side = rng.uniform(-1.1, 1.1)
    height = rng.uniform(0.35, 0.9)
    warmth = rng.uniform(-0.08, 0.12)
    contrast = rng.uniform(0.55, 1.0)
    key = 1.0 * contrast
    sky = 0.78 - 0.42 * contrast
    colour = (key * (1 + warmth), key, key * (1 - warmth))
    return Lights(
        key_direction=(float(side), float(-height), -0.9),
        key_colour=(float(colour[0]), float(colour[1]), float(colour[2])),
        fill_direction=(float(-0.9 * np.sign(side)), -0.15, -0.6),
        fill_colour=(0.15, 0.16, 0.18),
        sky_colour=(float(sky), float(sky * 1.02), float(sky * 1.06)),
        ground_colour=(float(sky * 0.5), float(sky * 0.47), float(sky * 0.43)),
        shadow_softness=float(rng.uniform(3.0, 9.0)),
    )
