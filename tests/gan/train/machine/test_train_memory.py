"""Saving memory changes nothing but memory: losses and gradients in float64, and what stays alive."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gan.networks import device_work
from gan.rendering import compositing, generator
from gan.training.execution import Execution
from gan.training.setup import Run
from tests.gan.train.runs import READS_FACES, TWO, double_run, gradients

PRESETS = {"maps": READS_FACES, "hits": replace(READS_FACES, shades_at_hits=True), "stage2": TWO}
WAYS = {
    "plain": Execution(micro=2),
    "recompute": Execution(micro=1, recompute=True),
}


@pytest.fixture(scope="module", params=PRESETS)
def plain(
    request: pytest.FixtureRequest, data: Path, whole: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, dict[str, dict]]:
    """A run, and losses and gradients of its next step as a CPU does it with nothing saved."""
    preset, out = PRESETS[request.param], tmp_path_factory.mktemp("plain")
    run = double_run(data, preset, out, whole if preset.stage == 2 else None, Execution())
    return run, of_step(run, Execution(micro=2))


def of_step(run: Run, execution: Execution) -> dict[str, dict]:
    """Return copies: the next step's gradients take the place of these."""
    found = gradients(run, execution)
    return found | {"gradients": {name: gradient.clone() for name, gradient in found["gradients"].items()}}


@pytest.mark.parametrize("fixed", [False, True], ids=["", "fixed-shapes"])
@pytest.mark.parametrize("way", WAYS)
def test_a_step_is_the_same(way: str, fixed: bool, plain: tuple[Run, dict[str, dict]], monkeypatch) -> None:
    """Also as a GPU does it, with shapes that depend on no number, and in patches that cut everything."""
    monkeypatch.setattr(generator, "PATCH_POINTS", 100)
    monkeypatch.setattr(compositing, "PATCH_PIXELS", 300)
    if fixed:
        monkeypatch.setattr(device_work, "WAITING_COSTS_NOTHING", frozenset())
    run, expected = plain
    found = of_step(run, WAYS[way])
    assert found["losses"].keys() == expected["losses"].keys()
    for loss, value in expected["losses"].items():
        assert found["losses"][loss] == pytest.approx(value, rel=1e-9, abs=1e-15), loss
    assert found["gradients"].keys() == expected["gradients"].keys()
    for parameter, gradient in expected["gradients"].items():
        torch.testing.assert_close(found["gradients"][parameter], gradient, rtol=1e-7, atol=1e-12, msg=parameter)
