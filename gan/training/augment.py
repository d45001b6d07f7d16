"""Changes of pictures before critics see them, so that few real pictures are not learnt by heart (StyleGAN2-ADA).

Real and generated pictures are changed alike. Nothing in a picture moves, so the cameras that critics may regress stay
true; the strengths are StyleGAN2-ADA's. Gradients flow through, also those of R1, which is of the picture before.
Adaptive: the probability follows the mean sign of verdicts on real pictures, and is part of a run's state.

Suffixes: B batch, H W pixels.
"""

import math
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gan.data.priors import Purpose
from gan.networks.critics import Verdicts
from gan.presets import Augmentation
from gan.rendering.generator import View

VIEWS: tuple[View, View] = ("portrait", "face")
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0  # standard deviations: of a sum, and of powers of two
NOISE = 0.1  # standard deviation of the noise's own
HOLE = 0.5  # side of the square, of the picture's
SIGN = "sign_"  # of the logged mean sign of a view's verdicts


class Glance(IntEnum):
    """Which of the looks at the pictures of a position: each is changed in a way of its own."""

    REAL = 0
    FAKE = 1
    GENERATOR = 2


class Change(NamedTuple):
    """What happens to one picture."""

    colour_34: Float[np.ndarray, "3 4"]
    noise: float
    hole: tuple[float, float] | None  # its middle, x and y, in parts of the side
    random: np.random.Generator  # of the noise


class Adaptation:
    """How likely changes are, by view, and what critics said of real pictures since that was last adjusted."""

    def __init__(self, settings: Augmentation) -> None:
        self.probability: dict[View, float] = dict.fromkeys(VIEWS, settings.probability * (settings.mode != "off"))
        self.signs: dict[View, float] = dict.fromkeys(VIEWS, 0.0)
        self.steps = 0
        self._settings = settings

    def hears(self, log: Mapping[str, float], batch: int) -> None:
        """Note the mean signs of a step of `batch` pictures, and adjust when it is time."""
        settings = self._settings
        if settings.mode != "adaptive":
            return
        self.steps += 1
        for view in VIEWS:
            self.signs[view] += log.get(f"{SIGN}{view}", 0.0)
        if self.steps < settings.every:
            return
        by = batch * self.steps / settings.over_images
        for view, sum_of_signs in self.signs.items():
            up = np.sign(sum_of_signs / self.steps - settings.target)
            self.probability[view] = float(np.clip(self.probability[view] + by * up, 0, settings.most))
        self.signs, self.steps = dict.fromkeys(VIEWS, 0.0), 0

    def state_dict(self) -> dict[str, Any]:
        return {"probability": dict(self.probability), "signs": dict(self.signs), "steps": self.steps}

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        self.probability, self.signs, self.steps = (content[name] for name in ("probability", "signs", "steps"))


def signs_of(said: Verdicts) -> dict[str, Tensor]:
    """Return the mean sign of the verdicts on either view's real pictures, for the log: 1 where all are known."""
    of_view = {"portrait": [said.whole, said.torso], "face": [said.face]}
    signs = {view: [one.logit_B.sign().mean() for one in critics if one] for view, critics in of_view.items()}
    return {f"{SIGN}{view}": torch.stack(values).mean() for view, values in signs.items() if values}


def changes(
    settings: Augmentation, probability: float, seed: int, positions: Sequence[int], look: Glance, view: View
) -> list[Change]:
    """Draw what happens to the pictures of some positions; a function of the seed, the position and the look."""
    return [_change(settings, probability, _random(seed, position, look, view)) for position in positions]


def changed(image_B3HW: Float[Tensor, "b 3 h w"], changes: Sequence[Change]) -> Float[Tensor, "b 3 h w"]:
    """Return pictures in [-1, 1], and somewhat beyond, changed one by one."""
    colour_B34 = torch.from_numpy(np.stack([one.colour_34 for one in changes])).to(image_B3HW)
    shown_B3HW = torch.einsum("bij,bjhw->bihw", colour_B34[:, :, :3], image_B3HW) + colour_B34[:, :, 3, None, None]
    if any(one.noise for one in changes):
        shape = image_B3HW.shape[1:]
        noise = [one.noise * one.random.standard_normal(shape) if one.noise else np.zeros(shape) for one in changes]
        shown_B3HW = shown_B3HW + torch.from_numpy(np.stack(noise)).to(image_B3HW)
    if any(one.hole for one in changes):
        kept_B1HW = np.stack([_outside(one.hole, image_B3HW.shape[2], image_B3HW.shape[3]) for one in changes])
        shown_B3HW = shown_B3HW * torch.from_numpy(kept_B1HW).to(image_B3HW)
    return shown_B3HW


def _change(settings: Augmentation, probability: float, random: np.random.Generator) -> Change:
    """Draw all numbers before any coin falls: with a higher probability the same changes, and more of them."""
    b, c, s, strength = random.standard_normal(4)
    angle, x, y = random.uniform(-math.pi, math.pi), *random.random(2)
    bright, contrast, flip, hue, saturation, noise, hole = random.random(7) < probability
    colour = settings.colour
    return Change(
        _colours(
            BRIGHTNESS * b * (colour and bright),
            2 ** (CONTRAST * c * (colour and contrast)),
            bool(colour and flip and random.random() < 0.5),
            angle * (colour and hue),
            2 ** (SATURATION * s * (colour and saturation)),
        ),
        float(NOISE * abs(strength) * (settings.noise and noise)),
        (x, y) if settings.cutout and hole else None,
        random,
    )


def _colours(
    brightness: float, contrast: float, flip: bool, angle: float, saturation: float
) -> Float[np.ndarray, "3 4"]:
    """Return the map of colours in [-1, 1]; grey is the axis about which hue turns and light and dark change places."""
    grey_33 = np.full((3, 3), 1 / 3)
    cross_33 = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turned_33 = grey_33 + math.cos(angle) * (np.eye(3) - grey_33) + math.sin(angle) * cross_33
    saturated_33 = grey_33 + saturation * (np.eye(3) - grey_33)
    linear_33 = saturated_33 @ turned_33 @ (np.eye(3) - 2 * grey_33 * flip) * contrast
    return np.concatenate([linear_33, linear_33 @ np.full((3, 1), brightness)], 1)


def _outside(middle: tuple[float, float] | None, height: int, width: int) -> Float[np.ndarray, "1 h w"]:
    """Return 1 outside the square about `middle`, 0 inside."""
    if middle is None:
        return np.ones((1, height, width))
    x, y = ((np.arange(side) + 0.5) / side for side in (width, height))
    inside = (abs(x - middle[0]) < HOLE / 2) & (abs(y - middle[1]) < HOLE / 2)[:, None]
    return 1.0 - inside[None]


def _random(seed: int, position: int, look: Glance, view: View) -> np.random.Generator:
    words = (seed, int(Purpose.AUGMENT), position, int(look), VIEWS.index(view))
    return np.random.default_rng(np.random.SeedSequence(words))
