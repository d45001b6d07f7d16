"""The face's size and OpenPose's points in the body fits, on people whose body is known."""

import numpy as np
import pytest
import torch

from dataprep.fits.body.detector_errors import load_detector
from dataprep.fits.body.eft import ExemplarTuner
from dataprep.fits.body.eft_config import EftConfig
from dataprep.fits.body.evidence import Evidence, with_openpose
from dataprep.fits.body.map_body import MapConfig, fit_map, solve_map
from dataprep.fits.body.mediapipe_standin import Exemplars, ExtraNoise, observe
from dataprep.fits.body.random_people import People, sample_people
from dataprep.fits.body.reprojection import scale_loss, target_of
from dataprep.fits.face.face_scale import scale_evidence
from dataprep.models.body.body_points import BodyPoints, body_points
from dataprep.models.body.mediapipe_points import POINT_NAMES, POINTS
from dataprep.models.body.openpose_points import BODY_25, beside_openpose, coco_points, offsets_m
from dataprep.models.body.smpl import load_body
from dataprep.models.regressors.lifter import BodyEstimate, LifterInput, TrainedLifter, load_lifter

COUNT = 24


@pytest.fixture(scope="module")
def lifter() -> TrainedLifter:
    return load_lifter(load_body())


@pytest.fixture(scope="module")
def scene(lifter: TrainedLifter) -> tuple[People, Exemplars]:
    rng = np.random.default_rng(31)
    people = sample_people(rng, COUNT, lifter.network.body)
    return people, observe(rng, people, lifter.network.body, load_detector(), ExtraNoise(severity=0.5))


@pytest.fixture(scope="module")
def start(lifter: TrainedLifter, scene: tuple[People, Exemplars]) -> BodyEstimate:
    with torch.no_grad():
        return lifter.network(scene[1].inputs)


def true_px_per_m(scene: tuple[People, Exemplars]) -> torch.Tensor:
    return scene[1].scale * scene[1].inputs.scale_px


def scales(fits: list) -> torch.Tensor:
    return torch.tensor([float(fit.camera_px[0]) for fit in fits])


def test_scale_is_weighed_by_its_variance(
    lifter: TrainedLifter, scene: tuple[People, Exemplars], start: BodyEstimate
) -> None:
    """No face changes nothing, a sure face decides, and one in between lands in between; poses hardly care."""
    inputs, body = scene[1].inputs, lifter.network.body
    truth = true_px_per_m(scene)
    results = []
    for sigma in (torch.inf, 0.04, 1e-3):
        evidence = Evidence(truth, torch.full((COUNT,), sigma))
        results.append(fit_map(start, inputs, body, lifter.residual_chol, MapConfig(), evidence))
    alone = fit_map(start, inputs, body, lifter.residual_chol, MapConfig())
    assert torch.equal(scales(results[0]), scales(alone))
    free, weighed, sure = ((scales(fits) / truth).log().abs() for fits in results)
    assert weighed.mean() < 0.75 * free.mean()
    assert sure.max() < 0.005
    assert np.median([a.rmse_px / b.rmse_px for a, b in zip(results[1], alone, strict=True)]) < 1.1


def test_scale_loss_and_point_loss_are_of_one_likelihood(scene: tuple[People, Exemplars], start: BodyEstimate) -> None:
    """One standard deviation of scale weighs as much as one point that is one of its own off."""
    inputs = LifterInput(*(tensor[:1] for tensor in scene[1].inputs))
    estimate = BodyEstimate(*(tensor[:1] for tensor in start))
    px_per_m = estimate.camera[:, 0] * inputs.scale_px * np.exp(0.04)
    target = target_of(inputs, Evidence(px_per_m, torch.tensor([0.04])))
    point = int(inputs.visible[0].int().argmax())
    off = 1 / target.precision[0, point]
    as_point = 0.5 * target.weight[0, point] * (off / target.half_crop[0, 0, 0]) ** 2
    assert float(scale_loss(estimate, target)) == pytest.approx(float(as_point), rel=1e-3)


def test_tuning_starts_where_map_ended_and_stops_where_nothing_is_won(
    lifter: TrainedLifter, scene: tuple[People, Exemplars]
) -> None:
    body = lifter.network.body
    one = LifterInput(*(tensor[:1] for tensor in scene[1].inputs))
    with torch.no_grad():
        first = lifter.network(one)
    found = solve_map(first, target_of(one), body, lifter.residual_chol, MapConfig())
    tuner = ExemplarTuner(lifter.network, body, EftConfig(max_steps=0))
    np.testing.assert_allclose(
        tuner.fit(one, residual=found.residual).rotations, found.estimate.rotations[0], atol=1e-6
    )
    config = EftConfig(stop_loss=0.0, max_steps=400)
    fit = ExemplarTuner(lifter.network, body, config).fit(one, residual=found.residual)
    assert config.patience <= fit.iterations < 200
    assert fit.loss_after < fit.loss_before


