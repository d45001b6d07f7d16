import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dataprep.frames.rotations import (
    angle_between_rad,
    axis_angle_from_matrix,
    matrix_from_axis_angle,
    matrix_from_sixd,
    matrix_from_zyx,
    sixd_from_matrix,
    zyx_from_matrix,
)


def random_rotations(count: int) -> torch.Tensor:
    return torch.from_numpy(Rotation.random(count, random_state=3).as_matrix())


def test_rotation_vectors_agree_with_scipy_from_zero_to_pi() -> None:
    axes = np.random.default_rng(0).normal(size=(50, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    vectors = axes * np.linspace(0, np.pi - 1e-6, 50)[:, None]
    matrices = matrix_from_axis_angle(torch.from_numpy(vectors))
    np.testing.assert_allclose(matrices.numpy(), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-8)
    np.testing.assert_allclose(axis_angle_from_matrix(matrices).numpy(), vectors, atol=1e-7)


def test_axis_angle_is_differentiable_at_zero() -> None:
    vector = torch.zeros(3, requires_grad=True)
    (gradient,) = torch.autograd.grad(matrix_from_axis_angle(vector)[1, 0], vector)
    torch.testing.assert_close(gradient, torch.tensor([0.0, 0.0, 1.0]))


def test_sixd_round_trip_and_repair() -> None:
    rotations = random_rotations(20)
    torch.testing.assert_close(matrix_from_sixd(sixd_from_matrix(rotations)), rotations)
    repaired = matrix_from_sixd(torch.randn(20, 6, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(repaired.mT @ repaired, torch.eye(3).expand(20, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(repaired), torch.ones(20))


def test_zyx_means_rz_ry_rx() -> None:
    angles = torch.tensor([[0.3, -0.2, 0.5], [-1.05, 0.0, 0.13]], dtype=torch.float64)
    expected = Rotation.from_euler("ZYX", angles.numpy()).as_matrix()
    np.testing.assert_allclose(matrix_from_zyx(angles).numpy(), expected, atol=1e-9)
    torch.testing.assert_close(zyx_from_matrix(matrix_from_zyx(angles)), angles)


@given(st.lists(st.floats(-1.7, 1.7), min_size=3, max_size=3))
def test_axis_angle_survives_zyx(vector: list[float]) -> None:
    """Rotation vectors up to 2.9 rad, through the Euler angles of the labels and back; gimbal lock included."""
    given_vector = torch.tensor([vector], dtype=torch.float64)
    matrix = matrix_from_axis_angle(given_vector)
    again = matrix_from_zyx(zyx_from_matrix(matrix))
    torch.testing.assert_close(again, matrix, atol=1e-6, rtol=0)
    torch.testing.assert_close(axis_angle_from_matrix(again), given_vector, atol=1e-5, rtol=0)


@given(st.floats(-3, 3), st.floats(-1.5, 1.5), st.floats(-3, 3))
def test_zyx_survives_axis_angle_and_a_mirror_turns_z_and_y(z: float, y: float, x: float) -> None:
    angles = torch.tensor([[z, y, x]], dtype=torch.float64)
    vector = axis_angle_from_matrix(matrix_from_zyx(angles))
    torch.testing.assert_close(zyx_from_matrix(matrix_from_axis_angle(vector)), angles, atol=1e-5, rtol=0)
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))
    signs = torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(zyx_from_matrix(flip @ matrix_from_zyx(angles) @ flip), signs * angles)


def test_angle_between() -> None:
    turn = matrix_from_axis_angle(torch.tensor([0.0, 0.25, 0.0], dtype=torch.float64))
    base = random_rotations(1)[0]
    torch.testing.assert_close(angle_between_rad(base, base @ turn), torch.tensor(0.25, dtype=torch.float64))
