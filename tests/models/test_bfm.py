from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from dataprep.errors import AssetError
from dataprep.models.face.bfm import STANDIN_PATH, FaceModel, face_from_arrays, harmonics, lit_colour, load_face


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return load_face()


@pytest.fixture(scope="module")
def arrays() -> dict[str, Any]:
    with np.load(STANDIN_PATH) as archive:
        return {key: archive[key] for key in archive.files}


def test_shape_is_linear_in_the_coefficients(face: FaceModel) -> None:
    identity, expression = np.zeros(80), np.zeros(64)
    np.testing.assert_allclose(face.shape(identity, expression), face.mean)
    identity[3], expression[5] = 2.0, -1.0
    moved = face.shape(identity, expression)
    np.testing.assert_allclose(moved - face.mean, 2 * face.id_base[..., 3] - face.exp_base[..., 5], atol=1e-6)


def test_landmark_basis_agrees_with_the_full_shape(face: FaceModel) -> None:
    coefficients = np.random.default_rng(0).normal(size=144)
    mean, basis = face.landmark_bases()
    shape = face.shape(coefficients[:80], coefficients[80:])
    np.testing.assert_allclose(mean + basis @ coefficients, shape[face.landmarks], atol=1e-5)


def test_axes_of_the_mean_face(face: FaceModel) -> None:
    """y up, z to the camera, iBUG 36 (subject's right eye) at image left."""
    points = face.mean[face.landmarks]
    assert points[36, 0] < 0 < points[45, 0]
    assert points[8, 1] < points[30, 1] < points[27, 1]
    assert points[30, 2] == points[:, 2].max()
    normals = face.normals(face.mean.astype(np.float64))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    assert normals[face.landmarks[30], 2] > 0.8


def test_grey_light_from_everywhere_scales_the_albedo() -> None:
    """The first harmonic is constant: 0.8 x pi / sqrt(4 pi) whatever the normal."""
    normals = np.eye(3)
    colour = lit_colour(np.full((3, 3), 100.0), normals, np.zeros(27))
    np.testing.assert_allclose(colour, 100 * 0.8 * np.pi / np.sqrt(4 * np.pi))


def test_harmonics_are_orthogonal_on_the_sphere() -> None:
    normals = np.random.default_rng(1).normal(size=(200_000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    basis = harmonics(normals)
    gram = basis.T @ basis / len(basis)
    off_diagonal = gram - np.diag(np.diag(gram))
    assert np.abs(off_diagonal).max() < 0.02 * np.diag(gram).max()


def test_mat_and_npz_give_the_same_model(arrays: dict[str, Any], face: FaceModel, tmp_path: Path) -> None:
    keys = ("meanshape", "meantex", "idBase", "exBase", "texBase", "tri", "point_buf", "keypoints", "skinmask")
    scipy.io.savemat(tmp_path / "BFM_model_front.mat", {k: arrays[k].astype(np.float64) for k in keys})
    official = load_face(tmp_path / "BFM_model_front.mat")
    assert official.face_from_body is None
    for name in ("mean", "id_base", "exp_base", "tex_base", "triangles", "point_buf", "landmarks"):
        np.testing.assert_allclose(getattr(official, name), getattr(face, name), rtol=1e-6, atol=1e-7)


def test_face_from_body_leads_to_the_centred_mean(arrays: dict[str, Any], face: FaceModel) -> None:
    """A shifted file must not shift where body points land on the face."""
    shift = np.array([0.1, -0.2, 0.3])
    moved_arrays = dict(arrays)
    moved_arrays["meanshape"] = (np.asarray(arrays["meanshape"], np.float64).reshape(-1, 3) + shift).reshape(1, -1)
    offset = np.array(arrays["face_from_body"])
    offset[:, 3] += shift
    moved = face_from_arrays({**moved_arrays, "face_from_body": offset}, "moved", "")
    assert moved.face_from_body is not None
    assert face.face_from_body is not None
    np.testing.assert_allclose(moved.mean, face.mean, atol=1e-6)
    np.testing.assert_allclose(moved.face_from_body, face.face_from_body, atol=1e-5)


def test_spoilt_files_are_refused_with_their_reason(arrays: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="exBase missing"):
        face_from_arrays({k: v for k, v in arrays.items() if k != "exBase"}, "x", "")
    with pytest.raises(AssetError, match="idBase has shape"):
        face_from_arrays({**arrays, "idBase": arrays["idBase"][:, :79]}, "x", "")
    with pytest.raises(AssetError, match="tri is 1-based"):
        face_from_arrays({**arrays, "tri": arrays["tri"] - 1}, "x", "")
    with pytest.raises(AssetError, match="not finite"):
        face_from_arrays({**arrays, "meantex": np.full_like(arrays["meantex"], np.nan)}, "x", "")
    with pytest.raises(AssetError, match="no such file"):
        load_face(tmp_path / "absent.mat")
    (tmp_path / "junk.mat").write_bytes(b"junk")
    with pytest.raises(AssetError, match="junk"):
        load_face(tmp_path / "junk.mat")
