"""Options of training that the paper does not name: rates, lazy R1, changed and growing pictures, a second average."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dataprep.errors import ConfigError
from gan.checkpoint import read_checkpoint
from gan.data.stream import real_batches
from gan.presets import PRESETS, Augmentation, Growth, Preset, RateSchedule, preset
from gan.training import people
from gan.training.augment import Adaptation, Glance, changed, changes
from gan.training.checkpoints import SECOND_FILE, STATE_FILE
from gan.training.errors import RunMismatch
from gan.training.execution import Execution
from gan.training.growth import coarse, enlarged, rays_of
from gan.training.loop import train
from gan.training.rates import of_critics, r1_is_due, scheduled
from gan.training.setup import Models, open_run
from gan.training.state import read_state
from gan.training.steps import critic_gradients, r1_gradients, step
from tests.gan.train.runs import ALL, ONE, PLAIN, shipped_models
from tests.gan.train.test_training import Killed, Steps, assert_same_run

ALWAYS = Augmentation("fixed", probability=1.0)


def test_the_paper_s_presets_use_no_option() -> None:
    for name in ("paper-stage1", "paper-stage2"):
        chosen = PRESETS[name]
        assert (chosen.r1_every, chosen.second_ema, chosen.growth.first_px) == (1, 0, 0)
        assert (chosen.schedule.kind, chosen.schedule.warmup_images, chosen.augment.mode) == ("constant", 0, "off")
        assert not chosen.critic.regress_camera


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every option that nothing disturbed."""
    out = tmp_path_factory.mktemp("options")
    torch.set_num_threads(1)
    train([data], ALL, out, shipped_models(reads_faces=True), options=PLAIN)
    return out


@pytest.mark.parametrize("dies_at", [2, 6])
def test_a_killed_run_with_every_option_ends_as_the_undisturbed_one(
    dies_at: int, undisturbed: Path, data: Path, tmp_path: Path
) -> None:
    """Stopped cleanly in the middle of an adjustment, with its signs half counted; then killed; then finished."""
    models = shipped_models(reads_faces=True)
    train([data], ALL, tmp_path, models, options=PLAIN, watcher=Steps(stops_at=2))
    with pytest.raises(Killed):
        train([data], ALL, tmp_path, models, options=PLAIN, watcher=Steps(dies_at=6))
    train([data], ALL, tmp_path, models, options=PLAIN)
    assert_same_run(tmp_path, undisturbed)
    probability = read_state(tmp_path / STATE_FILE)["augment"]["probability"]
    assert all(value != ALL.augment.probability for value in probability.values())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"r1_every": 4}, r"preset\.r1_every was 3, is 4"),
        ({"second_ema": 0.0}, r"preset\.second_ema was 0\.5, is 0\.0"),
        ({"growth": Growth()}, r"preset\.growth\.first_px was 12, is 0"),
        ({"augment": replace(ALL.augment, target=0.6)}, r"preset\.augment\.target was 0\.0, is 0\.6"),
        ({"schedule": replace(ALL.schedule, last=0.5)}, r"preset\.schedule\.last was 0\.1, is 0\.5"),
    ],
)
def test_a_run_is_not_continued_with_other_options(
    change: dict, said: str, undisturbed: Path, data: Path, models: Models
) -> None:
    with pytest.raises(RunMismatch, match=said):
        train([data], replace(ALL, **change), undisturbed, shipped_models(reads_faces=True), options=PLAIN)


def test_a_state_from_before_an_option_is_continued_without_it(whole: Path, data: Path, models: Models) -> None:
    content = read_state(whole / STATE_FILE)
    for name in ("r1_every", "second_ema", "camera_weight", "growth", "augment", "schedule"):
        del content["key"]["preset"][name]
    run = whole.parent / f"{whole.name}-older"
    run.mkdir()
    torch.save(content, run / STATE_FILE)
    assert train([data], ONE, run, models, options=PLAIN).images_seen == 8
    with pytest.raises(RunMismatch, match="r1_every was 1, is 16"):
        train([data], replace(ONE, r1_every=16), run, models, options=PLAIN)


