"""One optimiser step: the critics on real and generated pictures, then the generator.

A step is one global batch, worked off in micro-batches whose gradients add up to those of the whole: every loss is a
mean over pictures, so a micro-batch counts by its share of the batch.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gan.coefficients import FaceEstimator
from gan.data.priors import Codes, LabelPrior, Purpose
from gan.data.stream import RealBatch, to_unit_range
from gan.face_space import FaceSpace
from gan.losses import adversarial_loss, critics_loss, landmark_loss, regression_loss
from gan.presets import Preset
from gan.training.errors import Diverged
from gan.training.pictures import Pictures, deformation_losses, make_pictures
from gan.training.state import TrainState

_POINTS = 5  # seeds of points and offsets, apart from the purposes of `gan.data.priors` and the mirror's coin


class Sources(NamedTuple):
    """Where codes come from, the 3DMM in the face frame, and who reads faces for Eq. 9 (None: the term is left out)."""

    prior: LabelPrior
    space: FaceSpace
    device: str
    estimator: FaceEstimator | None = None


def step(state: TrainState, sources: Sources, real: Iterator[RealBatch], micro: int) -> dict[str, float]:
    """Do one step and return its losses; raises Diverged, with the state spoiled, where one is not finite."""
    preset, start = state.key.preset, state.images_seen
    log = critic_step(state, sources, real, micro) | generator_step(state, sources, micro)
    state.images_seen = start + preset.batch
    state.update_average()
    return log


def critic_step(state: TrainState, sources: Sources, real: Iterator[RealBatch], micro: int) -> dict[str, float]:
    """Train the critics on the next global batch of `real`."""
    state.critic_optimiser.zero_grad(set_to_none=True)
    log: dict[str, float] = {}
    for positions in micro_batches(state, micro):
        batch = next(real)
        if batch.position_B.tolist() != list(positions):
            raise RuntimeError(f"real images of positions {batch.position_B.tolist()}, expected {list(positions)}")
        loss, parts = critic_losses(state, sources, batch)
        _accumulate(loss, parts, len(positions) / state.key.preset.batch, log)
    _optimise(state.critic_optimiser, state.critics.parameters(), "critic", state, log)
    return log


def generator_step(state: TrainState, sources: Sources, micro: int) -> dict[str, float]:
    """Train the generator (U alone in stage 2) against the critics as they are now."""
    state.generator_optimiser.zero_grad(set_to_none=True)
    log: dict[str, float] = {}
    state.critics.requires_grad_(False)
    for positions in micro_batches(state, micro):
        loss, parts = generator_losses(state, sources, positions)
        _accumulate(loss, parts, len(positions) / state.key.preset.batch, log)
    state.critics.requires_grad_(True)
    _optimise(state.generator_optimiser, state.trained, "generator", state, log)
    return log


def critic_losses(state: TrainState, sources: Sources, batch: RealBatch) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted critic losses and R1 on one micro-batch."""
    preset = state.key.preset
    codes = _codes(sources, batch.position_B.tolist(), Purpose.DISCRIMINATOR)
    with torch.no_grad():
        fake = make_pictures(state.generator, codes, preset)
    portrait = to_unit_range(batch.portrait_B3HW.to(sources.device)).requires_grad_()
    face = to_unit_range(batch.face_B3HW.to(sources.device)).requires_grad_()
    real_said = state.critics(portrait, face)
    fake_said = state.critics(fake.portrait_B3HW, fake.face_B3HW)
    loss, parts = critics_loss(real_said, fake_said, portrait, face, preset.adversarial, preset.r1_gamma)
    for kind, said, camera, face_camera in (
        ("real", real_said, batch.camera_B2.to(sources.device), batch.face_camera_B2.to(sources.device)),
        ("fake", fake_said, codes.camera_B2, codes.face_camera_B2),
    ):
        parts[f"critic_camera_{kind}"] = regression_loss(said, camera, face_camera)
        loss = loss + parts[f"critic_camera_{kind}"]
    return loss, parts


def generator_losses(state: TrainState, sources: Sources, positions: range) -> tuple[Tensor, dict[str, Tensor]]:
    """Adversarial, landmark and deformation (stage 1) and consistency (stage 2) losses on one micro-batch."""
    preset = state.key.preset
    codes = _codes(sources, list(positions), Purpose.GENERATOR)
    fake: Pictures = make_pictures(state.generator, codes, preset)
    said = state.critics(fake.portrait_B3HW, fake.face_B3HW)
    loss, parts = adversarial_loss(said, preset.adversarial)
    parts["generator_camera"] = regression_loss(said, codes.camera_B2, codes.face_camera_B2)
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
        parts["landmark"] = _landmark_term(sources.estimator, sources.space, fake.face_B3HW, codes)
        rising = warm_up(preset, state.images_seen - weights.landmark_after_images)
        loss = loss + rising * weights.landmark * parts["landmark"]
    return loss, parts


def _landmark_term(estimator: FaceEstimator, space: FaceSpace, face_B3HW: Tensor, codes: Codes) -> Tensor:
    """Eq. 9 on renders of the face camera."""
    said = estimator(face_B3HW)
    commanded_BL3 = space.landmarks(codes.z_id_BK, codes.z_exp_BK)
    return landmark_loss(commanded_BL3, space.landmarks(said.z_id_BK, said.z_exp_BK))


def warm_up(preset: Preset, images: int) -> float:
    """Return how much of a term counts after so many images of it: from 0 to 1 over the first ones [assumed]."""
    over = preset.deformation.warmup_images
    return min(1.0, max(0.0, images / over)) if over else float(images >= 0)


def micro_batches(state: TrainState, micro: int) -> list[range]:
    """Return the positions of the step that is due, `micro` at a time."""
    start, end = state.images_seen, state.images_seen + state.key.preset.batch
    return [range(first, min(first + micro, end)) for first in range(start, end, micro)]


def _codes(sources: Sources, positions: list[int], purpose: Purpose) -> Codes:
    return Codes(*(values.to(sources.device) for values in sources.prior.draw(positions, purpose)))


def _seed(seed: int, position: int) -> int:
    return int(np.random.SeedSequence((seed, _POINTS, position)).generate_state(1)[0])


def _accumulate(loss: Tensor, parts: dict[str, Tensor], share: float, log: dict[str, float]) -> None:
    (loss * share).backward()
    for name, value in parts.items():
        log[name] = log.get(name, 0.0) + share * float(value.detach())


def _optimise(
    optimiser: torch.optim.Adam,
    parameters: Iterable[nn.Parameter],
    who: str,
    state: TrainState,
    log: dict[str, float],
) -> None:
    norm = nn.utils.clip_grad_norm_(list(parameters), state.key.preset.clip_norm)
    bad = [name for name, value in log.items() if not np.isfinite(value)]
    if bad or not torch.isfinite(norm):
        raise Diverged(
            f"after {state.images_seen:,} images the {who}'s {', '.join(bad) or 'gradient'} is not finite. The last "
            "checkpoint is from before: train again with a lower learning rate in a new folder"
        )
    log[f"{who}_gradient"] = float(norm)
    optimiser.step()
