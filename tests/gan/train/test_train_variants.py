"""Ablations of Table 2, precision, Eq. 9 in the step, and runs begun from others."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gan.config import GeneratorConfig
from gan.data.priors import Purpose
from gan.data.stream import real_batches
from gan.errors import BasisError
from gan.networks.pose_deformation import PoseSmoothing
from gan.presets import PRESETS, Preset
from gan.rendering.cameras import face_camera, portrait_camera, project
from gan.training.checkpoints import STATE_FILE
from gan.training.errors import Diverged, RunMismatch
from gan.training.execution import Execution
from gan.training.face_crop import crop_face
from gan.training.loop import train
from gan.training.setup import Models, Run, open_run
from gan.training.state import leave_transforms_as_they_are, read_state
from gan.training.steps import _codes, generator_losses, step
from tests.gan.train.runs import ONE, PLAIN, READS_FACES, TWO, MeanColourReader, shipped_models

FRONT = torch.full((1, 2), math.pi / 2)
STILL = torch.eye(3, 4)[None]


def opened(data: Path, preset: Preset, models: Models, execution: Execution | None = None) -> Run:
    return open_run([data], preset, Path("nowhere"), models, 0, None, execution or Execution(micro=2))


def losses_of_a_step(run: Run, execution: Execution) -> dict[str, float]:
    state = run.state
    real = real_batches(run.dataset, 0, state.images_seen, state.key.preset.batch, run.mirror)
    return step(state, run.sources, real, execution)


def set_scale(run: Run, scale: float) -> None:
    if run.state.scaler.is_enabled():
        run.state.scaler.load_state_dict(run.state.scaler.state_dict() | {"scale": scale})


# -- ablations


def test_every_row_of_table_2_has_a_preset() -> None:
    full = PRESETS["paper-stage1"]
    assert PRESETS["ablation-whole-only"] == replace(full, with_face=False, with_torso=False)
    assert PRESETS["ablation-no-face"] == replace(full, with_face=False)
    assert PRESETS["ablation-no-torso"] == replace(full, with_torso=False)
    assert PRESETS["ablation-cropped-face"] == replace(full, cropped_face=True)
    assert PRESETS["ablation-no-dp"] == replace(full, with_pose_smoothing=False)


@pytest.mark.parametrize(
    ("change", "without"),
    [
        ({"with_face": False, "with_torso": False}, ("face", "torso")),
        ({"cropped_face": True}, ()),
        ({"with_pose_smoothing": False}, ()),
    ],
)
def test_ablations_train(data: Path, models: Models, change: dict[str, bool], without: tuple[str, ...]) -> None:
    losses = losses_of_a_step(run := opened(data, replace(ONE, **change), models), Execution(micro=2))
    for name in ("whole", "face", "torso"):
        assert (f"generator_{name}" in losses) == (name not in without)
    assert any(name.startswith("smoother.") for name in _moved(run)) == change.get("with_pose_smoothing", True)


def _moved(run: Run) -> set[str]:
    pairs = zip(run.state.generator.named_parameters(), run.state.average.parameters(), strict=True)
    return {name for (name, value), mean in pairs if not torch.equal(value, mean)}


def test_without_dp_transforms_are_doubled_and_nothing_else() -> None:
    field = torch.randn(1, 12, 6, 10, 10, generator=torch.Generator().manual_seed(0))
    smoother = PoseSmoothing()
    leave_transforms_as_they_are(smoother)
    wanted = torch.nn.functional.interpolate(field, scale_factor=2, mode="trilinear", align_corners=False)
    torch.testing.assert_close(smoother(field), wanted)


def test_head_centre_in_the_portrait() -> None:
    """From the front the camera stands 1.895088 - 0.095907 before the head's centre and 0.018308 below it."""
    at, depth = project(torch.zeros(1, 1, 3), FRONT, portrait_camera(GeneratorConfig()))
    assert depth.item() == pytest.approx(1.799181, abs=1e-5)
    expected = [0.0, -0.018308 / (1.799181 * math.tan(math.radians(6)))]
    torch.testing.assert_close(at[0, 0], torch.tensor(expected), atol=1e-4, rtol=0)