# -- rates


def test_rates_rise_and_fall_by_images() -> None:
    falls = RateSchedule("linear", warmup_images=8, after_images=20, over_images=40, last=0.2)
    assert [scheduled(falls, seen, 4) for seen in (-9, 0, 4, 20, 40, 60, 900)] == pytest.approx(
        [0.5, 0.5, 1, 1, 0.6, 0.2, 0.2]
    )
    assert scheduled(replace(falls, kind="cosine"), 30, 4) == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2)
    assert {scheduled(RateSchedule(), seen, 4) for seen in (0, 1, 10**9)} == {1.0}


def test_rates_do_not_depend_on_where_the_run_ends(data: Path, models: Models, tmp_path: Path) -> None:
    """A run that is prolonged has the rates of one that was as long from the start."""
    falling = replace(ONE, schedule=RateSchedule("linear", over_images=8))
    train([data], replace(falling, images=4), tmp_path / "twice", models, options=PLAIN)
    train([data], falling, tmp_path / "twice", models, options=PLAIN)
    train([data], falling, tmp_path / "once", models, options=PLAIN)
    assert_same_run(tmp_path / "twice", tmp_path / "once")
    state = open_run([data], falling, tmp_path / "once", models, 0, None, Execution()).state
    rates = [group["lr"] for group in state.critic_optimiser.param_groups + state.generator_optimiser.param_groups]
    assert rates == pytest.approx([ONE.critic_lr / 4] * len(rates))  # the last step began after 6 of 8 images


# -- lazy R1


def test_lazy_r1_steps_as_stylegan2_does() -> None:
    lazy = replace(ONE, r1_every=16, adam_betas=(0.5, 0.99))
    lr, betas = of_critics(lazy)
    assert lr == pytest.approx(ONE.critic_lr * 16 / 17)
    assert betas == pytest.approx((0.5 ** (16 / 17), 0.99 ** (16 / 17)))
    assert of_critics(ONE) == (ONE.critic_lr, ONE.adam_betas)
    assert [seen for seen in range(0, 80, 2) if r1_is_due(lazy, seen)] == [0, 32, 64]
    assert not any(r1_is_due(other, 0) for other in (ONE, replace(lazy, r1_gamma=0.0)))


def test_lazy_r1_has_the_gradients_of_r1_times_its_interval(data: Path, models: Models) -> None:
    """With R1 in every step minus without it, and lazy R1 alone: its penalty is sixteen times as steep."""
    found = {}
    for name, chosen in (("with", ONE), ("without", replace(ONE, r1_gamma=0.0)), ("lazy", replace(ONE, r1_every=16))):
        execution = Execution(micro=2)
        run = open_run([data], chosen, Path("nowhere"), models, 0, None, execution)
        run.state.critics.double()
        pictures = next(real_batches(run.dataset, 0, 0, 2, run.mirror))
        if name == "lazy":
            log = r1_gradients(run.state, [pictures], execution)
        else:
            run.state.generator.double()
            log = critic_gradients(run.state, run.sources, iter([pictures]), execution)
        found[name] = log, {key: p.grad for key, p in run.state.critics.named_parameters()}
    for key, gradient in found["lazy"][1].items():
        every, never = (found[name][1][key] for name in ("with", "without"))
        torch.testing.assert_close(every - never, gradient / 16, rtol=1e-6, atol=1e-9, msg=key)
    assert float(found["lazy"][0]["r1_face"]) == pytest.approx(float(found["with"][0]["r1_face"]))
    assert not any(name.startswith("r1") for name in found["without"][0])


def test_lazy_r1_overflows_in_float16_like_any_step(data: Path, models: Models) -> None:
    """Two steps of one optimiser in one of training: the scaler must allow it."""
    execution = Execution(micro=2, precision="float16")
    run = open_run([data], replace(ONE, r1_every=2), Path("nowhere"), models, 0, None, execution)
    real = real_batches(run.dataset, 0, 0, 2, run.mirror)
    logs = [step(run.state, run.sources, real, execution) for _ in range(2)]
    assert {"r1_gradient", "r1_skipped"} & logs[0].keys()
    assert not any(name.startswith("r1") for name in logs[1])


