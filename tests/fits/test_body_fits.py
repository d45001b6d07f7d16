import numpy as np
import pytest
import torch

from dataprep.fits.body.body_fit import BodyFit
from dataprep.fits.body.detector_errors import DetectorModel, load_detector
from dataprep.fits.body.eft import ExemplarTuner
from dataprep.fits.body.eft_config import EftConfig
from dataprep.fits.body.map_body import MapConfig, apply_residual, fit_map, neck_in_picture
from dataprep.fits.body.mediapipe_standin import Exemplars, ExtraNoise, observe
from dataprep.fits.body.random_people import People, sample_people
from dataprep.fits.body.reprojection import half_crop, leg_loss, loss_2d, loss_49, loss_49_compat, project, target_of
from dataprep.fits.body.train_lifter import TrainConfig, residual_cholesky, train, training_loss
from dataprep.frames.rotations import angle_between_rad, matrix_from_zyx
from dataprep.frames.smpl_joints import CHEST, HEAD, NECK
from dataprep.models.body.body_points import BodyPoints
from dataprep.models.body.mediapipe_points import POINTS
from dataprep.models.body.smpl import load_body
from dataprep.models.regressors.lifter import BodyEstimate, LifterInput, TrainedLifter, load_lifter


@pytest.fixture(scope="module")
def lifter() -> TrainedLifter:
    return load_lifter(load_body())


@pytest.fixture(scope="module")
def points(lifter: TrainedLifter) -> BodyPoints:
    return lifter.network.body


@pytest.fixture(scope="module")
def detector() -> DetectorModel:
    return load_detector()


@pytest.fixture(scope="module")
def scene(points: BodyPoints, detector: DetectorModel) -> tuple[People, Exemplars]:
    rng = np.random.default_rng(77)
    people = sample_people(rng, 48, points)
    return people, observe(rng, people, points, detector, ExtraNoise())


def one(inputs: LifterInput, index: int) -> LifterInput:
    return LifterInput(*(tensor[index : index + 1] for tensor in inputs))


def median_errors(fits: list[BodyFit], scene: tuple[People, Exemplars], points: BodyPoints) -> dict[str, float]:
    people, seen = scene
    count = len(fits)
    posed = points(
        torch.from_numpy(np.stack([f.rotations for f in fits])), torch.from_numpy(np.stack([f.betas for f in fits]))
    )
    angle = torch.rad2deg(angle_between_rad(posed.rotations, people.posed.rotations[:count]))
    camera = torch.from_numpy(np.stack([f.camera_px for f in fits]))
    side = 0.469 * seen.scale[:count] * seen.inputs.scale_px[:count]
    neck_px = camera[:, :1] * posed.joints[:, NECK, :2] + camera[:, 1:]
    true_px = seen.inputs.centre_px[:count] + seen.inputs.scale_px[:count, None] * seen.neck[:count]
    scale = camera[:, 0] / (seen.scale[:count] * seen.inputs.scale_px[:count]) - 1
    values = {"head": angle[:, HEAD], "chest": angle[:, CHEST], "scale": 100 * scale.abs(),
              "neck": 100 * (neck_px - true_px).norm(dim=-1) / side}  # fmt: skip
    return {name: float(value.median()) for name, value in values.items()}


def test_crop_units_by_hand() -> None:
    """Two visible points 1 apart: half the crop is 0.6; an error of 0.06 on one coordinate of one point is 0.1^2."""
    visible = torch.zeros(1, 23, dtype=torch.bool)
    visible[0, [0, 1]] = True  # nose and left eye, full confidence
    points = torch.zeros(1, 23, 2)
    points[0, 1, 0] = 1.0
    inputs = LifterInput(points, torch.zeros(1, 23, 3), visible, torch.zeros(1, 2), torch.ones(1))
    assert float(half_crop(inputs)) == pytest.approx(0.6)
    off = points.clone()
    off[0, 0, 1] = 0.06
    off[0, 5] = 9.0  # unseen: does not count
    assert float(loss_2d(off, target_of(inputs))) == pytest.approx(0.01 / 4)
    assert float(loss_49(off, target_of(inputs))) == pytest.approx(0.01 / 98)


