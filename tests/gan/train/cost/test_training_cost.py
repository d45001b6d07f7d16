"""What a training costs, told before: counted products and bytes, and `shhq-hs train --plan`."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dataprep.errors import ConfigError
from gan.losses import adversarial_loss
from gan.networks.critics import Critics, CriticSizes
from gan.networks.radiance_generator import RadianceGenerator
from gan.presets import PRESETS, Preset
from gan.rendering.body_arrays import BodyArrays, body_arrays
from gan.training.checkpoints import GENERATOR_FILE, STATE_FILE
from gan.training.cost.counted_work import CountedWork, Operation, work_of
from gan.training.cost.gpu_check import CheckResult, GpuCheck, read_check, write_check
from gan.training.cost.named_gpus import GPUS, MODES, gpu_named, seconds_on
from gan.training.cost.picture_work import PictureWork
from gan.training.cost.training_cost import cost_of, picture_seconds, reached
from gan.training.execution import Execution
from gan.training.setup import Models
from gan.training.steps import critic_gradients, generator_gradients
from pipelines.main import main
from tests.gan.conftest import body_arrays as synthetic_body
from tests.gan.train.runs import NETS, ONE
from tools.gpu_check.made_up_run import made_up_pictures, made_up_run

LARGER = replace(
    ONE, portrait_px=32, face_px=32, generator=replace(NETS, image_size=32, ray_size=32, map_size=24, fine_samples=32)
)


@pytest.fixture(scope="module")
def body(models: Models) -> BodyArrays:
    return body_arrays(models.body)


def critics_teach(critics: Critics, device: str) -> torch.Tensor:
    portrait, face = (torch.zeros(1, 3, 16, 16, device=device, requires_grad=True) for _ in range(2))
    return adversarial_loss(critics(portrait, face), ONE.adversarial)[0]


def test_products_without_numbers_are_those_that_torch_counts_with_them():
    critics = Critics(CriticSizes(16, 16), ONE.critic)
    with FlopCounterMode(display=False) as torchs:
        critics_teach(critics, "cpu").backward()
    critics.to("meta")
    assert sum(one.flops for one in work_of(lambda: critics_teach(critics, "meta"))) == torchs.get_total_flops() > 0


def test_bytes_are_those_of_what_goes_in_and_comes_out():
    a, b = torch.zeros(3, 5, device="meta"), torch.zeros(5, 7, device="meta")
    with CountedWork() as counted:
        (a @ b).T.relu()
    assert counted.operations == [Operation(2 * 3 * 5 * 7, 4 * (15 + 35 + 21)), Operation(0, 4 * 2 * 21)]


@pytest.mark.parametrize("preset", [ONE, LARGER])
def test_a_real_step_has_the_products_that_were_counted_for_it(preset: Preset, body: BodyArrays, monkeypatch):
    """At two sizes: both sides, backwards and R1's second one included; a CPU leaves out levels that no ray meets."""
    monkeypatch.setattr("gan.networks.pointwise.suits", lambda *_: False)  # torch sees no loops in machine code
    preset = replace(preset, batch=1, begins_at_body=True)
    execution = Execution(micro=1)
    state, sources = made_up_run(preset, execution)
    with CountedWork() as real:
        critic_gradients(state, sources, made_up_pictures(preset, execution), execution)
        generator_gradients(state, sources, execution)
    done, counted = sum(one.flops for one in real.operations), PictureWork(preset, body).trained()
    assert 0.6 < done / sum(one.flops for work in counted.values() for one in work) < 1.02


def test_phi_at_paper_size_counts_what_its_layers_have():
    """By hand: eight layers of 256, the lit one, heads of 4, two products a weight, at every place of the maps."""
    work = PictureWork(PRESETS["paper-stage1"], synthetic_body(400)).trained()
    config = PRESETS["paper-stage1"].generator
    weights = 3 * 256 + 8 * 256 * 256 + 8 * 4 * 256
    forward = 2 * weights * config.levels * config.map_size**2
    assert sum(one.flops for one in work["phi"]) == pytest.approx(
        4 * forward, rel=0.02
    )  # critics', own, backward twice
    assert RadianceGenerator(256, 32).network[0].layer.weight.shape == (256, 3)


