"""The learning rates of a step: functions of the preset and of the images seen, so that a resumed run has the same."""

import math

from gan.presets import Preset, RateSchedule
from gan.training.paired import BETAS, rate
from gan.training.state import TrainState


def set_rates(state: TrainState) -> None:
    """Give both optimisers the rates of this step: the paired start has its own, a schedule counts from its end."""
    preset = state.key.preset
    factor = scheduled(preset.schedule, state.images_seen - preset.paired.images, preset.batch)
    lr = rate(preset, state.images_seen) if state.is_paired else factor * preset.generator_lr
    betas = BETAS if state.is_paired else preset.adam_betas
    for group, shape in zip(state.generator_optimiser.param_groups, (1.0, preset.shape_lr_factor), strict=False):
        group["lr"], group["betas"] = lr * shape, betas
    critic_lr, critic_betas = of_critics(preset)
    for group in state.critic_optimiser.param_groups:
        group["lr"], group["betas"] = factor * critic_lr, critic_betas


def scheduled(schedule: RateSchedule, images_seen: int, batch: int) -> float:
    """Return the factor on the rates of the step after so many images; the first step of a rise is not at zero."""
    images_seen = max(0, images_seen)
    rising = min(1.0, (images_seen + batch) / schedule.warmup_images) if schedule.warmup_images else 1.0
    fallen = min(1.0, max(0, images_seen - schedule.after_images) / schedule.over_images)
    left = {"constant": 1.0, "linear": 1 - fallen, "cosine": (1 + math.cos(math.pi * fallen)) / 2}[schedule.kind]
    return rising * (schedule.last + (1 - schedule.last) * left)


def of_critics(preset: Preset) -> tuple[float, tuple[float, float]]:
    """Return rate and betas of the critics' Adam.

    Lazy R1 has steps of its own, so Adam steps (n + 1) / n times as often: StyleGAN2 makes its steps smaller and its
    memory longer by as much.
    """
    if preset.r1_every == 1:
        return preset.critic_lr, preset.adam_betas
    share = preset.r1_every / (preset.r1_every + 1)
    first, second = preset.adam_betas
    return preset.critic_lr * share, (first**share, second**share)


def r1_is_due(preset: Preset, images_seen: int) -> bool:
    """Whether lazy R1 has its own step in the step that begins after so many images."""
    return preset.r1_gamma > 0 and preset.r1_every > 1 and images_seen // preset.batch % preset.r1_every == 0
