"""FLAME's landmark file: contours of turned heads, as arrays and as tensors, and files without them."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dataprep.errors import AssetError
from dataprep.fits.face.flame_fit import fit_flame
from dataprep.frames.geometry import BODY_UNIT_M
from dataprep.models.face.flame import load_flame
from tests.flame_files import write_flame


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_flame(tmp_path_factory.mktemp("flame"))


def turned(yaw_deg):
    return Rotation.from_euler("y", yaw_deg, degrees=True).as_matrix()


def test_a_turned_head_shows_the_contour_of_its_degree(files):
    flame = load_flame(*files)
    assert [flame.contour(turned(yaw)) for yaw in (0, -20, -60, 1, 20, 60)] == [0, 20, 39, 40, 59, 78]
    where = np.load(files[1], allow_pickle=True).item()["dynamic_lmk_faces_idx"].numpy()
    assert len(np.unique(where[:, 16])) > 5, "they slide"
    for contour in (0, 20, 59):
        corners = flame.showing(contour).corners.reshape(68, 3, 3)
        assert corners.shape == (68, 3, 3)
        np.testing.assert_array_equal(corners[17:], flame.corners.reshape(-1, 3, 3)[17:68])
        first = flame.corners.reshape(-1, 3, 3)[68 + 17 * contour :][:17]
        np.testing.assert_array_equal(corners[:17], first)


def test_a_file_numbers_either_side_first(files, tmp_path):
    """smplx and DECA disagree; what counts is which cheek's edge moved."""
    left, right = load_flame(*files), load_flame(*write_flame(tmp_path, first_to=1))
    for yaw in (-30, -5, 0, 12, 39):
        one, other = (flame.showing(flame.contour(turned(yaw))).corners for flame in (left, right))
        np.testing.assert_array_equal(one, other)


def test_the_visible_edge_is_fitted_better_than_fixed_points(files, tmp_path):
    """A head turned by 35 degrees, whose landmarks follow the edge: with contours it is what it was."""
    flame, fixed = load_flame(*files), load_flame(*write_flame(tmp_path, with_contours=False))
    seen = flame.showing(flame.contour(turned(35)))
    head = (seen.corners.reshape(68, 3, 3) * seen.weights[..., None]).sum(1) @ turned(35).T
    head += [0, 0, -BODY_UNIT_M]  # where the portrait's camera expects it
    focal = 1.8 * BODY_UNIT_M
    pixels = 512 * (0.5 + focal * head[:, :2] * [1, -1] / -head[:, 2:])
    turn = Rotation.from_matrix(turned(35)).as_rotvec()
    fits = [fit_flame(one, pixels, turn, {}, focal) for one in (flame, fixed)]
    off = [np.linalg.norm(fit.landmarks - pixels, axis=1).mean() for fit in fits]
    assert off[0] < 0.05, "px; the eyes are 65 px apart"
    assert off[1] > 0.5
    assert np.abs(fits[0].shape).max() < 0.5
    assert np.abs(fits[1].shape).max() > 2, "fixed points bend the shape"


def test_other_numbers_of_landmarks_are_refused(files, tmp_path):
    content = np.load(files[1], allow_pickle=True).item()
    content |= {name: value.numpy() for name, value in content.items() if name.startswith("dynamic")}
    content["dynamic_lmk_faces_idx"] = content["dynamic_lmk_faces_idx"][:40]
    np.save(tmp_path / "landmark_embedding.npy", content, allow_pickle=True)
    with pytest.raises(AssetError, match=r"dynamic_lmk_faces_idx has 680 landmarks, expected 1343"):
        load_flame(files[0], tmp_path / "landmark_embedding.npy")
