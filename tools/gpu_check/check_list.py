"""Which checks there are, in their order, and how many seconds each may take: together at most eight minutes."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from tools.gpu_check import generator_checks, machine_facts, network_checks, training_checks
from tools.gpu_check.isolated_worker import CheckFunction

WHOLE_S = 480.0
CPU_S, CPU_WHOLE_S = 600.0, 3600.0  # of a check, and of all, on a CPU that others use, too


class Planned(NamedTuple):
    """A check, and its bound."""

    name: str
    function: CheckFunction
    budget_s: float


MACHINE = Planned("machine", machine_facts.machine, 30)
CHECKS = (
    Planned("products", machine_facts.products, 20),
    Planned("nearest", generator_checks.nearest, 30),
    Planned("parity", generator_checks.parity, 45),
    Planned("gradients", training_checks.same_gradients, 30),
    Planned("r1", training_checks.r1_in_reduced_precision, 30),
    Planned("stage1", training_checks.stage1_step, 85),
    Planned("stage2", training_checks.stage2_step, 85),
    Planned("frame", generator_checks.frame_and_identity, 30),
    Planned("superres", network_checks.superres, 30),
    Planned("hmr", network_checks.hmr, 20),
    Planned("rnet", network_checks.rnet, 20),
    Planned("inception", network_checks.inception, 20),
)


def step_of(preset: str) -> Planned:
    """Return a check of any preset's step."""
    return Planned(f"step of {preset}", partial(training_checks.training_step, preset_name=preset), 85)
