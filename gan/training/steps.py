"""One optimiser step: the critics on real and generated pictures, then the generator.

A step is one global batch. Every rank takes its share of it and works it off in micro-batches. Every loss is a mean
over pictures and no network mixes them, so a micro-batch counts by its part of the global batch and gradients add up,
over micro-batches and over ranks, to those of the whole.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gan.data.priors import Codes, LabelPrior, Purpose
from gan.data.stream import RealBatch, to_unit_range
from gan.face.face_coefficients import FaceEstimator
from gan.face.face_space import FaceSpace
from gan.losses import adversarial_loss, critics_loss, landmark_loss, r1_loss, regression_loss
from gan.networks.critics import Verdicts
from gan.networks.device_work import carried
from gan.presets import Preset
from gan.training.augment import VIEWS, Glance, changed, changes, signs_of
from gan.training.execution import Execution
from gan.training.growth import coarse, rays_of
from gan.training.pictures import Pictures, deformation_losses, make_pictures
from gan.training.rates import r1_is_due, set_rates
from gan.training.state import TrainState
from gan.training.told import read, step_if_finite
from gan.training.warm_start.paired import Paired, paired_losses, paired_picture_losses


class Sources(NamedTuple):
    """Where codes come from, the 3DMM in the face frame, and who reads faces for Eq. 9 (None: the term is left out)."""

    prior: LabelPrior
    space: FaceSpace
    estimator: FaceEstimator | None = None
    paired: Paired | None = None


def step(state: TrainState, sources: Sources, real: Iterator[RealBatch], execution: Execution) -> dict[str, float]:
    """Do one step and return its losses; raises Diverged, with the state spoiled, where one is not finite."""
    losses = read(state, asked(state, sources, real, execution))
    if not state.is_paired:
        state.augment.hears(losses, state.key.preset.batch)
    _close(state)
    return losses


def asked(state: TrainState, sources: Sources, real: Iterator[RealBatch], execution: Execution) -> dict[str, Tensor]:
    """Ask the device for all of a step, waiting for nothing, and return its losses unread."""
    with execution.computing():
        return _asked(state, sources, real, execution)


def _asked(state: TrainState, sources: Sources, real: Iterator[RealBatch], execution: Execution) -> dict[str, Tensor]:
    set_rates(state)
    if state.is_paired:
        return _paired_step(state, sources, real, execution)
    pictures = [_next(real, positions) for positions in _micro_batches(state, execution)]
    if state.key.preset.shared_fakes:
        log = _shared_step(state, sources, pictures, execution)
    else:
        log = critic_gradients(state, sources, iter(pictures), execution)
        _optimise(state.critic_optimiser, list(state.critics.parameters()), "critic", state, log)
        told = generator_gradients(state, sources, execution)
        _optimise(state.generator_optimiser, state.trained, "generator", state, told)
        log |= told
    if r1_is_due(state.key.preset, state.images_seen):
        log |= _r1_step(state, pictures, execution)
    return log


def _close(state: TrainState) -> None:
    """Count the step that was done."""
    state.scaler.update()
    state.images_seen += state.key.preset.batch
    state.update_average()


def _shared_step(
    state: TrainState, sources: Sources, pictures: list[RealBatch], execution: Execution
) -> dict[str, Tensor]:
    """Let both sides learn from the same generated pictures, and against each other as they were."""
    log = shared_gradients(state, sources, iter(pictures), execution)
    told = {name: log.pop(name) for name in list(log) if not name.startswith(("critic", "r1", "sign"))}
    _optimise(state.critic_optimiser, list(state.critics.parameters()), "critic", state, log)
    _optimise(state.generator_optimiser, state.trained, "generator", state, told)
    return log | told


def _r1_step(state: TrainState, pictures: list[RealBatch], execution: Execution) -> dict[str, Tensor]:
    """Do lazy R1's own step of the critics, on the real pictures of this step."""
    state.scaler.update()  # the critics' optimiser steps for a second time
    log = r1_gradients(state, pictures, execution)
    _optimise(state.critic_optimiser, list(state.critics.parameters()), "critic", state, log)
    return {name.replace("critic_", "r1_"): value for name, value in log.items()}


