"""What the person of the sample clip does: head, shoulders, face and voice as smooth functions of time.

Everything follows from (seed, purpose) and the time in seconds: motions are sums of a few sines with drawn phases, and
speech is a row of syllables that open the mouth and sound at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tools.render.poses import Arm, Direction, Pose
from tools.render.recipes import Recipe

Array = NDArray[np.float64]

SYLLABLE_S = 0.21
PHRASES_S = ((0.25, 2.1), (2.55, 4.75))  # when the person speaks
VISEMES: tuple[dict[str, float], ...] = (
    {"jawOpen": 0.42, "mouthLowerDownLeft": 0.35, "mouthLowerDownRight": 0.35},
    {"jawOpen": 0.16, "mouthStretchLeft": 0.45, "mouthStretchRight": 0.45},
    {"jawOpen": 0.20, "mouthPucker": 0.6},
    {"jawOpen": 0.30, "mouthFunnel": 0.55},
    {"jawOpen": 0.12, "mouthPressLeft": 0.3, "mouthPressRight": 0.3, "mouthSmileLeft": 0.2, "mouthSmileRight": 0.2},
)
BLINKS_S = (0.9, 2.3, 3.1, 4.4)
BLINK_HALF_S = 0.12
# Amplitude in degrees and frequency in hertz of the sines behind each angle.
_HEAD = {
    "pitch": ((5.0, 0.35), (3.0, 0.9), (1.5, 1.7)),
    "yaw": ((13.0, 0.28), (6.0, 0.63), (1.5, 1.5)),
    "roll": ((4.0, 0.31), (2.0, 0.8), (0.8, 1.4)),
}
_BODY = {
    "pitch": ((1.5, 0.3), (0.6, 0.8)),
    "yaw": ((6.0, 0.22), (1.5, 0.6)),
    "roll": ((2.0, 0.25), (0.6, 0.7)),
}
_SHOULDER = ((0.06, 0.4), (0.025, 1.1))  # of the upper arm's direction
_MOODS = {  # slow: smile and brows
    "mouthSmile": ((0.22, 0.17), (0.10, 0.41)),
    "browInnerUp": ((0.35, 0.29), (0.15, 0.83)),
    "browOuterUp": ((0.25, 0.33), (0.1, 0.71)),
    "cheekSquint": ((0.2, 0.19),),
}
_MOTION, _VOICE = 71, 72  # purposes of random streams


@dataclass(frozen=True)
class Talk:
    """One performance. `seed` draws phases and the order of the syllables."""

    seed: int

    def pose(self, rest: Pose, time_s: float) -> Pose:
        """The resting pose with head, trunk and upper arms moved."""
        head = tuple(np.radians(self._wave(f"head {axis}", time_s, _HEAD[axis])) for axis in ("pitch", "yaw", "roll"))
        trunk = tuple(np.radians(self._wave(f"body {axis}", time_s, _BODY[axis])) for axis in ("pitch", "yaw", "roll"))
        return replace(
            rest,
            body_yaw=rest.body_yaw + 0.4 * trunk[1],
            spine=_added(rest.spine, (trunk[0], 0.6 * trunk[1], trunk[2])),
            head=_added(rest.head, (head[0], head[1], head[2])),
            left_arm=self._arm(rest.left_arm, "left", time_s),
            right_arm=self._arm(rest.right_arm, "right", time_s),
        )

    def expression(self, time_s: float) -> dict[str, float]:
        """Activations of facial units: slow moods, blinks, and the syllable spoken."""
        units: dict[str, float] = {}
        for mood, waves in _MOODS.items():
            amount = float(np.clip(self._wave(mood, time_s, waves) + 0.12, 0, 1))
            sides = ("",) if mood == "browInnerUp" else ("Left", "Right")
            units |= {f"{mood}{side}": amount for side in sides}
        lids = max(0.0, 1 - min(abs(time_s - at) for at in BLINKS_S) / BLINK_HALF_S)
        units |= {f"eyeBlink{side}": 0.9 * lids * lids * (3 - 2 * lids) for side in ("Left", "Right")}
        for viseme, loudness in self._spoken(time_s):
            for unit, amount in VISEMES[viseme].items():
                units[unit] = units.get(unit, 0.0) + loudness * amount
        return units

    def voice(self, seconds: float, rate_hz: int) -> Array:
        """A speech-like sound in [-1, 1]: glottal pulses through two formants, as loud as the mouth is open."""
        time_s = np.arange(round(seconds * rate_hz)) / rate_hz
        every = rate_hz // 100
        open_ = np.array([sum(loud for _, loud in self._spoken(t)) for t in time_s[::every]])
        loudness = np.interp(time_s, time_s[::every], open_)
        pitch_hz = 125 + 12 * np.sin(2 * np.pi * 0.7 * time_s) - 8 * time_s / seconds
        phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
        sound = np.zeros_like(time_s)
        vowels = np.array([[730, 1090], [390, 1990], [310, 870], [570, 840], [440, 1700]])
        spoken = np.array([max(self._spoken(t), key=lambda one: one[1], default=(0, 0.0))[0] for t in time_s[::every]])
        formants = vowels[spoken]
        first, second = (np.interp(time_s, time_s[::every], formants[:, i]) for i in range(2))
        for harmonic in range(1, 24):
            hz = harmonic * pitch_hz
            gain = 1 / (1 + ((hz - first) / 90) ** 2) + 0.5 / (1 + ((hz - second) / 120) ** 2) + 0.02
            sound += gain / harmonic**0.5 * np.sin(harmonic * phase)
        hiss = np.random.default_rng(np.random.SeedSequence((self.seed, _VOICE, 1))).normal(size=len(time_s))
        sound = loudness * (sound + 0.02 * hiss)
        return 0.7 * sound / np.abs(sound).max()

    def _spoken(self, time_s: float) -> list[tuple[int, float]]:
        """Visemes heard at a time and their loudness: neighbours overlap, so that the mouth glides."""
        order = np.random.default_rng(np.random.SeedSequence((self.seed, _VOICE)))
        out = []
        for start, end in PHRASES_S:
            count = int((end - start) / SYLLABLE_S)
            visemes, loud = order.integers(len(VISEMES), size=count), order.uniform(0.65, 1.1, count)
            for i in range(count):
                away = abs(time_s - start - (i + 0.5) * SYLLABLE_S) / SYLLABLE_S
                if away < 1:
                    out.append((int(visemes[i]), float(loud[i] * np.cos(np.pi / 2 * away) ** 2)))
        return out

    def _arm(self, arm: Arm, side: str, time_s: float) -> Arm:
        moved = [self._wave(f"{side} arm {axis}", time_s, _SHOULDER) for axis in "xyz"]
        return replace(arm, upper=_added(arm.upper, (moved[0], moved[1], moved[2])))

    def _wave(self, name: str, time_s: float, waves: tuple[tuple[float, float], ...]) -> float:
        """Sum of sines with phases drawn for `name`."""
        key = (self.seed, _MOTION, *name.encode())
        phases = np.random.default_rng(np.random.SeedSequence(key)).uniform(0, 2 * np.pi, len(waves))
        return float(sum(a * np.sin(2 * np.pi * hz * time_s + p) for (a, hz), p in zip(waves, phases, strict=True)))


def performed(recipe: Recipe, talk: Talk, time_s: float) -> Recipe:
    """The recipe of one frame."""
    return replace(
        recipe,
        expression_name="talking",
        expression=talk.expression(time_s),
        pose_name="talking",
        pose=talk.pose(recipe.pose, time_s),
    )


def _added(a: Direction, b: Direction) -> Direction:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
