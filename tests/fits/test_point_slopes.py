import numpy as np
import torch

from dataprep.fits.body.point_slopes import POSE, point_slopes, right_jacobian
from dataprep.fits.body.random_people import sample_people
from dataprep.frames.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from dataprep.frames.smpl_joints import NECK
from dataprep.models.body.body_points import body_points
from dataprep.models.body.mediapipe_points import POINT_NAMES
from dataprep.models.body.smpl import load_body


def test_slopes_are_the_derivatives_that_torch_finds() -> None:
    body = body_points(load_body(), POINT_NAMES)
    start = sample_people(np.random.default_rng(0), 1, body).rotations
    torch.manual_seed(0)
    unknowns = torch.cat((0.2 * torch.randn(POSE), torch.randn(10)))

    def about_neck(values: torch.Tensor) -> torch.Tensor:
        rotations = start @ matrix_from_axis_angle(values[:POSE].unflatten(0, (1, 24, 3)))
        posed = body(rotations, values[None, POSE:])
        return (posed.points - posed.joints[:, NECK, None])[0]

    expected = torch.autograd.functional.jacobian(about_neck, unknowns)
    rotvecs = unknowns[:POSE].unflatten(0, (24, 3))
    posed = body(start @ matrix_from_axis_angle(rotvecs[None]), unknowns[None, POSE:])
    torch.testing.assert_close(point_slopes(body, posed, rotvecs, unknowns[POSE:]), expected, atol=2e-6, rtol=0)


def test_right_jacobian_carries_small_steps() -> None:
    torch.manual_seed(1)
    rotvecs, step = torch.randn(5, 3).double(), 1e-5 * torch.randn(5, 3).double()
    turned = matrix_from_axis_angle(rotvecs).mT @ matrix_from_axis_angle(rotvecs + step)
    expected = (right_jacobian(rotvecs) @ step[..., None])[..., 0]
    torch.testing.assert_close(axis_angle_from_matrix(turned), expected, atol=1e-8, rtol=0)
    torch.testing.assert_close(right_jacobian(torch.zeros(1, 3)), torch.eye(3)[None])
