"""The paired start: appearance codes, rays of pictures, D_e from Eq. 10, and the steps that follow."""

import dataclasses
import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dataprep.errors import ConfigError
from gan.config import GeneratorConfig
from gan.data.appearance_basis import Basis
from gan.data.priors import Codes, Purpose
from gan.data.shards import ShardDataset
from gan.data.stream import real_batches
from gan.face.face_space import FaceSpace, face_from_3dmm
from gan.generator_files import body_arrays
from gan.networks.film import MappingNet
from gan.presets import PRESETS, PairedStart, Preset
from gan.rendering.generator import Generator
from gan.training.at_hits import render_people_at_hits
from gan.training.execution import Execution
from gan.training.loop import RunOptions, train
from gan.training.people import render_people, shade_people
from gan.training.pictures import make_pictures
from gan.training.setup import APPEARANCE_FILE, Models, Preparing, Run, open_run
from gan.training.state import TrainState
from gan.training.steps import (
    critic_losses_of,
    generator_losses_of,
    paired_gradients,
    set_rates,
    shared_gradients,
    step,
)
from gan.training.warm_start.appearance import CELLS, appearance_codes, persons, read_appearance
from gan.training.warm_start.beginnings import begin_at_body, begin_smooth, begin_with_expressions, expression_pairs
from gan.training.warm_start.kept_rays import KeptRays, draw_rays
from gan.training.warm_start.paired import WARM_UP_IMAGES, rate
from tests.gan.train.runs import ONE, PLAIN, TWO
from tests.gan.train.test_training import Killed, Steps, assert_same_run

PAIRED = replace(
    ONE, paired=PairedStart(images=4, rays=40, lr=1e-3), expression_steps=2, begins_at_body=True, shades_at_hits=True,
    shared_fakes=True,
)  # fmt: skip
PAIRED_TWO = replace(TWO, paired=PairedStart(images=2), expression_steps=2, begins_at_body=True, images=4)


def opened(data: Path, preset: Preset, models: Models, out: Path, micro: int = 2) -> Run:
    return open_run([data], preset, out, models, 0, None, Execution(micro=micro))