def openpose_of(people: People, scene: tuple[People, Exemplars], noise_m: float, seed: int) -> torch.Tensor:
    """BODY_25 points of the true bodies, px: what a detector with COCO's definitions would report."""
    posed = coco_points(load_body())(people.rotations, people.betas).points
    neck = people.posed.joints[:, 12, None, :2]
    inputs, seen = scene[1].inputs, scene[1]
    units = seen.neck[:, None] + seen.scale[:, None, None] * (posed[..., :2] - neck)
    units = units + noise_m * torch.from_numpy(np.random.default_rng(seed).normal(size=units.shape)).float()
    return inputs.centre_px[:, None] + inputs.scale_px[:, None, None] * units


def both_bodies(lifter: TrainedLifter) -> BodyPoints:
    return beside_openpose(lifter.network.body, body_points(load_body(), POINT_NAMES))


def test_openpose_points_lie_where_its_definition_says(lifter: TrainedLifter) -> None:
    """In T pose of the mean body exactly there; neck and mid hip in the middle; toes beside the foot's point."""
    zero = torch.zeros(1, 10)
    rest = torch.eye(3).expand(1, 24, 3, 3)
    model = load_body()
    points = both_bodies(lifter)(rest, zero).points[0, len(POINTS) :]
    at = {name: points[index] for index, name in enumerate(BODY_25)}
    for regressor in ("coco/left_elbow", "coco/right_ear", "foot/left_heel", "foot/right_small_toe"):
        expected = (model.keypoint_rows((regressor,)) @ model.v_template.astype(np.float64))[0]
        np.testing.assert_allclose(at[regressor.split("/")[1]], expected, atol=1e-5)
    torch.testing.assert_close(at["neck"], (at["left_shoulder"] + at["right_shoulder"]) / 2, atol=1e-6, rtol=0)
    torch.testing.assert_close(at["mid_hip"], (at["left_hip"] + at["right_hip"]) / 2, atol=1e-6, rtol=0)
    assert np.abs(offsets_m()).max() < 0.08


def test_openpose_points_help_the_fit(
    lifter: TrainedLifter, scene: tuple[People, Exemplars], start: BodyEstimate
) -> None:
    people, seen = scene
    openpose = openpose_of(people, scene, 0.01, 5)
    everything = torch.ones(COUNT, 25, dtype=torch.bool)
    evidence = Evidence(torch.ones(COUNT), torch.full((COUNT,), torch.inf), openpose, everything)
    both, chol = both_bodies(lifter), lifter.residual_chol
    without = fit_map(start, seen.inputs, lifter.network.body, chol, MapConfig())
    with_points = fit_map(start, seen.inputs, both, chol, MapConfig(), evidence)

    def joints_off(fits: list) -> float:
        posed = [people.posed.joints[i] - people.posed.joints[i, 12] for i in range(COUNT)]
        off = []
        for fit, joints, neck, scale, centre, unit in zip(
            fits, posed, seen.neck, seen.scale, seen.inputs.centre_px, seen.inputs.scale_px, strict=True
        ):
            true_px = centre + unit * (neck + scale * joints[:, :2])
            off.append(float((torch.from_numpy(fit.joints_px) - true_px).norm(dim=-1)[12:22].mean() / (unit * scale)))
        return float(np.mean(off))

    assert joints_off(with_points) < 0.85 * joints_off(without)


def test_points_of_another_picture_are_left_out(scene: tuple[People, Exemplars]) -> None:
    people, _ = scene
    openpose = np.concatenate((openpose_of(people, scene, 0.01, 6).numpy(), np.ones((COUNT, 25, 1))), -1)
    one = LifterInput(*(tensor[:1] for tensor in scene[1].inputs))
    none = scale_evidence(None)
    assert with_openpose(none, openpose[0], one).openpose_px is not None
    twice = openpose[0] * [2, 2, 1]  # the same points at another resolution
    assert with_openpose(none, twice, one).openpose_px is None
    assert with_openpose(none, openpose[0] * 0, one).openpose_px is None
