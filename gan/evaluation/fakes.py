"""Pictures of a generator by index: index i of a seed is one draw of codes, whoever renders it and in whatever order.

Suffixes: B batch, N pictures, H W pixels, K code values.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from gan.checkpoint import Checkpoint
from gan.data.priors import Codes, LabelPrior, Purpose
from gan.rendering.generator import Generator, Identity
from gan.rendering.mean_modulations import mean_modulations
from gan.rendering.truncation import Truncation

FLIPS = "none: real pictures as they are, codes from unmirrored label rows"


class GeneratedPictures(NamedTuple):
    """8-bit portraits and face renders of the same people, as PNG files would hold them."""

    portrait_NHW3: np.ndarray
    face_NHW3: np.ndarray


class Sizes(NamedTuple):
    """Sides of what a checkpoint renders, px; `high` says whether U works."""

    portrait_px: int
    face_px: int
    high: bool


def sizes_of(checkpoint: Checkpoint) -> Sizes:
    """Return what training compared with real pictures: rays alone in stage 1, half the portrait's side in stage 2."""
    config = checkpoint.config
    high = config.image_size > config.ray_size
    return Sizes(config.image_size, max(config.image_size // 2, config.ray_size), high)


class Fakes:
    """Draws codes and renders them."""

    def __init__(self, generator: Generator, prior: LabelPrior, sizes: Sizes, psi: float = 1.0) -> None:
        self.generator, self.prior, self.sizes = generator, prior, sizes
        self.truncation: Truncation | None = None
        if psi != 1:
            self.truncation = mean_modulations(generator, prior.identities(), prior.seed, psi=psi)

    def codes(self, indices: range) -> Codes:
        like = next(self.generator.parameters())
        return Codes(*(values.to(like) for values in self.prior.draw(indices, Purpose.EVALUATION)))

    def render(self, codes: Codes) -> GeneratedPictures:
        """Render every row by itself, with both cameras."""
        people = [(self.identity(one), one) for one in split(codes)]
        portraits, faces = ([view(*person) for person in people] for view in (self.portraits, self.faces))
        return GeneratedPictures(np.concatenate(portraits), np.concatenate(faces))

    @torch.inference_mode()
    def identity(self, one: Codes) -> Identity:
        """Return the person of one row, whom any number of frames may show."""
        maps = self.generator.radiance_maps(one.z_id_BK, one.noise_BK, self.truncation, high=self.sizes.high)
        return Identity(one.z_id_BK, one.betas_BK, maps)

    def portraits(self, person: Identity, codes: Codes) -> UInt8[np.ndarray, "b h w 3"]:
        """Render one person's frames with the portrait camera."""
        return to_uint8(self.generator.frames(person, codes.z_exp_BK, codes.pose_BP3, codes.camera_B2).image_B3HW)

    def faces(self, person: Identity, codes: Codes) -> UInt8[np.ndarray, "b h w 3"]:
        """Render one person's frames with the face camera."""
        config = dataclasses.replace(self.generator.config, image_size=self.sizes.face_px)
        arguments = codes.z_exp_BK, codes.pose_BP3, codes.face_camera_B2
        return to_uint8(self.generator.frames(person, *arguments, "face", config=config).image_B3HW)


def split(codes: Codes) -> list[Codes]:
    """Return codes of one row each."""
    return [Codes(*parts) for parts in zip(*(values.split(1) for values in codes), strict=True)]


def to_uint8(image_B3HW: Tensor) -> UInt8[np.ndarray, "b h w 3"]:
    """Round [-1, 1] to 0-255, as a PNG holds it."""
    return ((image_B3HW.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