def r1_gradients(state: TrainState, pictures: list[RealBatch], execution: Execution) -> dict[str, Tensor]:
    """Leave the gradients of R1, which counts for all the steps until it is due again."""
    state.critic_optimiser.zero_grad(set_to_none=True)
    log: dict[str, Tensor] = {}
    preset = state.key.preset
    for batch in pictures:
        portrait, face, said = _judge_real(state, batch, execution)
        gamma = preset.r1_gamma * preset.r1_every
        loss, parts = r1_loss(said, portrait, face, preset.adversarial, gamma, state.scaler.get_scale())
        parts = {name: value / preset.r1_every for name, value in parts.items()}
        _accumulate(state.scaler.scale(loss), parts, len(batch.position_B) / preset.batch, log)
    for parameter in state.critics.parameters():
        if parameter.grad is None:  # R1 knows no biases; Adam must count the step for them as several ranks would
            parameter.grad = torch.zeros_like(parameter)
    execution.ranks.add_gradients(state.critics.parameters())
    return execution.ranks.add_values(log)


def shared_gradients(
    state: TrainState, sources: Sources, real: Iterator[RealBatch], execution: Execution
) -> dict[str, Tensor]:
    """Leave the gradients of both sides' losses; each generated picture is made once and judged by both."""
    state.critic_optimiser.zero_grad(set_to_none=True)
    state.generator_optimiser.zero_grad(set_to_none=True)
    log: dict[str, Tensor] = {}
    preset = state.key.preset
    for positions in execution.positions(state.images_seen, preset.batch):
        share, pictures = len(positions) / preset.batch, _next(real, positions)
        codes = _codes(state, sources, list(positions), Purpose.GENERATOR)
        fake = _made(state, codes, execution, _reads_faces(sources, preset))
        loss, parts = critic_losses_of(state, pictures, codes, fake, execution)
        _accumulate(state.scaler.scale(loss), parts, share, log)
        state.critics.requires_grad_(False)
        loss, parts = generator_losses_of(state, sources, positions, codes, fake, execution)
        _accumulate(state.scaler.scale(loss), parts, share, log)
        state.critics.requires_grad_(True)
    execution.ranks.add_gradients([*state.critics.parameters(), *state.trained])
    return execution.ranks.add_values(log)


def _paired_step(
    state: TrainState, sources: Sources, real: Iterator[RealBatch], execution: Execution
) -> dict[str, Tensor]:
    """Do one step of the paired start: phi alone learns, in stage 2 U."""
    log = paired_gradients(state, sources, real, execution)
    _optimise(state.generator_optimiser, _colouring(state), "generator", state, log)
    return log


def paired_gradients(
    state: TrainState, sources: Sources, real: Iterator[RealBatch], execution: Execution
) -> dict[str, Tensor]:
    """Leave the gradients of the paired start's loss on the next global batch of `real`; returns the losses."""
    assert sources.paired is not None
    state.generator_optimiser.zero_grad(set_to_none=True)
    log: dict[str, Tensor] = {}
    preset = state.key.preset
    for positions in execution.positions(state.images_seen, preset.batch):
        pictures = _next(real, positions)
        codes = _on_device(state, sources.paired.codes(pictures, state.key.seed))
        if preset.stage == 1:
            loss, parts = paired_losses(state.generator, codes, pictures, preset, state.key.seed, sources.paired.rays)
        else:
            loss, parts = paired_picture_losses(state.generator, codes, pictures, preset, execution.dtype)
        _accumulate(state.scaler.scale(loss), parts, len(positions) / preset.batch, log)
    execution.ranks.add_gradients(_colouring(state))
    return execution.ranks.add_values(log)


def _colouring(state: TrainState) -> list[nn.Parameter]:
    """What a paired start trains: the networks that colour, not those that shape."""
    network = state.generator.radiance_net if state.key.preset.stage == 1 else state.generator.sr_net
    return list(network.parameters())


def _micro_batches(state: TrainState, execution: Execution) -> list[range]:
    return execution.positions(state.images_seen, state.key.preset.batch)


def _next(real: Iterator[RealBatch], positions: range) -> RealBatch:
    pictures = next(real)
    if pictures.position_B.tolist() != list(positions):
        raise RuntimeError(f"real images of positions {pictures.position_B.tolist()}, expected {list(positions)}")
    return pictures


def critic_gradients(
    state: TrainState, sources: Sources, real: Iterator[RealBatch], execution: Execution
) -> dict[str, Tensor]:
    """Leave the gradients of the critics' losses on the next global batch of `real`; returns the losses."""
    state.critic_optimiser.zero_grad(set_to_none=True)
    log: dict[str, Tensor] = {}
    batch = state.key.preset.batch
    for positions in execution.positions(state.images_seen, batch):
        loss, parts = critic_losses(state, sources, _next(real, positions), execution)
        _accumulate(state.scaler.scale(loss), parts, len(positions) / batch, log)
    execution.ranks.add_gradients(state.critics.parameters())
    return execution.ranks.add_values(log)