@pytest.mark.parametrize("roll_rad", [0.0, 0.3])
def test_the_crop_is_the_face_camera_s_window_upright_with_the_head(roll_rad: float) -> None:
    """A portrait whose colours are its x and y: the crop must show where it looked."""
    config = GeneratorConfig()
    across = torch.linspace(-1, 1, 65)
    y, x = torch.meshgrid(across, across, indexing="ij")
    portrait = torch.stack([x, y, x])[None]
    cos, sin = math.cos(roll_rad), math.sin(roll_rad)
    head = STILL.clone()
    head[0, :2, :2] = torch.tensor([[cos, -sin], [sin, cos]])  # counter-clockwise for the viewer
    crop = crop_face(portrait, FRONT, head, portrait_camera(config), face_camera(config), 9)[0]
    centre, half = torch.tensor([0.0, -0.09682]), 1 / 1.799181
    torch.testing.assert_close(crop[:2, 4, 4], centre, atol=1e-3, rtol=0)
    right, down = torch.tensor([cos, -sin]), torch.tensor([sin, cos])
    torch.testing.assert_close(crop[:2, 4, 8], centre + half * right, atol=2e-3, rtol=0)
    torch.testing.assert_close(crop[:2, 8, 4], centre + half * down, atol=2e-3, rtol=0)


# -- Eq. 9


def test_eq9_compares_commanded_landmarks_with_those_read_off_the_face(data: Path) -> None:
    """An estimator of gain 0 always answers zeros: the loss is the commanded landmarks' distance to the mean face."""
    models = shipped_models()
    blind = replace(models, estimator=MeanColourReader(models.face.sha256, gain=0.0))
    run = opened(data, READS_FACES, blind)
    codes = _codes(run.state, run.sources, [0, 1], Purpose.GENERATOR)
    _, parts = generator_losses(run.state, run.sources, range(2), Execution(micro=2))
    space = run.sources.space
    away = space.landmarks(codes.z_id_BK, codes.z_exp_BK) - space.mean_V3[space.landmarks_L]
    assert parts["landmark"].item() == pytest.approx(away.square().sum(-1).mean().item(), rel=1e-5)
    assert parts["landmark"].item() > 1e-8


def test_eq9_trains_the_generator_and_not_the_estimator(data: Path) -> None:
    run = opened(data, READS_FACES, shipped_models(reads_faces=True))
    _, parts = generator_losses(run.state, run.sources, range(2), Execution(micro=2))
    assert _trains_radiance(run, parts["landmark"])
    assert run.sources.estimator is not None
    assert not any(parameter.requires_grad for parameter in run.sources.estimator.parameters())


