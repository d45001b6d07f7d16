"""How many pictures fit into memory, and whether patches must be computed again for that."""

import dataclasses
from dataclasses import dataclass

import torch

from gan.training.execution import Execution
from gan.training.machine.step_bytes import step_bytes
from gan.training.state import TrainState
from gan.training.steps import Sources

SPARE = 0.15  # of what is free: what kernels use inside themselves, and gaps between tensors [assumed]
ENOUGH = 4  # pictures at a time: with fewer it pays to compute patches again for room to more [assumed]
ON_A_CPU = 4  # pictures: there the outcome should not depend, in its last digits, on what memory is free


@dataclass(frozen=True)
class Needs:
    """The bytes of a step: of one with a single picture, and of each further one."""

    first: int
    further: int

    def pictures(self, free: int) -> int:
        """Return how many pictures fit into so many bytes."""
        return max(0, 1 + int(free * (1 - SPARE) - self.first) // max(1, self.further)) if free else 0


def needs(state: TrainState, sources: Sources, execution: Execution) -> Needs:
    """Count steps of one and of two pictures."""
    one, two = (step_bytes(state, sources, dataclasses.replace(execution, micro=micro)) for micro in (1, 2))
    return Needs(one, two - one)


def fitted(state: TrainState, sources: Sources, execution: Execution, free: int | None = None) -> Execution:
    """Choose `micro` and `recompute` where they are None, by the bytes that are free (by default: on the device).

    Patches are computed again only where fewer than ENOUGH pictures fit otherwise. One is always
    tried.
    """
    share = execution.share(state.key.preset.batch)
    if execution.where.type == "cpu" and free is None:
        return dataclasses.replace(
            execution, micro=execution.micro or min(share, ON_A_CPU), recompute=bool(execution.recompute)
        )
    if execution.micro is not None and execution.recompute is not None:
        return execution
    free = _free(execution.where) if free is None else free
    wanted = execution.micro or min(share, ENOUGH)
    for recompute in (False, True) if execution.recompute is None else (execution.recompute,):
        chosen = dataclasses.replace(execution, recompute=recompute)
        fits = needs(state, sources, chosen).pictures(free)
        if fits >= wanted:
            break
    return dataclasses.replace(chosen, micro=execution.micro or max(1, min(fits, share)))


def _free(device: torch.device) -> int:
    """Return the bytes that torch may still take there, those that it holds already among them."""
    return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