@pytest.fixture(scope="module")
def paired_run(data: Path, models: Models, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a paired start that nothing disturbed; nobody may change it."""
    out = tmp_path_factory.mktemp("paired")
    torch.set_num_threads(1)
    train([data], PAIRED, out, models, options=PLAIN)
    return out


# -- appearance


def test_codes_are_centred_and_of_unit_variance(data: Path, models: Models, tmp_path: Path) -> None:
    run = opened(data, PAIRED, models, tmp_path)
    assert run.sources.paired is not None
    plain, mirrored, basis, _ = run.sources.paired.appearance
    both = np.concatenate([plain, mirrored])
    assert plain.shape == (len(run.dataset), basis.direction_VC.shape[1])
    np.testing.assert_allclose(both.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(both.std(0, ddof=1), 1, atol=1e-3)


def test_pictures_of_one_person_share_a_code(data: Path, models: Models, tmp_path: Path) -> None:
    run = opened(data, PAIRED, models, tmp_path)
    labels = run.dataset.labels
    labels.bfm_id[1] = labels.bfm_id[0]
    assert persons(labels)[0] == persons(labels)[1]
    codes = appearance_codes(run.state.average, run.dataset, "", lambda done, whole: None).plain_NC
    np.testing.assert_array_equal(codes[0], codes[1])
    assert np.abs(codes[0] - codes[2]).max() > 0.1


def test_a_basis_that_was_learnt_is_kept(data: Path, models: Models, tmp_path: Path) -> None:
    """Other data, the same codes for the same look: what phi has learnt stays true."""
    run = opened(data, PAIRED, models, tmp_path)
    width = CELLS * CELLS * 3
    basis = Basis(np.zeros(width, np.float32), np.eye(width, 5, dtype=np.float32))
    codes = appearance_codes(run.state.average, run.dataset, "", lambda done, whole: None, basis)
    assert codes.basis is basis
    assert codes.plain_NC.shape == (len(run.dataset), 5)
    assert np.abs(codes.plain_NC).max() <= 1, "the first texture values themselves: colours from -1 to 1"


def test_colours_reach_the_codes(data: Path, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person painted black is the farthest out in what differs most."""
    run = opened(data, PAIRED, models, tmp_path)
    shown = ShardDataset.image

    def painted(self: ShardDataset, index: int, name: str, side_px: int | None = None) -> np.ndarray:
        picture = shown(self, index, name, side_px)  # type: ignore[arg-type]
        return np.zeros_like(picture) if index == 3 else picture

    monkeypatch.setattr(ShardDataset, "image", painted)
    after = appearance_codes(run.state.average, run.dataset, "", lambda done, whole: None).plain_NC
    assert np.abs(after[:, 0]).argmax() == 3


# -- rays


def test_most_rays_look_at_the_person() -> None:
    picture_R3 = torch.ones(1000, 3)
    picture_R3[:100] = 0.2
    chosen = draw_rays(picture_R3, 90, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == 90
    assert 50 <= int((chosen < 100).sum()) < 90
    assert len(draw_rays(torch.ones(50, 3), 20, np.random.default_rng(0))) == 20, "a white picture has rays too"


def test_rays_gather_where_the_face_is() -> None:
    picture_R3 = torch.zeros(32 * 32, 3)
    about = [draw_rays(picture_R3, 200, np.random.default_rng(0), middle) for middle in (0.0, 0.6)]
    y, x = (torch.stack(about) // 32 - 15.5).abs(), (torch.stack(about) % 32 - 15.5).abs()
    inside = ((x < 8) & (y < 8)).float().mean(1)
    assert inside[0] < 0.35
    assert inside[1] > 0.45


def test_at_the_hits_and_through_fine_maps_pictures_look_alike(models: Models) -> None:
    """The difference falls as maps grow finer: it is theirs."""
    differences = []
    for side in (12, 96):
        generator, codes = _people(replace(ONE.generator, map_size=side, opacity_scale=1.0), models)
        with torch.no_grad():
            maps = shade_people(generator, codes.z_id_BK, codes.noise_BK)
            style = generator.radiance_net.style(torch.cat([codes.z_id_BK, codes.noise_BK], 1))
            through = render_people(generator, maps, codes, "face")
            at_hits = render_people_at_hits(generator, codes, style, "face")
        assert (at_hits < 0.99).float().mean() > 0.1
        differences.append(float((through - at_hits).abs().mean()))
    assert differences[1] < 0.3 * differences[0]
    assert differences[1] < 0.04


def _people(config: GeneratorConfig, models: Models) -> tuple[Generator, Codes]:
    body = body_arrays(models.body)
    torch.manual_seed(1)
    generator = Generator(body, config, body.upper_body(0.1)[::20])
    begin_smooth(generator.radiance_net, 0.3, 1.0)
    begin_at_body(generator, body, 0)
    codes = Codes(*(0.2 * torch.randn(2, *shape) for shape in ((80,), (10,), (64,), (80,), (6, 3), (2,), (2,))))
    return generator, codes._replace(
        camera_B2=codes.camera_B2 * 0.3 + np.pi / 2, face_camera_B2=codes.face_camera_B2 * 0.3 + np.pi / 2
    )


# -- D_e


def residual_of_d_e(run: Run, models: Models, steps: int) -> float:
    """Return what is left of Eq. 10's displacements, as a part of their energy."""
    generator, space = run.state.generator, FaceSpace(models.face, face_from_3dmm(models.face, models.body))
    begin_with_expressions(generator, space, run.sources.prior, steps)
    codes = run.sources.prior.draw(range(10**6, 10**6 + 32), Purpose.EVALUATION)
    points, wanted = expression_pairs(space, codes, 99)
    with torch.no_grad():
        moved = generator.deform_net(points, generator.deform_net.style(codes.z_id_BK, codes.z_exp_BK))
    return float((moved - wanted).square().sum() / wanted.square().sum())


def test_d_e_begins_alike_from_one_seed(data: Path, models: Models, tmp_path: Path) -> None:
    runs = [opened(data, ONE, models, tmp_path) for _ in range(2)]
    assert residual_of_d_e(runs[0], models, 3) == residual_of_d_e(runs[1], models, 3) != 1.0


@pytest.mark.slow
def test_d_e_begins_with_eq_10(data: Path, models: Models, tmp_path: Path) -> None:
    """At the sizes of the demo; on rendered people 0.17 was left after 2,500 steps."""
    sizes = PRESETS["demo"].generator
    nets = replace(ONE.generator, deform_width=sizes.deform_width, deform_code_width=sizes.deform_code_width)
    assert residual_of_d_e(opened(data, replace(ONE, generator=nets), models, tmp_path), models, 2000) < 0.4


# -- steps


def test_the_start_trains_phi_and_nothing_else(data: Path, models: Models, tmp_path: Path) -> None:
    run = opened(data, PAIRED, models, tmp_path)
    before = {name: value.clone() for name, value in run.state.generator.named_parameters()}
    critics = {name: value.clone() for name, value in run.state.critics.named_parameters()}
    losses = step(run.state, run.sources, real_batches(run.dataset, 0, 0, 2, run.mirror), Execution(micro=2))
    moved = {name for name, value in run.state.generator.named_parameters() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith("radiance_net.") and "output_feature" not in name for name in moved)
    assert all(torch.equal(value, critics[name]) for name, value in run.state.critics.named_parameters())
    assert {"paired_portrait", "paired_face", "generator_gradient"} == losses.keys()
    assert run.state.images_seen == 2


def test_the_start_learns_its_pictures(data: Path, models: Models, tmp_path: Path) -> None:
    longer = replace(PAIRED, paired=PairedStart(images=120, rays=60, lr=1e-3), images=120, batch=4)
    losses: list[float] = []

    class Listens(Steps):
        def did_step(self, images_seen: int, said: dict[str, float]) -> None:
            losses.append(said["paired_portrait"] + said["paired_face"])

        def stops(self) -> bool:
            return False

    train([data], longer, tmp_path, models, options=RunOptions(Execution(micro=4), 0, 120, 0), watcher=Listens())
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:2])


def test_micro_batches_add_up_to_the_batch(data: Path, models: Models, tmp_path: Path) -> None:
    """Of the start and of shared steps, in float64."""
    for preset, gradients in ((PAIRED, paired_gradients), (replace(PAIRED, paired=PairedStart()), shared_gradients)):
        found = []
        for micro in (1, 2):
            run = opened(data, preset, models, tmp_path / "out", micro)
            for module in (run.state.generator, run.state.critics, run.sources.space):
                module.double()
            real = real_batches(run.dataset, 0, 0, micro, run.mirror)
            said = gradients(run.state, run.sources, real, Execution(micro=micro))
            losses = {name: float(value) for name, value in said.items()}
            found.append((losses, {n: p.grad for n, p in run.state.generator.named_parameters() if p.grad is not None}))
        (one, grads), (other, others) = found
        assert one == pytest.approx(other, rel=1e-9)
        assert grads.keys() == others.keys()
        for name, grad in grads.items():
            torch.testing.assert_close(grad, others[name], rtol=1e-7, atol=1e-12)


def test_shared_pictures_teach_both_sides_what_they_would_learn_alone(
    data: Path, models: Models, tmp_path: Path
) -> None:
    """In float64: in float32 both sides' sums differ by their order."""
    preset = replace(PAIRED, paired=PairedStart(), images=2)
    run, execution = opened(data, preset, models, tmp_path), Execution(micro=2)
    state = run.state
    for module in (state.generator, state.critics, run.sources.space):
        module.double()
    shared_gradients(state, run.sources, real_batches(run.dataset, 0, 0, 2, run.mirror), execution)
    found = _gradients(state)
    state.generator.zero_grad(set_to_none=True)
    state.critics.zero_grad(set_to_none=True)
    codes = Codes(*(code.double() for code in run.sources.prior.draw([0, 1], Purpose.GENERATOR)))
    batch = next(real_batches(run.dataset, 0, 0, 2, run.mirror))
    with torch.no_grad():
        fake = make_pictures(state.generator, codes, preset)
    critic_losses_of(state, batch, codes, fake, execution)[0].backward()
    state.critics.requires_grad_(False)
    fake = make_pictures(state.generator, codes, preset)
    generator_losses_of(state, run.sources, range(2), codes, fake, execution)[0].backward()
    alone = _gradients(state)
    assert found.keys() == alone.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, alone[name], rtol=1e-7, atol=1e-12)


