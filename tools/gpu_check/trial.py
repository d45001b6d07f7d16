"""What is tried, and how a check ends that does not simply return its numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gan.training.cost.gpu_check import Number
from gan.training.execution import DTYPES

Numbers = dict[str, Number]
Size = Literal["paper", "tiny"]


@dataclass(frozen=True)
class Trial:
    """`size` tiny does everything on little; `micro` 0 lets memory choose; `tf32` lets float32 products be rounded."""

    device: str
    size: Size
    precision: str
    micro: int = 0
    tf32: bool = True

    @property
    def where(self) -> torch.device:
        return torch.device(self.device)

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.precision]

    @property
    def is_gpu(self) -> bool:
        return self.where.type == "cuda"

    @property
    def is_tiny(self) -> bool:
        return self.size == "tiny"


class Missed(Exception):
    """A check that ran, and found what must not be; its numbers are kept."""

    def __init__(self, reason: str, numbers: Numbers) -> None:
        super().__init__(reason)
        self.numbers = numbers


class NotHere(Exception):
    """A check that cannot be done on this machine; the message says why."""


def require(said: dict[str, bool], numbers: Numbers) -> Numbers:
    """Return the numbers, or raise Missed with the sentences that are not true."""
    if wrong := [sentence for sentence, holds in said.items() if not holds]:
        raise Missed("; ".join(f"not so: {sentence}" for sentence in wrong), numbers)
    return numbers


def allow_tf32(allowed: bool) -> None:
    """Let products and convolutions in float32 round to TF32, or not."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def seconds_of(work: Callable[[], object], where: torch.device, repeats: int = 1) -> float:
    """Return the shortest of some runs: wall time on a GPU, processor time on a CPU, which others use, too."""
    clock = time.perf_counter if where.type == "cuda" else time.process_time
    shortest = float("inf")
    for _ in range(repeats):
        wait(where)
        begun = clock()
        work()
        wait(where)
        shortest = min(shortest, clock() - begun)
    return shortest


def wait(where: torch.device) -> None:
    """Wait until a GPU has done what it was asked for."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)


def off_by(ours: Tensor, reference: Tensor) -> float:
    """Return the norm of a difference as a part of the reference's; both are compared on the CPU."""
    ours, reference = ours.detach().double().cpu(), reference.detach().double().cpu()
    return float((ours - reference).norm() / reference.norm().clamp(min=1e-300))
