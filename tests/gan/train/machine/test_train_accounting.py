"""Bytes counted without numbers against bytes of real steps, and what is chosen by them."""

from dataclasses import replace

import pytest
import torch

from gan.checkpoint import Bases
from gan.data.label_rows import Labels
from gan.data.priors import LabelPrior
from gan.face.face_space import FaceSpace
from gan.networks import device_work
from gan.presets import PRESETS, Preset
from gan.rendering.body_arrays import body_arrays
from gan.training.execution import Execution
from gan.training.machine.fitting import ENOUGH, SPARE, Needs, fitted, needs
from gan.training.machine.live_bytes import LiveBytes, SavedBytes
from gan.training.machine.step_bytes import on_meta, step_bytes
from gan.training.setup import Models
from gan.training.state import RunKey, TrainState, new_state
from gan.training.steps import Sources, generator_losses
from tests.gan.train.runs import ONE

SMALLER = 4  # times a side


def opened(preset: Preset, models: Models, labels: Labels, space: FaceSpace) -> tuple[TrainState, Sources]:
    key = RunKey(preset, 0, Bases("body", "b" * 64, "face", "f" * 64), "data")
    return new_state(key, body_arrays(models.body), Execution()), Sources(LabelPrior(labels, 0), space)


def smaller(preset: Preset) -> Preset:
    """A preset's networks, with a SMALLER-th of every side of a picture, a map and a grid of rays."""
    sizes = {name: getattr(preset.generator, name) // SMALLER for name in ("image_size", "ray_size", "map_size")}
    points = preset.deformation.points // SMALLER**2
    return replace(
        preset,
        portrait_px=preset.portrait_px // SMALLER,
        face_px=preset.face_px // SMALLER,
        generator=replace(preset.generator, **sizes),
        deformation=replace(preset.deformation, points=points),
    )


def saved(state: TrainState, sources: Sources, execution: Execution) -> int:
    """What the graph of one picture's generator losses keeps."""
    state.critics.requires_grad_(False)
    with execution.computing(), SavedBytes() as kept:
        generator_losses(state, sources, range(1), execution)
    return kept.bytes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper-stage1", "paper-stage2"])
def test_counted_bytes_are_those_of_a_small_real_step_scaled_up(
    name: str, models: Models, labels: Labels, space: FaceSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Execution("meta", micro=1)
    counted = saved(*on_meta(*opened(PRESETS[name], models, labels, space), there), there)
    monkeypatch.setattr(device_work, "WAITING_COSTS_NOTHING", frozenset())
    real = saved(*opened(smaller(PRESETS[name]), models, labels, space), Execution())
    print(f"{name}: counted {counted / 1e9:.2f} GB, real {real / 1e9:.3f} GB x {SMALLER**2}")
    assert counted == pytest.approx(SMALLER**2 * real, rel=0.1)


def test_a_real_step_keeps_what_was_counted(
    models: Models, labels: Labels, space: FaceSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the byte, at a size that a CPU can do."""
    there = Execution("meta", micro=1)
    opened_run = opened(ONE, models, labels, space)
    counted = saved(*on_meta(*opened_run, there), there)
    monkeypatch.setattr(device_work, "WAITING_COSTS_NOTHING", frozenset())
    assert saved(*opened_run, Execution()) == pytest.approx(counted, rel=0.01)


def test_every_picture_takes_as_much_again_and_computing_again_saves(
    models: Models, labels: Labels, space: FaceSpace
) -> None:
    run = opened(PRESETS["small"], models, labels, space)
    plain, again = (needs(*run, Execution(recompute=recompute)) for recompute in (False, True))
    three = step_bytes(*run, Execution(micro=3))
    assert three == pytest.approx(plain.first + 2 * plain.further, rel=0.02)
    assert again.further < plain.further / 3


@pytest.mark.slow
def test_what_fits_is_chosen(models: Models, labels: Labels, space: FaceSpace) -> None:
    """As many pictures as fit; patches computed again only where few would; on a CPU neither depends on memory."""
    preset = replace(ONE, batch=12)
    run = opened(preset, models, labels, space)
    choice = Execution(micro=None, recompute=None)
    assert (fitted(*run, choice).micro, fitted(*run, choice).recompute) == (4, False)
    plain, again = (needs(*run, Execution(recompute=recompute)) for recompute in (False, True))
    room = lambda needed, count: int((needed.first + (count - 0.5) * needed.further) / (1 - SPARE))  # noqa: E731
    much, little = fitted(*run, choice, room(plain, 7)), fitted(*run, choice, room(plain, ENOUGH - 2))
    assert (much.micro, much.recompute) == (7, False)
    assert little.recompute
    assert little.micro == min(12, again.pictures(room(plain, ENOUGH - 2)))
    assert fitted(*run, choice, 1).micro == 1
    asked_for = fitted(*run, Execution(micro=3, recompute=True), 1)
    assert (asked_for.micro, asked_for.recompute) == (3, True)


def test_bytes_are_counted_while_they_live() -> None:
    with LiveBytes() as memory:
        kept = torch.zeros(1000)
        for _ in range(3):
            dropped = torch.zeros(500) + kept[:500]
            del dropped
    assert (memory.now, memory.largest) == (4000, 4000)
    assert memory.peak == 4000 + 2 * 2000
    assert Needs(10, 5).pictures(0) == 0