def test_hips_and_shins_count_where_they_are_seen() -> None:
    """EFT leaves hips out; we use them when they are seen, at a limb's confidence. A shin is a direction."""
    visible = torch.zeros(1, 23, dtype=torch.bool)
    nose, hip, knee, ankle = (POINTS.index(n) for n in ("nose", "left_hip", "left_knee", "left_ankle"))
    visible[0, [nose, hip, knee, ankle]] = True
    points = torch.zeros(1, 23, 2)
    points[0, [hip, knee, ankle], 1] = torch.tensor([0.5, 0.75, 1.0])
    inputs = LifterInput(points, torch.zeros(1, 23, 3), visible, torch.zeros(1, 2), torch.ones(1))
    off = points.clone()
    off[0, hip, 0] = 0.06  # a tenth of half the crop, which is 0.6
    share = (0.5 / 1.4) ** 2 / (1 + 3 * (0.5 / 1.4) ** 2)
    assert float(loss_2d(off, target_of(inputs))) == pytest.approx(0.01 / 2 * share)
    assert float(loss_49_compat(off, target_of(inputs))) == 0
    turned = points.clone()
    turned[0, ankle] = turned[0, knee] + torch.tensor([0.25, 0.0])  # a right angle
    assert float(leg_loss(turned, target_of(inputs))) == pytest.approx(1)
    visible[0, hip] = visible[0, ankle] = False
    assert float(loss_2d(off, target_of(inputs))) == 0
    assert float(leg_loss(turned, target_of(inputs))) == 0


