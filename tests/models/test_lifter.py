from pathlib import Path

import numpy as np
import pytest
import torch

from dataprep.errors import AssetError
from dataprep.fits.body.detector_errors import load_detector
from dataprep.frames.rotations import angle_between_rad, sixd_from_matrix
from dataprep.frames.smpl_joints import NECK
from dataprep.models.body.body_points import PosedPoints, body_points
from dataprep.models.body.mediapipe_points import MEDIAPIPE_INDEX, POINT_NAMES, POINTS
from dataprep.models.body.smpl import BodyModel, load_body
from dataprep.models.regressors.lifter import (
    BodyEstimate,
    Lifter,
    LifterInput,
    TrainedLifter,
    from_mediapipe,
    load_lifter,
    normalise,
    save_lifter,
)
from dataprep.models.regressors.lifter_file import WEIGHTS_PATH


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def trained(body: BodyModel) -> TrainedLifter:
    return load_lifter(body)


def frontal_t_pose(body: BodyModel) -> PosedPoints:
    rotations = torch.eye(3).repeat(1, 24, 1, 1)
    rotations[:, 0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    return body_points(body, POINT_NAMES)(rotations, torch.zeros(1, 10))


def t_pose_input(body: BodyModel) -> LifterInput:
    """A frontal T pose as MediaPipe would see it, at 200 px per metre; the subject's left is at image right."""
    detector = load_detector()
    flip = torch.tensor([1.0, -1.0, -1.0])
    points = frontal_t_pose(body).points + torch.from_numpy(detector.image_offset_m).float() * flip
    world = points + torch.from_numpy(detector.world_offset_m).float() * flip
    visible = torch.ones(1, len(POINTS), dtype=torch.bool)
    return normalise(200 * points[..., :2] + torch.tensor([300.0, 400.0]), world, visible)


def test_input_ignores_place_and_size_of_picture_and_body_units(body: BodyModel) -> None:
    base = t_pose_input(body)
    pixels = base.points * base.scale_px[:, None, None] + base.centre_px[:, None]
    moved = normalise(3 * pixels + 50, base.world * 1.7 + 0.3, base.visible)
    torch.testing.assert_close(moved.points, base.points, atol=1e-4, rtol=0)
    torch.testing.assert_close(moved.world, base.world, atol=1e-4, rtol=0)
    torch.testing.assert_close(moved.scale_px, 3 * base.scale_px)
    torch.testing.assert_close(moved.centre_px, 3 * base.centre_px + 50)


def test_without_world_points_the_picture_gives_the_size(trained: TrainedLifter, body: BodyModel) -> None:
    """Frontal, the size in the picture is the size in the world, so the estimate hardly changes."""
    base = t_pose_input(body)
    pixels = base.points * base.scale_px[:, None, None] + base.centre_px[:, None]
    alone = normalise(pixels, torch.zeros_like(base.world), base.visible)
    assert not alone.world.any()
    torch.testing.assert_close(alone.scale_px, base.scale_px, rtol=0.1, atol=0)
    with torch.no_grad():
        estimates = [trained.network(inputs) for inputs in (base, alone)]
    scales = [float(e.camera[0, 0] * i.scale_px[0]) for e, i in zip(estimates, (base, alone), strict=True)]
    assert scales[1] == pytest.approx(scales[0], rel=0.08)
    chests = [trained.network.body(e.rotations, e.betas).rotations[0, 9] for e in estimates]
    assert float(torch.rad2deg(angle_between_rad(*chests))) < 15


def test_points_outside_the_picture_or_faint_are_unseen() -> None:
    keypoints = np.random.default_rng(0).uniform(10, 90, (33, 2))
    visibility = np.ones(33)
    keypoints[MEDIAPIPE_INDEX["left_knee"]] = (50, 120)
    visibility[MEDIAPIPE_INDEX["right_wrist"]] = 0.3
    seen = from_mediapipe(keypoints, visibility, np.random.default_rng(1).normal(size=(33, 3)), (100, 100)).visible[0]
    assert [name for name, s in zip(POINTS, seen, strict=True) if not s] == ["right_wrist", "left_knee"]


def test_unseen_points_do_not_reach_the_network(trained: TrainedLifter, body: BodyModel) -> None:
    inputs = t_pose_input(body)
    wrist = POINTS.index("left_wrist")
    inputs.visible[0, wrist] = False
    with torch.no_grad():
        first = trained.network(inputs)
        inputs.points[0, wrist] += 5
        inputs.world[0, wrist] -= 5
        second = trained.network(inputs)
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, atol=0, rtol=0)


def test_the_shipped_lifter_reads_a_t_pose(trained: TrainedLifter, body: BodyModel) -> None:
    """The mean body with MediaPipe's usual offsets: frontal, arms level, scale and neck within a few percent."""
    inputs = t_pose_input(body)
    with torch.no_grad():
        estimate: BodyEstimate = trained.network(inputs)
    posed = trained.network.body(estimate.rotations, estimate.betas)
    assert posed.rotations[0, 9, 2, 2] < -0.95  # the chest's z axis points at the camera
    assert posed.rotations[0, 15, 1, 1] < -0.95  # the head's y axis points up in the picture
    arm = posed.joints[0, 18] - posed.joints[0, 16]
    assert abs(float(arm[1])) < 0.3 * float(arm[0])
    scale = float(estimate.camera[0, 0] * inputs.scale_px[0])
    assert scale == pytest.approx(200, rel=0.06)
    neck = (estimate.camera[:, :1] * posed.joints[:, NECK, :2] + estimate.camera[:, 1:])[0] * inputs.scale_px[0]
    true_neck = 200 * frontal_t_pose(body).joints[0, NECK, :2] + torch.tensor([300.0, 400.0]) - inputs.centre_px[0]
    assert float((neck - true_neck).norm()) < 0.04 * 94


def test_files_round_trip_and_are_tied_to_the_body(trained: TrainedLifter, body: BodyModel, tmp_path: Path) -> None:
    path = tmp_path / "lifter.npz"
    arrays = (trained.residual_chol, trained.worldless_chol, trained.point_offsets_m)
    save_lifter(path, trained.network, *arrays, dict(trained.meta))
    again = load_lifter(body, path)
    for key, value in trained.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[key])
    torch.testing.assert_close(again.worldless_chol, trained.worldless_chol)
    save_lifter(path, trained.network, *arrays, {**trained.meta, "body_sha256": "0" * 64})
    with pytest.raises(AssetError, match="trained on body model"):
        load_lifter(body, path)
    with pytest.raises(AssetError, match="no such file"):
        load_lifter(body, tmp_path / "absent.npz")
    path.write_bytes(WEIGHTS_PATH.read_bytes()[:1000])
    with pytest.raises(AssetError, match="not a lifter file"):
        load_lifter(body, path)


def test_norms_can_be_frozen(body: BodyModel) -> None:
    points = body_points(body, POINT_NAMES)
    network = Lifter(points, 16, sixd_from_matrix(torch.eye(3).repeat(24, 1, 1)))
    every = len(network.parameters_for_eft())
    network.freeze_norm()
    assert every - len(network.parameters_for_eft()) == 2 * 5  # scale and shift of five layer norms