def _gradients(state: TrainState) -> dict[str, torch.Tensor]:
    named = [*state.critics.named_parameters("critics"), *state.generator.named_parameters()]
    return {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}


def test_rates_rise_fall_and_change_hands(data: Path, models: Models, tmp_path: Path) -> None:
    long = replace(PAIRED, paired=PairedStart(images=1000, lr=1e-3, half_after=1500), images=2000)
    assert rate(long, 0) == pytest.approx(1e-3 * long.batch / WARM_UP_IMAGES)
    assert rate(long, 1500) == pytest.approx(1e-3 / 2)
    assert rate(long, 3000) == pytest.approx(1e-3 / 3)
    state = opened(data, long, models, tmp_path).state
    set_rates(state)
    assert {group["betas"] for group in state.generator_optimiser.param_groups} == {(0.9, 0.99)}
    start = {group["part"]: group["lr"] / rate(long, 0) for group in state.generator_optimiser.param_groups}
    assert start == pytest.approx({"shape": 1, "heads": 6, "styles": 2, "others": 1})
    state.images_seen = 1000
    set_rates(state)
    assert {group["lr"] for group in state.generator_optimiser.param_groups} == {long.generator_lr}
    assert {group["betas"] for group in state.generator_optimiser.param_groups} == {long.adam_betas}


