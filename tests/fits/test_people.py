import numpy as np
import pytest
import torch

from dataprep.fits.body.random_people import sample_people
from dataprep.frames.smpl_joints import HEAD, NECK
from dataprep.models.body.body_points import BodyPoints, body_points
from dataprep.models.body.mediapipe_points import POINT_NAMES
from dataprep.models.body.smpl import load_body


@pytest.fixture(scope="module")
def points() -> BodyPoints:
    return body_points(load_body(), POINT_NAMES)


def test_same_seed_same_people(points: BodyPoints) -> None:
    first, second = (sample_people(np.random.default_rng(4), 3, points) for _ in range(2))
    assert torch.equal(first.rotations, second.rotations)
    assert torch.equal(first.betas, second.betas)


def test_people_are_upright_and_cover_the_range(points: BodyPoints) -> None:
    people = sample_people(np.random.default_rng(0), 2000, points)
    up = people.posed.rotations[:, 9, 1, 1]
    assert (up < -0.5).float().mean() > 0.96
    head_turn = people.posed.rotations[:, 9].mT @ people.posed.rotations[:, HEAD]
    yaw = torch.rad2deg(torch.atan2(head_turn[:, 0, 2], head_turn[:, 2, 2]))
    assert yaw.quantile(0.98) > 45
    assert yaw.quantile(0.02) < -45
    body_yaw = torch.rad2deg(torch.atan2(people.rotations[:, 0, 0, 2], -people.rotations[:, 0, 2, 2]))
    assert body_yaw.abs().quantile(0.9) > 40
    wrists = people.posed.joints[:, [20, 21]] - people.posed.joints[:, [16, 17]]
    assert (wrists[..., 1] < 0).float().mean() > 0.05  # some hands above the shoulder


def test_a_third_move(points: BodyPoints) -> None:
    """Thighs lifted towards the horizontal or strides, hands at the head, whole bodies that lean; most stand."""
    people = sample_people(np.random.default_rng(3), 2000, points)
    joints = people.posed.joints
    thigh = torch.nn.functional.normalize(joints[:, [4, 5]] - joints[:, [1, 2]], dim=-1)
    lifted = (thigh[..., 1] < 0.75).any(1).float().mean()
    assert 0.15 < lifted < 0.45
    assert (thigh[..., 1] < 0.3).any(1).float().mean() > 0.08
    at_head = (joints[:, [20, 21]] - joints[:, HEAD, None]).norm(dim=-1).amin(1) < 0.22
    assert at_head.float().mean() > 0.02
    tilt_deg = torch.rad2deg(torch.acos((-people.rotations[:, 0, 1, 1]).clamp(-1, 1)))
    assert 0.04 < (tilt_deg > 20).float().mean() < 0.2
    assert tilt_deg.median() < 10


def test_left_and_right_are_mirror_images_on_average(points: BodyPoints) -> None:
    people = sample_people(np.random.default_rng(1), 4000, points)
    chest = people.posed.rotations[:, 9]
    arms = [chest.mT @ (people.posed.joints[:, wrist] - people.posed.joints[:, NECK])[..., None] for wrist in (20, 21)]
    left, right = (arm[..., 0].mean(0) for arm in arms)
    torch.testing.assert_close(left, right * torch.tensor([-1.0, 1, 1]), atol=0.02, rtol=0)