def test_eft_restores_weights_bit_for_bit_and_ignores_history(
    lifter: TrainedLifter, points: BodyPoints, scene: tuple[People, Exemplars]
) -> None:
    tuner = ExemplarTuner(lifter.network, points, EftConfig(max_steps=2, stop_loss=0.0))
    before = {k: v.clone() for k, v in tuner.regressor.state_dict().items()}
    forwards = [tuner.fit(one(scene[1].inputs, i)) for i in range(2)]
    for key, value in tuner.regressor.state_dict().items():
        assert torch.equal(value, before[key]), key
    backwards = [tuner.fit(one(scene[1].inputs, i)) for i in (1, 0)][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(a.rotations, b.rotations)
        np.testing.assert_array_equal(a.camera_px, b.camera_px)


def test_eft_restores_weights_when_a_fit_breaks(
    lifter: TrainedLifter, points: BodyPoints, scene: tuple[People, Exemplars]
) -> None:
    tuner = ExemplarTuner(lifter.network, points, EftConfig(stop_loss=0.0))
    before = [parameter.detach().clone() for parameter in tuner.regressor.parameters()]
    broken = one(scene[1].inputs, 0)._replace(points=torch.zeros(1, 5, 2))
    with pytest.raises(Exception):  # noqa: B017 (jaxtyping's or torch's, whichever sees it first)
        tuner.fit(broken)
    assert all(torch.equal(a, b) for a, b in zip(before, tuner.regressor.parameters(), strict=True))


def test_eft_lowers_the_loss_and_stops_at_the_noise_level(
    lifter: TrainedLifter, points: BodyPoints, scene: tuple[People, Exemplars]
) -> None:
    exemplar = one(scene[1].inputs, 1)
    free = ExemplarTuner(lifter.network, points, EftConfig(max_steps=4, stop_loss=0.0)).fit(exemplar)
    assert free.loss_after < free.loss_before
    assert free.iterations == 4
    assert not free.fallback
    reached = EftConfig(stop_loss=free.loss_before * 1.01 * 23 / 49)  # in the published unit
    easy = ExemplarTuner(lifter.network, points, reached).fit(exemplar)
    assert easy.iterations == 0
    assert easy.loss_after == pytest.approx(easy.loss_before)


def test_a_useless_fit_falls_back_to_the_regressor(
    lifter: TrainedLifter, points: BodyPoints, scene: tuple[People, Exemplars]
) -> None:
    exemplar = one(scene[1].inputs, 2)
    wild = ExemplarTuner(lifter.network, points, EftConfig(learning_rate=0.5, max_steps=3, stop_loss=0.0)).fit(exemplar)
    assert wild.fallback
    with torch.no_grad():
        estimate = lifter.network(exemplar)
    np.testing.assert_allclose(wild.rotations, estimate.rotations[0].numpy(), atol=1e-6)


def test_fits_recover_people_within_the_stated_errors(
    lifter: TrainedLifter, points: BodyPoints, scene: tuple[People, Exemplars]
) -> None:
    """Targets of the data set for chest and neck (medians); these heads turn further than photographed ones."""
    inputs = scene[1].inputs
    with torch.no_grad():
        start = lifter.network(inputs)
    fitted = fit_map(start, inputs, points, lifter.residual_chol, MapConfig())
    tuner = ExemplarTuner(lifter.network, points, EftConfig())
    tuned = [tuner.fit(one(inputs, i)) for i in range(16)]
    limits = {"head": 11.0, "chest": 12.0, "scale": 7.0, "neck": 3.0}
    for fits in (fitted, tuned):
        errors = median_errors(fits, scene, points)
        assert all(errors[name] < limit for name, limit in limits.items()), errors
    assert np.median([f.loss_after for f in fitted]) < 0.8 * np.median([f.loss_before for f in fitted])


def test_map_images_do_not_interact(lifter: TrainedLifter, points: BodyPoints, scene: tuple[People, Exemplars]) -> None:
    inputs = LifterInput(*(tensor[:4] for tensor in scene[1].inputs))
    with torch.no_grad():
        start = lifter.network(inputs)
    together = fit_map(start, inputs, points, lifter.residual_chol, MapConfig(steps=10))
    alone = fit_map(
        BodyEstimate(*(t[2:3] for t in start)), one(inputs, 2), points, lifter.residual_chol, MapConfig(steps=10)
    )[0]
    np.testing.assert_array_equal(together[2].rotations, alone.rotations)
    np.testing.assert_array_equal(together[2].camera_px, alone.camera_px)


def test_map_follows_people_who_sit(lifter: TrainedLifter, points: BodyPoints) -> None:
    """Thighs up to the horizontal, which neither the start nor a few small steps reach."""
    people = sample_people(np.random.default_rng(8), 8, points)
    rotations = people.rotations.clone()
    seated = matrix_from_zyx(torch.from_numpy(np.radians([[8.0, 4.0, -80.0], [0.0, 0.0, 75.0]])).float())
    for hip, knee in ((1, 4), (2, 5)):
        rotations[:, hip], rotations[:, knee] = seated[0], seated[1]
    people = People(rotations, people.betas, points(rotations, people.betas))
    rng, quiet = np.random.default_rng(9), ExtraNoise(severity=0.0, missing=0.0)
    inputs = observe(rng, people, points, load_detector(), quiet).inputs
    with torch.no_grad():
        start = lifter.network(inputs)
    fits = fit_map(start, inputs, points, lifter.residual_chol, MapConfig())
    assert np.median([fit.loss_after / fit.loss_before for fit in fits]) < 0.25
    assert max(fit.iterations for fit in fits) < MapConfig().steps


def test_residuals_move_the_camera_about_the_neck(
    lifter: TrainedLifter, points: BodyPoints, scene: tuple[People, Exemplars]
) -> None:
    """A pure scale residual keeps the neck where it is; a pure turn of the pelvis does too."""
    with torch.no_grad():
        start = BodyEstimate(*(t[:1] for t in lifter.network(scene[1].inputs)))
        residual = torch.zeros(1, 85)
        residual[0, 82], residual[0, 1] = 0.1, 0.3
        moved = apply_residual(start, neck_in_picture(start, points), residual, points)
        necks = [e.camera[:, :1] * points(e.rotations, e.betas).joints[:, NECK, :2] + e.camera[:, 1:]
                 for e in (start, moved)]  # fmt: skip
    torch.testing.assert_close(necks[0], necks[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved.camera[0, 0], start.camera[0, 0] * torch.e**0.1)


def test_training_is_deterministic_and_learns(points: BodyPoints, detector: DetectorModel) -> None:
    config = TrainConfig(seed=5, hidden=32, steps=6, batch=16)
    first, second = train(points, detector, config), train(points, detector, config)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    longer = train(points, detector, TrainConfig(seed=5, hidden=32, steps=40, batch=16, peak_lr=3e-3, warmup_steps=5))
    rng = np.random.default_rng(0)
    people = sample_people(rng, 64, points)
    seen = observe(rng, people, points, detector, config.extra)
    with torch.no_grad():
        losses = [float(training_loss(net(seen.inputs), people, seen, points)) for net in (first, longer)]
    assert losses[1] < 0.8 * losses[0]


def test_residual_covariance_is_that_of_the_residuals(
    lifter: TrainedLifter, points: BodyPoints, detector: DetectorModel
) -> None:
    """Full rank, and of plausible size for head and scale."""
    factor = residual_cholesky(lifter.network, points, detector, TrainConfig(), 256)
    blind = residual_cholesky(lifter.network, points, detector, TrainConfig(), 256, worldless=True)
    arms = slice(3 * 16, 3 * 20)  # shoulders and elbows: their depth is in the world points alone
    assert float((blind[arms] ** 2).sum()) > 1.2 * float((factor[arms] ** 2).sum())
    head = float((factor[3 * HEAD : 3 * HEAD + 3] ** 2).sum().sqrt())
    assert 0.02 < head < 0.5  # radians
    assert (torch.diagonal(factor) > 0).all()
    assert float((factor[82] ** 2).sum().sqrt()) < 0.15  # log scale


def test_projection_uses_the_weak_perspective_camera(
    lifter: TrainedLifter, points: BodyPoints, scene: tuple[People, Exemplars]
) -> None:
    with torch.no_grad():
        estimate = BodyEstimate(*(t[:1] for t in lifter.network(scene[1].inputs)))
        shifted = estimate._replace(camera=estimate.camera + torch.tensor([[0.0, 0.25, -0.5]]))
        moved = project(shifted, points) - project(estimate, points)
    torch.testing.assert_close(moved, torch.tensor([0.25, -0.5]).expand_as(moved), atol=1e-6, rtol=0)