def test_checkpoints_have_the_size_that_was_told(whole: Path, body: BodyArrays):
    cost = cost_of(ONE, body)
    for name, told in ((STATE_FILE, cost.state_bytes), (GENERATOR_FILE, cost.generator_bytes)):
        assert (
            0 < (whole / name).stat().st_size - told < 300_000
        )  # a file's own names and places, some hundred tensors'


def test_hours_follow_the_slower_of_products_memory_and_launches():
    gpu, (float32, *_) = GPUS[-1], MODES
    assert seconds_on(gpu, [Operation(67 * 10**12, 0)], float32.points) == pytest.approx(2)
    assert seconds_on(gpu, [Operation(0, 48 * 10**11)], float32.points) == pytest.approx(1 / 0.7)
    assert seconds_on(gpu, [Operation(1, 1)] * 1000, float32.points) == pytest.approx(5e-3)


def test_a_drivers_name_is_found_in_the_table():
    names = {"NVIDIA A100-SXM4-80GB": "A100 80 GB", "NVIDIA A100-PCIE-40GB": "A100 40 GB", "NVIDIA L40S": "L40S",
             "NVIDIA H200": "H200", "NVIDIA GeForce RTX 4090": "RTX 4090", "NVIDIA L4": "L4"}  # fmt: skip
    for said, name in names.items():
        gpu = gpu_named(said)
        assert gpu is not None
        assert gpu.name == name
    assert gpu_named("CPU (x86_64)") is None


def test_a_check_scales_the_arithmetic_of_every_gpu(body: BodyArrays):
    cost = cost_of(ONE, body)
    seconds = min(picture_seconds(cost.work, GPUS[-1], mode) for mode in MODES)
    numbers = {"preset": "mine", "precision": "bfloat16", "micro": 4, "images_per_second": 0.25 / seconds}
    found = GpuCheck({"name": "NVIDIA H200"}, {}, (CheckResult("stage1", "ok", numbers=numbers),))
    assert reached(cost, "mine", found) == pytest.approx(4)
    assert reached(cost, "another", found) is None


def test_plan_tells_what_a_preset_costs(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    numbers = {"preset": "tiny", "precision": "bfloat16 + TF32", "micro": 8, "images_per_second": 100.0}
    found = tmp_path / "check.json"
    write_check(found, GpuCheck({"name": "NVIDIA L4"}, {}, (CheckResult("stage1", "ok", numbers=numbers),)))
    command = ["train", "--preset", "tiny", "--set", "images=7200001", "--plan", "3", "--data", str(data)]
    assert main([*command, "--gpu-check", str(found)]) == 0
    said = capsys.readouterr().out
    assert "7,200,001 in 900,001 steps of 8" in said
    assert "TFLOP" in said
    assert "1, 3 GPUs" in said
    assert "measured on NVIDIA L4, bfloat16 + TF32, micro-batch 8: 100 pictures a second, 20.0 h" in said
    assert "in " + str(data) in said


@pytest.mark.parametrize("content", ["", "[]", '{"format": "another"}', '{"format": "shhq-hs gpu check 1"}'])
def test_a_file_that_is_no_check_is_named(content: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    path = tmp_path / "check.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"check\.json: expected the JSON file of `make check-gpu`"):
        read_check(path)
    assert main(["train", "--preset", "tiny", "--plan", "--gpu-check", str(path)]) == 2
    assert "make check-gpu" in capsys.readouterr().err


def test_a_plan_for_no_gpu_is_refused(capsys: pytest.CaptureFixture):
    assert main(["train", "--preset", "tiny", "--plan", "0"]) == 2
    assert "--plan 0: expected a number of GPUs of at least 1" in capsys.readouterr().err