def test_rays_are_the_same_whether_they_are_kept_or_not(data: Path, models: Models, tmp_path: Path) -> None:
    """Also when a person is met in other company: what a run learns does not depend on where it was stopped."""
    run = opened(data, PAIRED, models, tmp_path)
    assert run.sources.paired is not None
    found = []
    for most_bytes, micro in ((1 << 30, 2), (0, 1)):
        rays = KeptRays(30, 0.5, 0, most_bytes)
        for batch in itertools.islice(real_batches(run.dataset, 0, 0, micro, run.mirror), 4 // micro):
            codes = run.sources.paired.codes(batch, 0)
            pools = rays.of(run.state.generator, codes, batch, "face")
            again = rays.of(run.state.generator, codes, batch, "face")
            assert (pools[0] is again[0]) == (most_bytes > 0)
            found += pools
        assert (rays.nbytes > 0) == (most_bytes > 0)
    for kept, anew in zip(found[:4], found[4:], strict=True):
        assert all(torch.equal(one, other) for one, other in zip(kept, anew, strict=True))


def test_rays_may_be_pixels_of_larger_pictures(data: Path, models: Models, tmp_path: Path) -> None:
    """Their colours are the larger picture's; asked alone, they run as those of whole pictures do."""
    fine = replace(PAIRED, with_pose_smoothing=False, paired=replace(PAIRED.paired, px=48))
    run = opened(data, fine, models, tmp_path)
    paired = run.sources.paired
    assert paired is not None
    batch = next(real_batches(run.dataset, 0, 0, 2, run.mirror))
    assert batch.mirrored_B.any() != batch.mirrored_B.all(), "one of either kind"
    generator, codes = run.state.generator, paired.codes(batch, 0)
    for person, pool in enumerate(paired.rays.of(generator, codes, batch, "face")):
        picture = run.dataset.image(int(batch.row_B[person]), "face", 48).reshape(-1, 3) / 127.5 - 1
        near = np.abs(pool.colour_R3.float().numpy()[:, None] - picture).max(2).min(1)
        assert near.max() < 2e-3, "half precision"

    one = Codes(*(values[:1] for values in codes))
    config = replace(generator.config, image_size=48, ray_size=48)
    with torch.no_grad():
        _, whole = generator.neutral_rays(one.betas_BK, one.pose_BP3, one.face_camera_B2, "face", config)
        pixel_R = torch.arange(0, 48 * 48, 7)
        alone = generator.neutral_rays_at(pixel_R, one.betas_BK, one.pose_BP3, one.face_camera_B2, "face", 48)
    apart = (alone - whole[0].flatten(0, 1)[pixel_R]).norm(dim=-1)
    assert apart.median() < 2e-3, "face units; whole pictures look transforms up at half resolution"
    other = alone[:, :1].roll(1, 0) - whole[0].flatten(0, 1)[pixel_R][:, :1]
    assert other.norm(dim=-1).median() > 4e-3, "the next ray is another one"

    with pytest.raises(ConfigError, match=r"paired.px is 48.*with_pose_smoothing=no"):
        replace(fine, with_pose_smoothing=True)


def test_styles_are_linear_in_the_code_where_a_preset_says_so() -> None:
    assert PRESETS["demo"].generator.radiance_mapping_layers == 1
    network = MappingNet(8, 16, 10, depth=1)
    code, nothing = torch.randn(2, 8), network(torch.zeros(1, 8))
    torch.testing.assert_close(network(code.sum(0, True)) - nothing, (network(code) - nothing).sum(0, True))
    assert len(list(MappingNet(8, 16, 10).parameters())) == 8, "the published one has four layers"


# -- runs


@pytest.mark.parametrize("at", [2, 6])
def test_a_killed_run_ends_as_the_undisturbed_one(
    at: int, paired_run: Path, data: Path, models: Models, tmp_path: Path
) -> None:
    """Killed in the paired start, and after it; the checkpoint lies at 4 of 8 images."""
    with pytest.raises(Killed):
        train([data], PAIRED, tmp_path, models, options=PLAIN, watcher=Steps(dies_at=at))
    train([data], PAIRED, tmp_path, models, options=PLAIN)
    assert_same_run(tmp_path, paired_run)


def test_codes_are_read_again_where_they_were_lost(
    paired_run: Path, data: Path, models: Models, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train([data], PAIRED, tmp_path, models, options=PLAIN, watcher=Steps(dies_at=2))
    (tmp_path / APPEARANCE_FILE).write_bytes((tmp_path / APPEARANCE_FILE).read_bytes()[:1000])
    assert read_appearance(tmp_path / APPEARANCE_FILE) is None
    train([data], PAIRED, tmp_path, models, options=PLAIN)
    assert_same_run(tmp_path, paired_run)


def test_stage_2_begins_paired_with_stage_1_s_codes(
    paired_run: Path, data: Path, models: Models, tmp_path: Path
) -> None:
    train([data], PAIRED_TWO, tmp_path / "two", models, begun_from=paired_run, options=PLAIN)
    one, two = (read_appearance(folder / APPEARANCE_FILE) for folder in (paired_run, tmp_path / "two"))
    assert one is not None
    assert two is not None
    np.testing.assert_array_equal(one.plain_NC, two.plain_NC)
    with pytest.raises(Killed):
        train([data], PAIRED_TWO, tmp_path / "again", models, begun_from=paired_run, options=PLAIN, watcher=Steps(2))
    train([data], PAIRED_TWO, tmp_path / "again", models, begun_from=paired_run, options=PLAIN)
    assert_same_run(tmp_path / "again", tmp_path / "two")
    shutil.copytree(paired_run, tmp_path / "other")
    assert one.key != "other"
    np.savez(tmp_path / "other" / APPEARANCE_FILE, **_stored(paired_run) | {"key": "other data"})
    train([data], PAIRED_TWO, tmp_path / "three", models, begun_from=tmp_path / "other", options=PLAIN)
    three = read_appearance(tmp_path / "three" / APPEARANCE_FILE)
    assert three is not None
    np.testing.assert_array_equal(three.basis.direction_VC, one.basis.direction_VC)


def _stored(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / APPEARANCE_FILE) as arrays:
        return dict(arrays)


def test_options_are_off_in_the_paper_s_presets() -> None:
    for name, preset in PRESETS.items():
        if name.startswith(("paper", "ablation", "small")):
            off = (preset.paired.images, preset.expression_steps, preset.shades_at_hits, preset.shared_fakes)
            assert off == (0, 0, False, False), name
            assert not preset.begins_at_body, name
    assert dataclasses.is_dataclass(PRESETS["demo"].paired)


def test_what_comes_before_the_first_step_is_told(data: Path, models: Models, tmp_path: Path) -> None:
    heard: dict[Preparing, list[tuple[int, int]]] = {what: [] for what in Preparing}
    tell = lambda what, done, whole: heard[what].append((done, whole))  # noqa: E731
    open_run([data], PAIRED, tmp_path, models, 0, None, Execution(micro=2), tell)
    assert heard[Preparing.EXPRESSIONS] == [(1, 2), (2, 2)]
    assert heard[Preparing.APPEARANCES][-1] == (len(ShardDataset([data], "train", 64, 64)),) * 2