# -- changed pictures


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def shown(pictures: torch.Tensor, settings: Augmentation, look: Glance = Glance.REAL, first: int = 0) -> torch.Tensor:
    positions = range(first, first + len(pictures))
    return changed(pictures, changes(settings, settings.probability, 5, positions, look, "portrait"))


def test_changes_are_a_function_of_seed_position_and_look(pictures: torch.Tensor) -> None:
    together = shown(pictures, ALWAYS)
    for place in range(3):
        assert torch.equal(together[place], shown(pictures[place : place + 1], ALWAYS, first=place)[0])
    assert not torch.equal(together, shown(pictures, ALWAYS, Glance.FAKE))
    assert not torch.equal(together[:1], shown(pictures[:1], ALWAYS, first=7))
    assert torch.equal(shown(pictures, replace(ALWAYS, probability=0.0)), pictures)


def test_nothing_moves(pictures: torch.Tensor) -> None:
    """A pixel of a changed picture depends on that pixel alone: cameras and key points stay where they were."""
    other = pictures.clone()
    other[:, :, 4, 9] *= -1
    for seed in range(20):
        difference = (shown(pictures, ALWAYS, first=100 * seed) - shown(other, ALWAYS, first=100 * seed)).abs().sum(1)
        difference[:, 4, 9] = 0
        assert not difference.any()


def test_changes_are_what_they_say(pictures: torch.Tensor) -> None:
    """Grey stays grey; a hole is half the side and grey; noise has no mean; gradients of gradients flow."""
    alone = {name: replace(ALWAYS, **{"colour": False, "noise": False, "cutout": False, name: True}) for name in
             ("colour", "noise", "cutout")}  # fmt: skip
    grey = torch.linspace(-1, 1, 16).expand(3, 3, 16, 16)
    coloured = shown(grey, alone["colour"])
    assert coloured.std(1).max() < 1e-6
    holes = [(shown(pictures, alone["cutout"], first=n) == 0).all(1).sum((1, 2)) for n in range(0, 300, 3)]
    sizes = torch.cat(holes)
    assert sizes.max() == 8 * 8
    assert 8 * 8 // 4 <= sizes.min() < 8 * 8  # at the rim
    noise = torch.cat([shown(pictures, alone["noise"], first=n) - pictures for n in range(0, 300, 3)])
    assert noise.mean().abs() < 1e-3
    assert noise.std().item() == pytest.approx(0.1, rel=0.15)
    asked = pictures.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(shown(asked, ALWAYS).square().sum(), asked, create_graph=True)
    assert torch.autograd.grad(gradient.square().sum(), asked)[0].any()


def test_pictures_change_as_often_as_asked(pictures: torch.Tensor) -> None:
    """With a probability of 0.2, and seven changes, 1 - 0.8^7 = 79% at least of the pictures; lightness is half."""
    seldom = replace(ALWAYS, probability=0.2, colour=False)
    often = [not torch.equal(shown(pictures[:1], seldom, first=n), pictures[:1]) for n in range(500)]
    assert np.mean(often) == pytest.approx(1 - 0.8**2, abs=0.06)


def test_the_probability_follows_the_critics() -> None:
    """Four steps of 8 pictures move it by 32 of 500,000 images, up where signs are above 0.6, and never below 0."""
    adaptive = Adaptation(Augmentation("adaptive", most=1e-4))
    for _ in range(4):
        adaptive.hears({"sign_portrait": 0.7, "sign_face": 0.5}, 8)
    assert adaptive.probability == {"portrait": pytest.approx(6.4e-5), "face": 0}
    for _ in range(8):
        adaptive.hears({"sign_portrait": 1.0, "sign_face": 0.5}, 8)
    assert adaptive.probability["portrait"] == 1e-4
    for _ in range(3):
        adaptive.hears({"sign_portrait": -1.0}, 8)
    twin = Adaptation(Augmentation("adaptive", most=1e-4))
    twin.load_state_dict(adaptive.state_dict())
    for one in (adaptive, twin):
        one.hears({"sign_portrait": -1.0}, 8)
        assert one.probability["portrait"] == pytest.approx(3.6e-5)