def _trains_radiance(run: Run, loss: torch.Tensor) -> bool:
    weight = run.state.generator.radiance_net.network[0].layer.weight
    (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
    return bool(gradient.any())


def test_eq9_starts_when_faces_are_there_to_be_read(data: Path) -> None:
    """Before `landmark_after_images` it is logged and costs nothing; afterwards it rises."""
    weights = replace(READS_FACES.deformation, landmark_after_images=10, warmup_images=4)
    run = opened(data, replace(ONE, deformation=weights), shipped_models(reads_faces=True))
    totals = {}
    for images_seen in (10, 12, 14, 100):
        run.state.images_seen = images_seen
        loss, parts = generator_losses(run.state, run.sources, range(2), Execution(micro=2))
        totals[images_seen] = loss.item(), weights.landmark * parts["landmark"].item()
    (start, term), (half, _), (full, _), (later, _) = totals.values()
    assert half - start == pytest.approx(term / 2, rel=1e-3)
    assert full - start == pytest.approx(term, rel=1e-3)
    assert later == pytest.approx(full)


def test_an_estimator_of_another_face_is_refused(data: Path) -> None:
    other = replace(shipped_models(), estimator=MeanColourReader("0" * 64))
    with pytest.raises(BasisError, match="mean colour reads coefficients of the face model 0000"):
        opened(data, READS_FACES, other)


# -- precision


@pytest.mark.parametrize(("preset", "precision"), [(ONE, "bfloat16"), (ONE, "float16"), (TWO, "bfloat16")])
def test_reduced_precision_changes_losses_by_rounding_alone(
    whole: Path, data: Path, models: Models, preset: Preset, precision: str
) -> None:
    found = []
    for execution in (Execution(micro=2), Execution(micro=2, precision=precision)):
        begun_from = whole if preset.stage == 2 else None
        run = open_run([data], preset, Path("nowhere"), models, 0, begun_from, execution)
        set_scale(run, 64.0)  # what a few skipped steps would find: camera heads far off have large gradients
        found.append(losses_of_a_step(run, execution))
    full, reduced = found
    assert full.keys() == reduced.keys()
    assert full != reduced
    for name, value in full.items():
        assert reduced[name] == pytest.approx(value, rel=0.05, abs=0.01), name


def test_an_overflow_in_float16_costs_a_step_and_lowers_the_scale(data: Path, models: Models) -> None:
    execution = Execution(micro=2, precision="float16")
    run = opened(data, ONE, models, execution)
    set_scale(run, 2.0**60)
    before = {name: value.clone() for name, value in run.state.critics.named_parameters()}
    losses = losses_of_a_step(run, execution)
    assert losses["critic_skipped"] == 1
    assert all(math.isfinite(value) for value in losses.values())
    assert all(torch.equal(value, before[name]) for name, value in run.state.critics.named_parameters())
    assert run.state.scaler.get_scale() == 2.0**59
    with torch.no_grad():
        run.state.critics.whole.last.bias.fill_(float("nan"))
    set_scale(run, 1.0)
    with pytest.raises(Diverged):
        losses_of_a_step(run, execution)


def test_the_scale_survives_a_resume(data: Path, models: Models, tmp_path: Path) -> None:
    options = replace(PLAIN, execution=Execution(micro=2, precision="float16"))
    state = train([data], replace(ONE, images=2), tmp_path, models, options=options)
    content = read_state(tmp_path / STATE_FILE)
    assert content["scaler"]["scale"] == state.scaler.get_scale()
    content["scaler"]["scale"] = 64.0
    torch.save(content, tmp_path / STATE_FILE)
    assert open_run([data], ONE, tmp_path, models, 0, None, options.execution).state.scaler.get_scale() == 64
    assert not open_run([data], ONE, tmp_path, models, 0, None, Execution()).state.scaler.is_enabled()


# -- runs begun from others


def test_a_run_of_the_same_stage_is_gone_on_with_under_other_settings(
    whole: Path, data: Path, models: Models, tmp_path: Path
) -> None:
    slower = replace(ONE, critic_lr=1e-5, r1_gamma=5.0)
    state = open_run([data], slower, tmp_path, models, 0, whole, Execution()).state
    content = read_state(whole / STATE_FILE)
    assert state.images_seen == 0
    for name in ("generator", "average", "critics"):
        assert all(torch.equal(value, content[name][key]) for key, value in getattr(state, name).state_dict().items())
    assert not state.critic_optimiser.state_dict()["state"]


def test_what_cannot_be_begun_from_is_refused(whole: Path, data: Path, models: Models, tmp_path: Path) -> None:
    train([data], TWO, tmp_path, models, begun_from=whole, options=PLAIN)
    with pytest.raises(RunMismatch, match="run of stage 2; stage 1 begins from nothing"):
        open_run([data], ONE, Path("nowhere"), models, 0, tmp_path, Execution())
    wider = replace(ONE, generator=replace(ONE.generator, radiance_width=20))
    with pytest.raises(RunMismatch, match="other sizes"):
        open_run([data], wider, Path("nowhere"), models, 0, whole, Execution())