def generator_gradients(state: TrainState, sources: Sources, execution: Execution) -> dict[str, Tensor]:
    """Leave the gradients of the generator's losses (U's in stage 2) against the critics as they are now."""
    state.generator_optimiser.zero_grad(set_to_none=True)
    log: dict[str, Tensor] = {}
    batch = state.key.preset.batch
    state.critics.requires_grad_(False)
    for positions in execution.positions(state.images_seen, batch):
        loss, parts = generator_losses(state, sources, positions, execution)
        _accumulate(state.scaler.scale(loss), parts, len(positions) / batch, log)
    state.critics.requires_grad_(True)
    execution.ranks.add_gradients(state.trained)
    return execution.ranks.add_values(log)


def critic_losses(
    state: TrainState, sources: Sources, batch: RealBatch, execution: Execution
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted critic losses and R1 on one micro-batch."""
    codes = _codes(state, sources, batch.position_B.tolist(), Purpose.DISCRIMINATOR)
    with torch.no_grad():
        fake = _made(state, codes, execution)
    return critic_losses_of(state, batch, codes, fake, execution)


def critic_losses_of(
    state: TrainState, batch: RealBatch, codes: Codes, fake: Pictures, execution: Execution
) -> tuple[Tensor, dict[str, Tensor]]:
    """Judge real pictures and those that the generator made of `codes`; no gradient reaches the generator."""
    preset, like = state.key.preset, codes.camera_B2
    portrait, face, real_said = _judge_real(state, batch, execution)
    fake_said = _judge(
        *(state, fake.portrait_B3HW.detach(), fake.face_B3HW.detach()),
        *(batch.position_B.tolist(), Glance.FAKE, execution),
    )
    gamma = preset.r1_gamma if preset.r1_every == 1 else 0.0
    loss, parts = critics_loss(
        real_said, fake_said, portrait, face, preset.adversarial, gamma, state.scaler.get_scale()
    )
    if preset.augment.mode == "adaptive":
        parts |= signs_of(real_said)
    for kind, said, camera, face_camera in (
        ("real", real_said, _carried(batch.camera_B2, like), _carried(batch.face_camera_B2, like)),
        ("fake", fake_said, codes.camera_B2, codes.face_camera_B2),
    ):
        parts[f"critic_camera_{kind}"] = regression_loss(said, camera, face_camera, preset.camera_weight)
        loss = loss + parts[f"critic_camera_{kind}"]
    return loss, parts


def _judge_real(state: TrainState, batch: RealBatch, execution: Execution) -> tuple[Tensor, Tensor, Verdicts]:
    """Return real portraits and faces, which take gradients for R1, and what critics say of them."""
    like, rays = next(state.critics.parameters()), rays_of(state.key.preset, state.images_seen)
    portrait, face = (
        coarse(to_unit_range(carried(image, like.device)).to(like.dtype), rays)
        for image in (batch.portrait_B3HW, batch.face_B3HW)
    )
    portrait.requires_grad_()
    face.requires_grad_()
    return portrait, face, _judge(state, portrait, face, batch.position_B.tolist(), Glance.REAL, execution)


def _made(state: TrainState, codes: Codes, execution: Execution, reads_faces: bool = False) -> Pictures:
    """Make the pictures of some codes, with the rays of this step."""
    preset = state.key.preset
    rays = rays_of(preset, state.images_seen)
    return make_pictures(state.generator, codes, preset, execution.dtype, reads_faces, rays)


def generator_losses(
    state: TrainState, sources: Sources, positions: range, execution: Execution
) -> tuple[Tensor, dict[str, Tensor]]:
    """Adversarial, landmark and deformation (stage 1) and consistency (stage 2) losses on one micro-batch."""
    preset = state.key.preset
    codes = _codes(state, sources, list(positions), Purpose.GENERATOR)
    fake = _made(state, codes, execution, _reads_faces(sources, preset))
    return generator_losses_of(state, sources, positions, codes, fake, execution)


def _reads_faces(sources: Sources, preset: Preset) -> bool:
    return sources.estimator is not None and preset.stage == 1


def generator_losses_of(
    state: TrainState, sources: Sources, positions: range, codes: Codes, fake: Pictures, execution: Execution
) -> tuple[Tensor, dict[str, Tensor]]:
    """Judge what the generator made of `codes`; the critics are what they are."""
    preset = state.key.preset
    said = _judge(state, fake.portrait_B3HW, fake.face_B3HW, list(positions), Glance.GENERATOR, execution)
    loss, parts = adversarial_loss(said, preset.adversarial)
    parts["generator_camera"] = regression_loss(said, codes.camera_B2, codes.face_camera_B2, preset.camera_weight)
    loss = loss + parts["generator_camera"]
    if preset.stage == 2:
        parts["consistency"] = fake.consistency
        return loss + preset.consistency * fake.consistency, parts
    weights = preset.deformation
    seeds = [_seed(state.key.seed, position) for position in positions]
    terms = deformation_losses(state.generator, sources.space, codes, weights, seeds)
    parts |= terms._asdict()
    rising = warm_up(preset, state.images_seen)
    loss = loss + rising * sum(getattr(weights, name) * value for name, value in terms._asdict().items())
    if sources.estimator is not None:
        parts["landmark"] = landmark_term(sources.estimator, sources.space, fake.face_B3HW, codes)
        rising = warm_up(preset, state.images_seen - weights.landmark_after_images)
        loss = loss + rising * weights.landmark * parts["landmark"]
    return loss, parts


def landmark_term(estimator: FaceEstimator, space: FaceSpace, face_B3HW: Tensor, codes: Codes) -> Tensor:
    """Eq. 9 on renders of the face camera, in squared face units."""
    said = estimator(face_B3HW)
    commanded_BL3 = space.landmarks(codes.z_id_BK, codes.z_exp_BK)
    return landmark_loss(commanded_BL3, space.landmarks(said.z_id_BK, said.z_exp_BK))


def warm_up(preset: Preset, images: int) -> float:
    """Return how much of a term counts after so many images of it: from 0 to 1 over the first ones [assumed]."""
    over = preset.deformation.warmup_images
    return min(1.0, max(0.0, images / over)) if over else float(images >= 0)


def _judge(
    state: TrainState,
    portrait_B3HW: Tensor,
    face_B3HW: Tensor,
    positions: list[int],
    look: Glance,
    execution: Execution,
) -> Verdicts:
    """Show pictures to the critics, changed where that is wanted.

    They work in reduced precision where that is wanted; losses are taken of float32 verdicts.
    """
    shown = [
        changed(image, changes(state.key.preset.augment, probability, state.key.seed, positions, look, view))
        if (probability := state.augment.probability[view])
        else image
        for view, image in zip(VIEWS, (portrait_B3HW, face_B3HW), strict=True)
    ]
    with execution.autocast(twice=look is Glance.REAL):
        said = state.critics(*shown)
    like, patch = portrait_B3HW, said.patch_BPQ
    face, torso = (verdict and verdict.to(like) for verdict in (said.face, said.torso))
    return Verdicts(said.whole.to(like), face, torso, None if patch is None else patch.to(like))


def _codes(state: TrainState, sources: Sources, positions: list[int], purpose: Purpose) -> Codes:
    return _on_device(state, sources.prior.draw(positions, purpose))


def _on_device(state: TrainState, codes: Codes) -> Codes:
    like = next(state.critics.parameters())
    return Codes(*(_carried(values, like) for values in codes))


def _carried(values: Tensor, like: Tensor) -> Tensor:
    return carried(values, like.device).to(like.dtype)


def _seed(seed: int, position: int) -> int:
    return int(np.random.SeedSequence((seed, int(Purpose.POINTS), position)).generate_state(1)[0])


def _accumulate(loss: Tensor, parts: dict[str, Tensor], share: float, log: dict[str, Tensor]) -> None:
    (loss * share).backward()
    for name, value in parts.items():
        log[name] = log.get(name, 0.0) + share * value.detach().double()


def _optimise(
    optimiser: torch.optim.Adam,
    parameters: list[nn.Parameter],
    who: str,
    state: TrainState,
    losses: dict[str, Tensor],
) -> None:
    """Clip and apply the gradients and log their norm."""
    state.scaler.unscale_(optimiser)
    losses[f"{who}_gradient"] = nn.utils.clip_grad_norm_(parameters, state.key.preset.clip_norm)
    step_if_finite(optimiser, state, losses)