# -- growing pictures


def test_sizes_double_in_equal_parts() -> None:
    growing = preset("paper-stage1", growth=Growth(first_px=32, images=100))
    assert [rays_of(growing, seen) for seen in (0, 49, 50, 99, 100, 10**9)] == [32, 32, 64, 64, 128, 128]
    later = replace(growing, paired=replace(growing.paired, images=60))
    assert [rays_of(later, seen) for seen in (59, 109, 110, 160)] == [32, 32, 64, 128]
    assert rays_of(preset("paper-stage1"), 0) == 128


def test_real_pictures_show_no_more_than_few_rays_can() -> None:
    """A ramp stays; a checkerboard becomes grey; what is made larger has its rims where they were."""
    ramp = torch.linspace(-1, 1, 32).expand(1, 3, 32, 32)
    torch.testing.assert_close(coarse(ramp, 16), ramp, atol=5e-3, rtol=0)
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    board = ((rows + columns) % 2 * 2.0 - 1).expand(1, 3, 32, 32)
    assert coarse(board, 16)[:, :, 2:-2, 2:-2].abs().max() < 0.1
    assert coarse(board, 32) is board
    small = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(enlarged(small, 24)[:, :, ::23, ::23], small[:, :, ::11, ::11])


def test_a_growing_run_is_cheaper_at_first(data: Path, models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator is asked for 12 rays a side until 4 images were seen, and for 24 afterwards."""
    seen = []

    def counting(maps_L4HW, hits_L3HW, *rest):
        seen.append(hits_L3HW.shape[-1])
        return render_hits(maps_L4HW, hits_L3HW, *rest)

    render_hits = people.render_hits
    monkeypatch.setattr(people, "render_hits", counting)
    chosen = replace(ALL, deformation=ONE.deformation)
    run = open_run([data], chosen, Path("nowhere"), models, 0, None, Execution(micro=2))
    real = real_batches(run.dataset, 0, 0, 2, run.mirror)
    for sides in ({12}, {12}, {24}):
        seen.clear()
        step(run.state, run.sources, real, Execution(micro=2))
        assert set(seen) == sides


@pytest.mark.parametrize("first_px", [24, 128, 8, 48])
def test_sizes_that_do_not_halve_are_refused(first_px: int) -> None:
    with pytest.raises(ConfigError, match=rf"growth.first_px is {first_px}, expected .* 64, 32, 16"):
        preset("paper-stage1", growth=Growth(first_px=first_px))
    with pytest.raises(ConfigError, match="expected 0 in stage 2"):
        preset("paper-stage2", growth=Growth(first_px=64))


# -- the second average


def test_the_second_average_is_a_generator_of_its_own(undisturbed: Path) -> None:
    content = read_state(undisturbed / STATE_FILE)
    second = read_checkpoint(undisturbed / SECOND_FILE).state
    for name, value in content["second"].items():
        assert torch.equal(second[name], value)
    moved = [
        name
        for name in second
        if name in content["average"] and not torch.equal(second[name], content["average"][name])
    ]
    assert any(name.startswith("radiance_net") for name in moved)


def test_the_second_average_goes_on_from_another_run(undisturbed: Path, data: Path, models: Models) -> None:
    content = read_state(undisturbed / STATE_FILE)

    def second_of(chosen: Preset, begun_from: Path) -> dict[str, torch.Tensor]:
        run = open_run([data], chosen, Path("nowhere"), shipped_models(reads_faces=True), 0, begun_from, Execution())
        assert run.state.second is not None
        return run.state.second.state_dict()

    for name, value in second_of(replace(ALL, critic_lr=1e-4), undisturbed).items():
        assert torch.equal(value, content["second"][name])
