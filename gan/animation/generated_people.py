"""A generator from Python: `people = gan.load_generator()`, then `gan.render(people.person(seed=3))`.

A person is the one that `shhq-hs animate --seeds` shows for the same seed, weights and label rows.

Suffixes: N frames, K values of a code, H W pixels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from dataprep.errors import ConfigError
from dataprep.models.devices import resolve_device
from gan.animation.animate_labels import AnimateLabels, AnimatePurpose, draw_motion, draw_person, stream
from gan.animation.animate_motion import rows_of
from gan.animation.animation_request import PRECISIONS, VIEWS
from gan.animation.frame_files import pixels
from gan.animation.tracks import Track, neutral_track
from gan.checkpoint import Bases, Checkpoint, require_bases
from gan.config import GeneratorConfig, preview
from gan.generator_files import open_checkpoint, open_generator
from gan.rendering.both_views import render_views
from gan.rendering.generator import Generator, Identity, View
from gan.rendering.mean_modulations import mean_modulations
from gan.rendering.truncation import PSI, Truncation


class GeneratedPeople:
    """A generator, and the label rows that its people and their motions are drawn from."""

    def __init__(self, checkpoint: Checkpoint, generator: Generator, labels: AnimateLabels) -> None:
        self.checkpoint, self.generator, self.labels = checkpoint, generator, labels
        self._truncation = cache(self._mean)

    @property
    def bases(self) -> Bases | None:
        """The body and face model whose coefficients the weights speak; None: SMPL's and BFM's."""
        return self.checkpoint.bases

    @property
    def config(self) -> GeneratorConfig:
        """Every number of the generator."""
        return self.generator.config

    def person(self, seed: int, psi: float = PSI, precision: str = "float32") -> GeneratedPerson:
        """Bake the person of a seed: seconds on a CPU.

        `psi` pulls towards the mean person, from 1 (not at all) to 0. Raises ConfigError on a value out of range.
        """
        if seed < 0:
            raise ConfigError(f"seed={seed}: expected a whole number from 0 on")
        if not 0 <= psi <= 1:
            raise ConfigError(f"psi={psi}: expected a number from 0 (the mean person) to 1 (no truncation)")
        if precision not in PRECISIONS:
            raise ConfigError(f"precision={precision!r}: expected {' or '.join(PRECISIONS)}")
        return GeneratedPerson(self, seed, self.identity(seed, psi, precision))

    def identity(self, seed: int, psi: float, precision: str) -> Identity:
        """Bake the radiance maps of a seed's person."""
        drawn = draw_person(self.labels, seed)
        z_id, noise, betas = self.tensors(drawn.identity_1K, drawn.noise_1K, drawn.betas_1K)
        return self.generator.identity(z_id, noise, betas, self.truncation(psi), PRECISIONS[precision])

    def truncation(self, psi: float) -> Truncation | None:
        """Return what pulls towards the mean person; None where nothing does."""
        return None if psi == 1 else self._truncation(psi)

    def tensors(self, *values: np.ndarray) -> list[torch.Tensor]:
        """Return arrays as tensors where the generator is."""
        device = next(self.generator.parameters()).device
        return [torch.from_numpy(np.ascontiguousarray(value)).to(device) for value in values]

    def _mean(self, psi: float) -> Truncation:
        seed = int(stream(0, AnimatePurpose.MEAN).integers(2**31))
        return mean_modulations(self.generator, torch.from_numpy(self.labels.identity_N80), seed, psi=psi)

    def __repr__(self) -> str:
        side = self.config.image_size
        rows = len(self.labels.identity_N80)
        return f"GeneratedPeople({self.checkpoint.path.name}, {side} x {side} px, {rows} label rows)"


@dataclasses.dataclass(frozen=True, eq=False)
class GeneratedPerson:
    """One generated person, ready to be rendered."""

    people: GeneratedPeople
    seed: int
    identity: Identity = dataclasses.field(repr=False)

    def motion(self, frames: int) -> Track:
        """Draw expressions, poses and cameras of the seed's own, as `shhq-hs animate` does."""
        return draw_motion(self.people.labels, self.seed, frames)


def load_generator(
    checkpoint: str | Path | None = None,
    labels: str | Path | None = None,
    body: str | None = None,
    device: str = "auto",
) -> GeneratedPeople:
    """Load a checkpoint of training, or the authors'; the people that come with the package where none is named.

    `labels`: a data set whose rows people are drawn from, needed where the checkpoint brought none. `body`: the body
    model's file where it is not found by itself. Raises CheckpointError, AssetError or BasisError.
    """
    opened = open_checkpoint(None if checkpoint is None else Path(checkpoint))
    rows = rows_of(None if labels is None else Path(labels), None, opened)
    generator = open_generator(opened, [rows.bases] if rows.bases else [], body, None).to(resolve_device(device))
    return GeneratedPeople(opened, generator, rows)


def neutral(frames: int = 1, yaw_rad: float = 0.0, pitch_rad: float = 0.0) -> Track:
    """Return the canonical pose without expression; yaw and pitch move the camera away from the front."""
    track = neutral_track(frames)
    return dataclasses.replace(track, camera_N2=track.camera_N2 + np.array([pitch_rad, yaw_rad], np.float32))


def render(
    person: GeneratedPerson, track: Track | None = None, view: View = "portrait", preview: bool = False
) -> UInt8[np.ndarray, "n h w 3"]:
    """Render a person as uint8 RGB (N, H, W, 3): the frames of a track, one neutral portrait where none is given.

    `preview` takes fewer rays and samples. Raises ConfigError on another view, BasisError on a track whose coefficients
    are of other models.
    """
    return np.stack(list(frames(person, neutral() if track is None else track, view, preview)))


def frames(
    person: GeneratedPerson, track: Track, view: View = "portrait", preview: bool = False
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Render frame by frame, as `render` does; for long tracks."""
    people = person.people
    if view not in VIEWS:
        raise ConfigError(f"view={view!r}: expected {' or '.join(VIEWS)}")
    if track.bases is not None:
        require_bases(people.checkpoint, track.bases)
    config = quality(people.generator, preview)
    for i in range(len(track)):
        one = track.rows([i])
        z_exp, pose, camera = people.tensors(one.expression_N64, one.pose_N63, one.camera_N2)
        shown = render_views(people.generator, person.identity, z_exp, pose, camera, (view,), config)
        yield pixels(shown[view].image_B3HW[0])


def quality(generator: Generator, quick: bool) -> GeneratorConfig:
    """Return the generator's own settings, or those of a preview."""
    return preview(generator.config) if quick else generator.config
