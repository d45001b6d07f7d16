"""How many bytes a step of a run takes: counted on torch's meta device, which has shapes and no numbers.

What is counted there is what a GPU's allocator is asked for: shapes do not depend on numbers where steps must not wait
(`gan.networks.device_work`).
"""

import copy
import dataclasses

import torch
from torch import nn

from gan.data.stream import RealBatch
from gan.presets import Growth, Preset
from gan.training.execution import Execution
from gan.training.machine.live_bytes import LiveBytes
from gan.training.ranks import ALONE
from gan.training.state import TrainState, optimisers
from gan.training.steps import Sources, asked


def step_bytes(state: TrainState, sources: Sources, execution: Execution) -> int:
    """Return the most bytes alive at a time in a step, weights and optimisers included.

    One micro-batch of `execution.micro` pictures stands for all of a step: the others come after it and need no more.
    """
    there = dataclasses.replace(execution, device="meta", ranks=ALONE)
    state, sources = on_meta(state, sources, there)
    preset = state.key.preset
    with LiveBytes() as memory:
        asked(state, sources, iter([blank(preset, state.images_seen, preset.batch)]), there)
    averages = [average for average, _ in state.averages]
    return memory.peak + bytes_of(state.generator, *averages, state.critics) + 2 * trained_bytes(state)


def on_meta(state: TrainState, sources: Sources, execution: Execution) -> tuple[TrainState, Sources]:
    """Return a run's networks without their numbers, at a step with critics, whose batch is one micro-batch."""
    generator, average = (copy.deepcopy(network).to("meta") for network in (state.generator, state.average))
    critics = copy.deepcopy(state.critics).to("meta")
    # All rays, and R1 in the step itself: the most that the run will ask for.
    preset = dataclasses.replace(state.key.preset, batch=execution.micro or 1, growth=Growth(), r1_every=1)
    generator_optimiser, critic_optimiser = optimisers(generator, critics, preset, execution)
    state = dataclasses.replace(
        state,
        key=dataclasses.replace(state.key, preset=preset),
        generator=generator,
        average=average,
        critics=critics,
        generator_optimiser=generator_optimiser,
        critic_optimiser=critic_optimiser,
        images_seen=max(state.images_seen, preset.paired.images),  # after a paired start, whose steps need less
    )
    estimator = copy.deepcopy(sources.estimator)
    space = copy.deepcopy(sources.space).to("meta")
    return state, sources._replace(space=space, estimator=estimator and estimator.to("meta"))


def blank(preset: Preset, first: int, count: int) -> RealBatch:
    """Return black pictures of the sizes of a preset."""
    positions = torch.arange(first, first + count)
    portrait, face = (
        torch.zeros(count, 3, side, side, dtype=torch.uint8) for side in (preset.portrait_px, preset.face_px)
    )
    row, mirrored, camera = torch.zeros_like(positions), positions < 0, torch.zeros(count, 2)
    return RealBatch(positions, row, mirrored, portrait, face, camera, camera)


def bytes_of(*networks: nn.Module) -> int:
    """Return the bytes of parameters and buffers."""
    held = [tensor for network in networks for tensor in (*network.parameters(), *network.buffers())]
    return sum(tensor.numel() * tensor.element_size() for tensor in held)


def trained_bytes(state: TrainState) -> int:
    """Return the bytes of what is trained: Adam keeps two numbers for each."""
    return sum(p.numel() * p.element_size() for p in (*state.trained, *state.critics.parameters()))
