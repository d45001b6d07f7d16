"""Several processes working off one global batch: which of them this is, and sums over all of them.

`torchrun` starts the processes and tells each its place. No wrapper around the networks: a step adds up gradients over
micro-batches anyway, and over ranks it adds them up once, before they are clipped.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from dataprep.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """Rank `rank` of `world` processes; one alone talks to nobody."""

    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its sum over the ranks; where one rank has none, it counts as zero."""
        if self.world == 1:
            return
        listed = list(parameters)
        flat = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in listed])
        dist.all_reduce(flat)
        for parameter, gradient in zip(listed, flat.split([p.numel() for p in listed]), strict=True):
            parameter.grad = gradient.view_as(parameter)

    def add_values(self, values: dict[str, float], device: torch.device) -> dict[str, float]:
        """Return the sum of every value over the ranks, which all have the same names in the same order."""
        if self.world == 1:
            return values
        total = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
        dist.all_reduce(total)
        return dict(zip(values, total.tolist(), strict=True))

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set on any rank; the same answer everywhere."""
        return flag if self.world == 1 else self.add_values({"flag": float(flag)}, device)["flag"] > 0

    def gathered(self, value: T) -> list[T]:
        """Return what every rank holds, by rank; for what is small and seldom."""
        if self.world == 1:
            return [value]
        held: list[Any] = [None] * self.world
        dist.all_gather_object(held, value)
        return held

    def agree(self, value: int, what: str, device: torch.device) -> None:
        """Raise ConfigError, on every rank, unless all ranks hold the same value."""
        if self.world == 1:
            return
        held = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(self.world)]
        dist.all_gather(held, torch.tensor([value], dtype=torch.int64, device=device))
        if len({int(one) for one in held}) > 1:
            said = ", ".join(f"rank {rank}: {int(one)}" for rank, one in enumerate(held))
            raise ConfigError(f"the ranks disagree about {what} ({said}): all of them must see the same --out folder")


ALONE = Ranks()


@contextmanager
def open_ranks(device: str) -> Iterator[tuple[Ranks, str]]:
    """Join the processes that `torchrun` started (NCCL on CUDA, else gloo); yields the ranks and this one's device."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield ALONE, device
        return
    cuda = device.startswith("cuda")
    if cuda:
        device = f"cuda:{int(os.environ['LOCAL_RANK'])}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Ranks(dist.get_rank(), world), device
        dist.barrier()  # the first rank may still be writing
    finally:
        dist.destroy_process_group()
