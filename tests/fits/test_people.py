import numpy as np
import pytest
import torch

from dataprep.fits.people import sample_people
from dataprep.models.body_points import BodyPoints, body_points
from dataprep.models.mediapipe_points import POINT_NAMES
from dataprep.models.smpl import HEAD, NECK, load_body


@pytest.fixture(scope="module")
def points() -> BodyPoints:
    return body_points(load_body(), POINT_NAMES)


def test_same_seed_same_people(points: BodyPoints) -> None:
    first, second = (sample_people(np.random.default_rng(4), 3, points) for _ in range(2))
    assert torch.equal(first.rotations, second.rotations)
    assert torch.equal(first.betas, second.betas)


def test_people_stand_upright_and_cover_the_range(points: BodyPoints) -> None:
    people = sample_people(np.random.default_rng(0), 2000, points)
    up = people.posed.rotations[:, 9, 1, 1]
    assert (up < -0.5).float().mean() > 0.98
    head_turn = people.posed.rotations[:, 9].mT @ people.posed.rotations[:, HEAD]
    yaw = torch.rad2deg(torch.atan2(head_turn[:, 0, 2], head_turn[:, 2, 2]))
    assert yaw.quantile(0.98) > 45
    assert yaw.quantile(0.02) < -45
    body_yaw = torch.rad2deg(torch.atan2(people.rotations[:, 0, 0, 2], -people.rotations[:, 0, 2, 2]))
    assert body_yaw.abs().quantile(0.9) > 40
    wrists = people.posed.joints[:, [20, 21]] - people.posed.joints[:, [16, 17]]
    assert (wrists[..., 1] < 0).float().mean() > 0.05  # some hands above the shoulder


def test_left_and_right_are_mirror_images_on_average(points: BodyPoints) -> None:
    people = sample_people(np.random.default_rng(1), 4000, points)
    chest = people.posed.rotations[:, 9]
    arms = [chest.mT @ (people.posed.joints[:, wrist] - people.posed.joints[:, NECK])[..., None] for wrist in (20, 21)]
    left, right = (arm[..., 0].mean(0) for arm in arms)
    torch.testing.assert_close(left, right * torch.tensor([-1.0, 1, 1]), atol=0.02, rtol=0)
