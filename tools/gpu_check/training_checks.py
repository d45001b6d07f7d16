"""Training: a step at full size, the same gradients as on a CPU, R1 in reduced precision."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from gan.losses import r1_penalty
from gan.networks.arithmetic import reduced_twice
from gan.networks.critics import Critics, CriticSizes
from gan.presets import PRESETS, PairedStart, Preset
from gan.training.execution import DTYPES, FIRST_SCALE, Execution
from gan.training.steps import critic_gradients, generator_gradients, step
from tools.gpu_check.made_up_run import made_up_pictures, made_up_run
from tools.gpu_check.trial import NotHere, Numbers, Trial, allow_tf32, require, seconds_of, wait

MOST_STEPS, ENOUGH_S = 5, 15.0
FREE_SHARE = 0.85  # of a GPU's memory: its allocator needs room, too
CPU_MICRO = 2
GRADIENTS_OFF = 0.01  # of their norm, float32 against float64; on a CPU 3e-5. A hit in another interval is a jump
R1_OFF = 0.25  # of R1's gradients' norm, bfloat16 against float32


def training_step(trial: Trial, preset_name: str) -> Numbers:
    """Time steps of a preset after its paired start, whose batch is one micro-batch; halve that where memory ends."""
    allow_tf32(trial.tf32)
    preset = replace(PRESETS[preset_name], paired=PairedStart())
    micro = trial.micro or (micro_for_memory(trial, preset) if trial.is_gpu else CPU_MICRO)
    micro = max(size for size in range(1, micro + 1) if preset.batch % size == 0)
    halved = 0
    while True:
        try:
            seconds, losses = _steps(trial, preset, micro)
            break
        except torch.OutOfMemoryError:
            if micro == 1:
                raise
        micro, halved = micro // 2, halved + 1
        torch.cuda.empty_cache()
    numbers: Numbers = {
        "preset": preset_name,
        "precision": trial.precision + " + TF32" * (trial.is_gpu and trial.tf32),
        "micro": micro,
        "images_per_second": micro / seconds,
        "seconds_of_micro_batch": seconds,
        "halved_for_memory": halved,
    }
    return require({"all losses are finite": all(abs(v) < float("inf") for v in losses.values())}, numbers)


def micro_for_memory(trial: Trial, preset: Preset) -> int:
    """Choose by what one and two pictures took."""
    peaks = []
    for micro in (1, 2):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(trial.where)
        try:
            _steps(trial, preset, micro, most=1)
        except torch.OutOfMemoryError:
            return 1
        peaks.append(torch.cuda.max_memory_allocated(trial.where))
    torch.cuda.empty_cache()
    return largest_micro(preset.batch, peaks[0], peaks[1], torch.cuda.mem_get_info(trial.where)[0])


def largest_micro(batch: int, bytes_of_one: int, bytes_of_two: int, free_bytes: int) -> int:
    """Return the most pictures that divide a batch and fit, if every further one takes what the second took."""
    further = max(1, bytes_of_two - bytes_of_one)
    fitting = 1 + max(0, int(FREE_SHARE * free_bytes - bytes_of_one)) // further
    return max(size for size in range(1, min(batch, fitting) + 1) if batch % size == 0)


def _steps(trial: Trial, preset: Preset, micro: int, most: int = MOST_STEPS) -> tuple[float, dict[str, float]]:
    """Return the shortest of some steps after a first one, and its losses."""
    execution = Execution(trial.device, micro, trial.precision)
    preset = replace(preset, batch=micro)
    state, sources = made_up_run(preset, execution)
    real = made_up_pictures(preset, execution)
    losses = step(state, sources, real, execution)
    wait(trial.where)
    shortest, end = float("inf"), time.monotonic() + ENOUGH_S
    for _ in range(1 if trial.is_tiny else most):
        shortest = min(shortest, seconds_of(lambda: losses.update(step(state, sources, real, execution)), trial.where))
        if time.monotonic() > end:
            break
    return shortest, losses


def same_gradients(trial: Trial) -> Numbers:
    """Compare gradients of both sides and both stages with those of float64 on the CPU."""
    allow_tf32(False)
    numbers: Numbers = {}
    for name in ("tiny", "tiny-stage2"):
        preset = _halved(replace(PRESETS[name], batch=1, with_pose_smoothing=True, begins_at_body=False))
        ours = _gradients(preset, trial.device, torch.float32)
        reference = _gradients(preset, "cpu", torch.float64)
        for network, wanted in reference.items():
            numbers[f"{name}_{network}_off_by"] = float((ours[network] - wanted).norm() / wanted.norm())
    holds = {f"{name} {value:.1%} is at most {GRADIENTS_OFF:.0%}": float(value) <= GRADIENTS_OFF
             for name, value in numbers.items()}  # fmt: skip
    return require(holds, numbers)


def _halved(preset: Preset) -> Preset:
    """Return a preset of half the sides: float64 takes its time."""
    config = preset.generator
    sides = {name: getattr(config, name) // 2 for name in ("image_size", "ray_size", "map_size")}
    return replace(
        preset,
        portrait_px=preset.portrait_px // 2,
        face_px=preset.face_px // 2,
        generator=replace(config, **sides),
    )


def _gradients(preset: Preset, device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return every trained network's gradient as one vector in float64 on the CPU."""
    execution = Execution(device, micro=1)
    state, sources = made_up_run(preset, execution)
    for module in (state.generator, state.critics, sources.space):
        module.to(dtype)
    critic_gradients(state, sources, made_up_pictures(preset, execution), execution)
    generator_gradients(state, sources, execution)
    networks = dict(state.generator.named_children()) | {"critics": state.critics}
    vectors = {name: _gradient_vector(network) for name, network in networks.items()}
    return {name: vector for name, vector in vectors.items() if vector.norm() > 0}


