import numpy as np
import pytest
import torch

from dataprep.fits.body.body_fit import BodyFit
from dataprep.fits.body.compare_fits import METHODS, METRICS, Comparison, Scene, _errors, compare_fits, without_world
from dataprep.fits.body.detector_errors import load_detector
from dataprep.fits.body.eft_config import EftConfig
from dataprep.fits.body.made_up_crops import CROP_PX, CropCondition, crop_scene, standing_people
from dataprep.frames.smpl_joints import CHEST, HEAD, NECK
from dataprep.models.body.mediapipe_points import LEFT_SHOULDER, POINTS
from dataprep.models.body.smpl import load_body
from dataprep.models.regressors.lifter import TrainedLifter, load_lifter

COUNT = 8


@pytest.fixture(scope="module")
def lifter() -> TrainedLifter:
    return load_lifter(load_body())


@pytest.fixture(scope="module")
def scene(lifter: TrainedLifter) -> Scene:
    return crop_scene(np.random.default_rng(7), COUNT, lifter.network.body, load_detector(), CropCondition())


@pytest.fixture(scope="module")
def lines(lifter: TrainedLifter, scene: Scene) -> dict[tuple[str, bool, bool], Comparison]:
    fitted = []
    lines = compare_fits(scene, lifter, EftConfig(max_steps=10), fitted.append)
    assert sum(fitted) == 2 * COUNT
    return {(line.method, line.world, line.tied): line for line in lines}


def test_every_combination_has_a_line_with_every_metric(lines: dict[tuple[str, bool, bool], Comparison]) -> None:
    assert set(lines) == {(m, w, t) for m in METHODS for w in (True, False) for t in (True, False)}
    for line in lines.values():
        assert set(METRICS) <= set(line.errors)
        assert all(len(values) == COUNT and np.isfinite(values).all() for values in line.errors.values())


def test_fits_reproject_better_than_the_lifter(lines: dict[tuple[str, bool, bool], Comparison]) -> None:
    for world in (True, False):
        plain = lines["lifter", world, False].errors
        for method in ("eft", "map"):
            fitted = lines[method, world, False].errors
            assert (fitted["points_px"] < plain["points_px"] + 0.1).all()
            assert fitted["points_px"].mean() < 0.9 * plain["points_px"].mean()
            assert fitted["truth_px"].mean() < plain["truth_px"].mean()


def test_world_landmarks_help_in_depth(lines: dict[tuple[str, bool, bool], Comparison]) -> None:
    for method in METHODS:
        with_world, without = (lines[method, world, False].errors for world in (True, False))
        assert with_world["upper_mm"].mean() < 0.9 * without["upper_mm"].mean()
        assert with_world["chest_deg"].mean() < without["chest_deg"].mean()


def test_the_tie_turns_the_head_and_nothing_else(lines: dict[tuple[str, bool, bool], Comparison]) -> None:
    for method in METHODS:
        free, tied = (lines[method, True, flag].errors for flag in (False, True))
        assert tied["head_deg"].mean() < 0.8 * free["head_deg"].mean()
        np.testing.assert_array_equal(tied["chest_deg"], free["chest_deg"])


def test_the_condition_is_as_described(lifter: TrainedLifter) -> None:
    """Two pixels on the points, the crop's frame, world noise by axis, and a neck that is the origin of the joints."""
    body, detector = lifter.network.body, load_detector()
    quiet = CropCondition(point_px=0.0, world_m=0.0, world_scale=0.0, missing=0.0, head_deg=0.0)
    loud = CropCondition(world_scale=0.0, missing=0.0, head_deg=0.0)
    clean, noisy = (crop_scene(np.random.default_rng(1), 300, body, detector, c) for c in (quiet, loud))
    torch.testing.assert_close(noisy.points_px, clean.points_px)
    inputs = noisy.inputs
    seen_px = inputs.centre_px[:, None] + inputs.scale_px[:, None, None] * inputs.points
    assert float((seen_px - noisy.points_px).std()) == pytest.approx(2, rel=0.03)
    inside = ((seen_px > 0) & (seen_px < CROP_PX)).all(-1)
    assert (inside | ~inputs.visible | (torch.arange(len(POINTS)) < LEFT_SHOULDER + 2)).all()
    assert 9 < float(inputs.visible.float().sum(1).mean()) < 13  # head and shoulders, elbows, some hands
    assert not noisy.joints_m[:, NECK].any()
    np.testing.assert_allclose(noisy.measured_head, noisy.head.numpy(), atol=1e-6)
    metres = noisy.inputs.world / clean.inputs.world.abs().amax((1, 2), keepdim=True)
    spread = (metres - clean.inputs.world / clean.inputs.world.abs().amax((1, 2), keepdim=True)).std((0, 1))
    assert float(spread[2] / spread[0]) == pytest.approx(1.3 / 0.7, rel=0.15)


def test_truth_has_no_error(lifter: TrainedLifter, scene: Scene) -> None:
    """Fits that are the true bodies, seen by a distant camera: rotations and joints exact, points nearly."""
    body, rng = lifter.network.body, np.random.default_rng(7)
    people = standing_people(rng, COUNT, body)
    torch.testing.assert_close(people.posed.rotations[:, HEAD], scene.head)
    torch.testing.assert_close(people.posed.rotations[:, CHEST], scene.chest)
    rotations = people.rotations.numpy()
    flat = people.posed.points[..., :2] - people.posed.points[..., :2].mean(1, keepdim=True)
    target = scene.points_px - scene.points_px.mean(1, keepdim=True)
    scale = (flat * target).sum((1, 2)) / flat.square().sum((1, 2))
    offset = scene.points_px.mean(1) - scale[:, None] * people.posed.points[..., :2].mean(1)
    camera = torch.cat((scale[:, None], offset), 1).numpy()
    nothing = (np.zeros((24, 2)), 0, 0.0, 0.0, 0.0, 0.0, 0.0, False)
    fits = [BodyFit("true", rotations[i], people.betas[i].numpy(), camera[i], *nothing) for i in range(COUNT)]
    errors = _errors(fits, rotations, scene, body)
    for metric in ("upper_mm", "chest_mm", "head_deg", "chest_deg"):
        assert errors[metric].max() < 0.1, metric
    assert errors["truth_px"].max() < 8  # weak perspective of a body 6 to 9 m away, feet and all


def test_world_landmarks_are_taken_away_entirely(scene: Scene) -> None:
    alone = without_world(scene.inputs)
    assert not alone.world.any()
    px = [i.centre_px[:, None] + i.scale_px[:, None, None] * i.points for i in (scene.inputs, alone)]
    torch.testing.assert_close(px[0], px[1], atol=1e-3, rtol=0)
