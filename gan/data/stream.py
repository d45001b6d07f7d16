"""Batches of real images: drawn by position, resized, mirrored by the coin of their position.

    batches = real_batches(dataset, seed=7, images_seen=0, batch=8, mirror=mirror, workers=2)

Suffixes: B batch, H W pixels.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gan.data.label_rows import Labels
from gan.data.mirror import Mirror, mirror_image
from gan.data.priors import Purpose
from gan.data.sampler import Draw, PositionSampler
from gan.data.shards import ShardDataset

PREFETCHED = 4  # micro-batches a worker: steps begin with several of them at once


class RealItem(NamedTuple):
    """One real sample as training sees it."""

    position: int
    row: int
    mirrored: bool
    portrait: np.ndarray  # uint8 (H, W, 3)
    face: np.ndarray
    camera: np.ndarray  # (2,) pitch, yaw
    face_camera: np.ndarray


class RealBatch(NamedTuple):
    """Real images, uint8 so that they travel light, with their cameras (pitch, yaw in radians)."""

    position_B: Tensor
    row_B: Tensor  # of the data set
    mirrored_B: Tensor
    portrait_B3HW: Tensor
    face_B3HW: Tensor
    camera_B2: Tensor
    face_camera_B2: Tensor


class RealImages(Dataset[RealItem]):
    """Samples by `Draw`; with a `mirror` half of the positions see the mirror image, labels included.

    What is measured against (FID) never comes through here: it takes `ShardDataset` as it is.
    """

    def __init__(self, dataset: ShardDataset, seed: int, mirror: Mirror | None = None) -> None:
        self.dataset, self.seed = dataset, seed
        self._mirrored: Labels | None = mirror.labels(dataset.labels) if mirror else None

    def __getitem__(self, draw: Draw) -> RealItem:
        sample = self.dataset[draw.row]
        mirrored = self._mirrored is not None and mirror_coin(self.seed, draw.position)
        labels = self._mirrored if mirrored and self._mirrored is not None else self.dataset.labels
        portrait, face = (mirror_image(i) if mirrored else i for i in (sample.portrait, sample.face))
        camera, face_camera = labels.camera_pitch_yaw[draw.row], labels.face_pitch_yaw[draw.row]
        return RealItem(draw.position, draw.row, mirrored, portrait, face, camera, face_camera)


def mirror_coin(seed: int, position: int) -> bool:
    """Whether the sample at a position is seen in the mirror."""
    return bool(np.random.default_rng(np.random.SeedSequence((seed, int(Purpose.MIRROR), position))).integers(2))


def real_batches(
    dataset: ShardDataset,
    seed: int,
    images_seen: int,
    batch: int,
    mirror: Mirror | None = None,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    weights: Float[np.ndarray, " n"] | None = None,
) -> Iterator[RealBatch]:
    """Endless micro-batches of `batch` samples of one rank; the same samples for any number of loader workers.

    weights: how often each sample of the data set is drawn beside others; by default equally often.
    """
    sampler = PositionSampler(len(dataset), seed, images_seen, rank, world, weights)
    loader = DataLoader(
        RealImages(dataset, seed, mirror),
        batch_size=batch,
        sampler=sampler,  # type: ignore[arg-type,unused-ignore]  # yields draws, not integers
        num_workers=workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
        prefetch_factor=PREFETCHED if workers else None,
    )
    return iter(loader)


def collate(items: Sequence[RealItem]) -> RealBatch:
    """Stack samples."""
    return RealBatch(
        torch.tensor([item.position for item in items]),
        torch.tensor([item.row for item in items]),
        torch.tensor([item.mirrored for item in items]),
        _channels_first([item.portrait for item in items]),
        _channels_first([item.face for item in items]),
        torch.from_numpy(np.stack([item.camera for item in items])),
        torch.from_numpy(np.stack([item.face_camera for item in items])),
    )


def to_unit_range(image_B3HW: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Map 0-255 to [-1, 1], the range of generated images."""
    return image_B3HW.float() / 127.5 - 1


def _channels_first(images: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
