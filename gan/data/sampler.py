"""The order of samples: a function of the seed and one integer, the number of samples seen.

Epoch e is a permutation drawn from SeedSequence((seed, e)); position p stands for entry p mod size of epoch p // size.
With weights an epoch has as many entries, and a row stands in it as often as its share of the weights says, rounded up
or down by a draw of the epoch (systematic sampling), before the permutation.
A step takes the next positions, whoever computes it: the sequence does not depend on ranks, loader workers or
micro-batches while the global batch is the same, and resuming needs nothing but the position.

Not by torch's DistributedSampler, which begins at the start of an epoch; nor by torchdata's loader, whose state fits no
other number of workers; nor by webdataset, which has no exact resume.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

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


def weighted_order(weights: Float[np.ndarray, " n"], seed: int, epoch: int) -> Int[np.ndarray, " n"]:
    """Return the rows of an epoch in their order; a row is there weight / mean weight times, within one."""
    random = np.random.default_rng(np.random.SeedSequence((seed, epoch)))
    ends = np.cumsum(weights, dtype=np.float64)
    places = (np.arange(len(ends)) + random.random()) * (ends[-1] / len(ends))
    return random.permutation(np.minimum(np.searchsorted(ends, places, side="right"), len(ends) - 1))


def draw_at(size: int, seed: int, position: int) -> Draw:
    """Return the sample at a position of the endless stream over `size` samples of equal weight."""
    epoch, entry = divmod(position, size)
    return Draw(position, int(epoch_order(size, seed, epoch)[entry]))


class PositionSampler:
    """Endless draws of rank `rank`: positions images_seen + rank, + world, + 2 world, ...

    It keeps no state: to resume, make one with the `images_seen` of the last optimiser step, a multiple of the global
    batch. Loaders may run ahead as far as they like. weights: of each sample, above 0; by
    default all are equal.
    """

    def __init__(
        self,
        size: int,
        seed: int,
        images_seen: int = 0,
        rank: int = 0,
        world: int = 1,
        weights: Float[np.ndarray, " n"] | None = None,
    ) -> None:
        if size < 1 or images_seen < 0 or not 0 <= rank < world:
            raise ConfigError(
                f"sampler: size {size}, images_seen {images_seen}, rank {rank} of {world}; expected at least one "
                "sample, images_seen >= 0 and 0 <= rank < world"
            )
        if weights is not None and (len(weights) != size or not np.all(weights > 0)):
            raise ConfigError(f"sampler: {len(weights)} weights for {size} samples; expected one above 0 for each")
        self.size, self.seed, self.images_seen, self.rank, self.world = size, seed, images_seen, rank, world
        self.weights = weights

    def __iter__(self) -> Iterator[Draw]:
        position = self.images_seen + self.rank
        begun, order = -1, np.empty(0, int)
        while True:
            epoch, entry = divmod(position, self.size)
            if epoch != begun:
                begun, order = epoch, self._order(epoch)
            yield Draw(position, int(order[entry]))
            position += self.world

    def _order(self, epoch: int) -> Int[np.ndarray, " n"]:
        if self.weights is None:
            return epoch_order(self.size, self.seed, epoch)
        return weighted_order(self.weights, self.seed, epoch)
