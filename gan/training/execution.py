"""How the steps of a run are computed: where, by how many, how much at a time and how exactly. Rounding aside, the
outcome does not depend on it.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import get_args

import torch

from dataprep.errors import ConfigError
from gan.networks.arithmetic import Arithmetic, computing, reduced, reduced_twice
from gan.networks.products import Products
from gan.training.ranks import ALONE, Ranks

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
FIRST_SCALE = 2.0**12  # R1's gradients of gradients overflow at torch's 2 ** 16


@dataclass(frozen=True)
class Execution:
    """`micro` is the most pictures in memory at a time; `precision` is that of the critics and U.

    phi, M and D_e sum and take sines in float32: of large arguments (`film`), which 8 or 11 bits cannot tell apart.
    `products` says to how many digits they round what they multiply (`gan.networks.products`). With `recompute` patches
    are computed again for the backward pass (`gan.networks.arithmetic`). A `micro` or `recompute` of None is chosen by
    what memory there is (`gan.training.machine.fitting`). float16 needs the loss scaler that `scaler` makes.
    """

    device: str = "cpu"
    micro: int | None = 4
    precision: str = "float32"
    ranks: Ranks = ALONE
    recompute: bool | None = False
    products: Products = "float32"

    def __post_init__(self) -> None:
        if self.precision not in DTYPES:
            raise ConfigError(f"precision is '{self.precision}', expected one of {', '.join(DTYPES)}")
        if self.products not in get_args(Products):
            raise ConfigError(f"products is '{self.products}', expected one of {', '.join(get_args(Products))}")
        if self.micro is not None and self.micro < 1:
            raise ConfigError(f"micro is {self.micro}, expected at least one picture in memory at a time")

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.precision]

    @property
    def where(self) -> torch.device:
        return torch.device(self.device)

    def computing(self) -> AbstractContextManager[None]:
        """Let the generator's networks compute as this says, forwards and backwards."""
        return computing(Arithmetic(bool(self.recompute), self.products))

    def autocast(self, twice: bool = False) -> AbstractContextManager[object]:
        """Let the critics compute in this precision; `twice` where R1 takes gradients of gradients."""
        return (reduced_twice if twice else reduced)(self.where.type, self.dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """Return a scaler that does nothing but in float16."""
        return torch.amp.GradScaler(self.where.type, init_scale=FIRST_SCALE, enabled=self.dtype == torch.float16)

    def share(self, batch: int) -> int:
        """Return how many pictures of a batch are this rank's; ConfigError where they cannot be shared equally."""
        if batch % self.ranks.world:
            raise ConfigError(
                f"a batch of {batch} pictures cannot be shared by {self.ranks.world} processes: "
                f"--set batch=N with a multiple of {self.ranks.world}"
            )
        return batch // self.ranks.world

    def micro_of(self, batch: int) -> int:
        """Return the largest number of pictures, at most `micro`, that divides this rank's share of the batch."""
        share = self.share(batch)
        return next(size for size in range(min(self.micro or share, share), 0, -1) if share % size == 0)

    def positions(self, start: int, batch: int) -> list[range]:
        """Return this rank's positions of the batch that begins at `start`, one range a micro-batch."""
        world, micro = self.ranks.world, self.micro_of(batch)
        mine = range(start + self.ranks.rank, start + batch, world)
        return [mine[first : first + micro] for first in range(0, len(mine), micro)]