def _gradient_vector(network: nn.Module) -> Tensor:
    gradients = [p.grad.flatten().double().cpu() for p in network.parameters() if p.grad is not None]
    return torch.cat(gradients) if gradients else torch.zeros(1, dtype=torch.float64)


def r1_in_reduced_precision(trial: Trial) -> Numbers:
    """Take R1's gradients of both stages' critics under autocast and compare them with those of float32."""
    allow_tf32(False)
    presets = ("tiny", "tiny-stage2") if trial.is_tiny else ("paper-stage1", "paper-stage2")
    if trial.is_gpu and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise NotHere("this GPU has no bfloat16")
    precisions = ("bfloat16", "float16") if trial.is_gpu else ("bfloat16",)
    numbers: Numbers = {}
    for name in presets:
        plain = _r1_gradients(PRESETS[name], trial, "float32")
        for precision in precisions:
            reduced = _r1_gradients(PRESETS[name], trial, precision)
            for critic, wanted in plain.items():
                numbers[f"{name}_{critic}_{precision}_off_by"] = float(
                    (reduced[critic] - wanted).norm() / wanted.norm()
                )
    holds = {f"{name} {value:.1%} is at most {R1_OFF:.0%}": float(value) <= R1_OFF for name, value in numbers.items()}
    return require(holds, numbers)


def _r1_gradients(preset: Preset, trial: Trial, precision: str) -> Mapping[str, Tensor]:
    """Return what R1 asks of every critic, with the loss scale that float16 needs."""
    torch.manual_seed(0)
    sizes = CriticSizes(preset.portrait_px, preset.face_px)
    critics = Critics(sizes, preset.critic, patch_width=preset.patch_width).to(trial.where)
    portrait, face = (
        torch.rand(2, 3, side, side).to(trial.where) * 2 - 1 for side in (sizes.portrait_px, sizes.face_px)
    )
    scale = FIRST_SCALE if precision == "float16" else 1.0
    for image in (portrait, face):
        image.requires_grad_()
    with reduced_twice(trial.where.type, DTYPES[precision]):
        said = critics(portrait, face)
    judged: dict[str, tuple[Tensor | None, Tensor]] = {
        "whole": (said.whole.logit_B, portrait),
        "face": (said.face and said.face.logit_B, face),
        "torso": (said.torso and said.torso.logit_B, portrait),
        "patch": (said.patch_BPQ, portrait),
    }
    terms = [r1_penalty(logit.float(), image, 1.0, scale) for logit, image in judged.values() if logit is not None]
    (scale * torch.stack(terms).sum()).backward()
    return {name: _gradient_vector(network) / scale for name, network in critics.named_children()}


def stage1_step(trial: Trial) -> Numbers:
    """Do steps of stage 1."""
    return training_step(trial, "tiny" if trial.is_tiny else "paper-stage1")


def stage2_step(trial: Trial) -> Numbers:
    """Do steps of stage 2."""
    return training_step(trial, "tiny-stage2" if trial.is_tiny else "paper-stage2")
