"""The order of samples: a function of the seed and one integer, the number of samples seen.

Epoch e is a permutation drawn from SeedSequence((seed, e)); position p stands for entry p mod size of epoch p // size.
A step takes the next positions, whoever computes it: the sequence does not depend on ranks, loader workers or
micro-batches while the global batch is the same, and resuming needs nothing but the position.

Not by torch's DistributedSampler, which begins at the start of an epoch; nor by torchdata's loader, whose state fits no
other number of workers; nor by webdataset, which has no exact resume.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from dataprep.errors import ConfigError


class Draw(NamedTuple):
    """A place in the stream and the sample that stands there."""

    position: int
    row: int


@lru_cache(maxsize=4)
def epoch_order(size: int, seed: int, epoch: int) -> np.ndarray:
    """Return the permutation of an epoch."""
    order = np.random.default_rng(np.random.SeedSequence((seed, epoch))).permutation(size)
    order.flags.writeable = False
    return order


def draw_at(size: int, seed: int, position: int) -> Draw:
    """Return the sample at a position of the endless stream over `size` samples."""
    epoch, entry = divmod(position, size)
    return Draw(position, int(epoch_order(size, seed, epoch)[entry]))


class PositionSampler:
    """Endless draws of rank `rank`: positions images_seen + rank, + world, + 2 world, ...

    It keeps no state: to resume, make one with the `images_seen` of the last optimiser step, a multiple of the global
    batch. Loaders may run ahead as far as they like.
    """

    def __init__(self, size: int, seed: int, images_seen: int = 0, rank: int = 0, world: int = 1) -> None:
        if size < 1 or images_seen < 0 or not 0 <= rank < world:
            raise ConfigError(
                f"sampler: size {size}, images_seen {images_seen}, rank {rank} of {world}; expected at least one "
                "sample, images_seen >= 0 and 0 <= rank < world"
            )
        self.size, self.seed, self.images_seen, self.rank, self.world = size, seed, images_seen, rank, world

    def __iter__(self) -> Iterator[Draw]:
        position = self.images_seen + self.rank
        while True:
            yield draw_at(self.size, self.seed, position)
            position += self.world
