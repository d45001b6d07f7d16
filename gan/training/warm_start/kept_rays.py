"""Rays of real pictures and where they meet the manifolds, found once.

While phi alone learns, neither the labels of a picture nor the networks that move space change: a ray meets the
manifolds where it met them before. Finding that out costs three times as much as a step of phi itself. So each picture
has a pool of rays, drawn once and kept; every visit takes some of them. Many people a step with few rays each then cost
no more than few people with many, and teach more: colours differ less along one face than between people.

A GPU follows all rays of a picture in no time and has memory for better things: there, nothing is kept.

Each picture is worked out by itself and rounded to 16 bits, whether it is kept or not: what a run learns does not
depend on what was kept before it was stopped.

Suffixes: B batch, H W pixels, R rays, Q coarse samples of a ray, L levels.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gan.data.mirror import mirror_image
from gan.data.priors import Codes, Purpose
from gan.data.shards import ShardDataset
from gan.data.stream import RealBatch, to_unit_range
from gan.networks.device_work import carried
from gan.networks.film import FilmStyle
from gan.rendering.generator import Generator, View
from gan.training.at_hits import Hits, hits_of_rays

KEPT_BYTES = 3 << 30  # 400 rays of 12 levels are 40 kB: both cameras of 35,000 pictures
MIDDLE_SPREAD = 0.3  # of half the picture's side: a face is 0.5 wide
FOREGROUND = 0.85  # of the rays; the rest lies anywhere, so that the background stays white
WHITE = 250 / 255 * 2 - 1


class Pool(NamedTuple):
    """Rays of one picture: their hits in canonical space (float16), which of them are hits, the picture's colours."""

    points_RL3: Tensor
    valid_RL: Tensor
    colour_R3: Tensor

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self)

    def take(self, index_R: Int[Tensor, " r"], like: Tensor) -> tuple[Hits, Float[Tensor, "r 3"]]:
        """Return some of the rays, in the type of `like`, and the colours they should have."""
        index_R = carried(index_R, self.points_RL3.device)
        points_RL3, colour_R3 = (part[index_R].to(like.dtype) for part in (self.points_RL3, self.colour_R3))
        return Hits(points_RL3, self.valid_RL[index_R]), colour_R3


class FinePictures(NamedTuple):
    """Real pictures in another size than training shows them in: where rays that are asked alone come from."""

    dataset: ShardDataset
    px: int

    def colours(self, row: int, mirrored: bool, view: View) -> Float[Tensor, "r 3"]:
        """Return a picture's pixels in [-1, 1], row by row."""
        picture = self.dataset.image(row, view, self.px)
        picture = mirror_image(picture) if mirrored else picture
        return to_unit_range(torch.tensor(picture).permute(2, 0, 1)[None])[0].flatten(1).T


class KeptRays:
    """Pools of rays by picture; `count` rays each, `middle` of a face's gather about its middle.

    The pixels are those of the batch's pictures, or of `fine` ones.
    """

    def __init__(self, count: int, middle: float, seed: int, most_bytes: int, fine: FinePictures | None = None) -> None:
        self.count, self.middle, self.seed, self.most_bytes, self.fine = count, middle, seed, most_bytes, fine
        self.nbytes = 0
        self._pools: dict[tuple[int, bool, View], Pool] = {}

    def of(self, generator: Generator, codes: Codes, batch: RealBatch, view: View) -> list[Pool]:
        """Return the pool of every picture of a batch, seen by either camera."""
        return [self._of(generator, codes, batch, view, person) for person in range(len(batch.row_B))]

    def _of(self, generator: Generator, codes: Codes, batch: RealBatch, view: View, person: int) -> Pool:
        key = (int(batch.row_B[person]), bool(batch.mirrored_B[person]), view)
        pool = self._pools.get(key)
        if pool is None:
            if self.fine:
                colour_R3 = self.fine.colours(*key)
            else:
                image_B3HW = batch.portrait_B3HW if view == "portrait" else batch.face_B3HW
                colour_R3 = to_unit_range(image_B3HW[person : person + 1])[0].flatten(1).T
            own = Codes(*(values[person : person + 1] for values in codes))
            pool = self._find(generator, own, colour_R3, key)
            if self.nbytes + pool.nbytes <= self.most_bytes:
                self._pools[key] = pool
                self.nbytes += pool.nbytes
        return pool

    @torch.no_grad()
    def _find(self, generator: Generator, own: Codes, colour_R3: Tensor, key: tuple[int, bool, View]) -> Pool:
        """Draw rays and follow them to the manifolds."""
        row, mirrored, view = key
        random = np.random.default_rng(
            np.random.SeedSequence((self.seed, int(Purpose.PAIRED_RAYS), row, int(mirrored), int(view == "face")))
        )
        chosen_R = draw_rays(colour_R3, min(self.count, len(colour_R3)), random, self.middle * (view == "face"))
        camera_12 = own.camera_B2 if view == "portrait" else own.face_camera_B2
        where = camera_12.device
        if self.fine:
            asked_R = carried(chosen_R, where)
            rays_RQ3 = generator.neutral_rays_at(asked_R, own.betas_BK, own.pose_BP3, camera_12, view, self.fine.px)
        else:
            _, neutral_1HWQ3 = generator.neutral_rays(own.betas_BK, own.pose_BP3, camera_12, view)
            rays_RQ3 = neutral_1HWQ3[0].flatten(0, 1)[carried(chosen_R, where)]
        style: FilmStyle = generator.deform_net.style(own.z_id_BK, own.z_exp_BK)
        hits = hits_of_rays(generator, rays_RQ3, style)
        return Pool(hits.points_RL3.half(), hits.valid_RL, carried(colour_R3[chosen_R].half(), where))


def draw_rays(
    picture_R3: Float[Tensor, "r 3"], count: int, random: np.random.Generator, middle: float = 0.0
) -> Int[Tensor, " n"]:
    """Choose rays of a picture, most of them where it is not white; `middle` of them gather about its middle.

    The middle of the face camera's picture is eyes, nose and mouth: what people look at.
    """
    person: Bool[np.ndarray, " r"] = (picture_R3.amin(1) < WHITE).numpy()
    weight = np.full(len(person), (1 - FOREGROUND) / len(person))
    if person.any():
        weight[person] += FOREGROUND / person.sum()
    weight = weight / weight.sum()
    if middle:
        weight = (1 - middle) * weight + middle * _about_the_middle(round(len(person) ** 0.5))
    chosen = random.choice(len(person), count, replace=False, p=weight / weight.sum())
    return torch.from_numpy(chosen)


def _about_the_middle(side: int) -> Float[np.ndarray, " r"]:
    """Return weights that sum to one, normal about the middle."""
    across = np.exp(-0.5 * (np.linspace(-1, 1, side) / MIDDLE_SPREAD) ** 2)
    weight = np.outer(across, across).ravel()
    return weight / weight.sum()
