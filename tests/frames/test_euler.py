"""Euler angles in numpy: the same convention as for tensors, and back again."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dataprep.frames import rotations
from dataprep.frames.euler import matrix_from_zyx, zyx_from_matrix

turns = st.tuples(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5), st.floats(-3.1, 3.1)).map(np.array)


@given(turns)
def test_angles_come_back(zyx):
    np.testing.assert_allclose(zyx_from_matrix(matrix_from_zyx(zyx)), zyx, atol=1e-9)


@given(turns)
def test_the_convention_is_that_of_tensors_and_of_scipy(zyx):
    matrix = matrix_from_zyx(zyx)
    np.testing.assert_allclose(matrix, Rotation.from_euler("ZYX", zyx).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(matrix, rotations.matrix_from_zyx(torch.from_numpy(zyx)).numpy(), atol=1e-11)
    np.testing.assert_allclose(zyx_from_matrix(matrix), rotations.zyx_from_matrix(torch.from_numpy(matrix)), atol=1e-9)
