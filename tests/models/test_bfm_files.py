"""The Basel face model's files at their true sizes: both forms give one model, and a face fit on it works."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from scipy.spatial.transform import Rotation

from dataprep.errors import AssetError
from dataprep.fits.face.face3dmm import fit_face
from dataprep.fits.face.face_fit import FaceFitConfig
from dataprep.frames.face_frames import Alignment, project_224
from dataprep.models.face.bfm import FaceModel, load_face
from dataprep.models.face.bfm09 import FILES, load_bfm09
from dataprep.models.face.face_files import open_face
from tests.licensed_files import face_arrays, write_bfm09, write_bfm_front


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> FaceModel:
    return load_face(write_bfm_front(tmp_path_factory.mktemp("bfm") / "BFM_model_front.mat"))


def test_the_front_model_has_its_true_size_and_keeps_the_face(front: FaceModel) -> None:
    assert front.mean.shape == (35_709, 3)
    assert front.name == "BFM_model_front"
    assert front.licence == "research-only"
    small = load_face()
    offset = front.mean[: len(small.mean)] - small.mean
    np.testing.assert_allclose(offset, offset[:1].repeat(len(offset), 0), atol=1e-5)  # only centred anew
    normals = front.normals(front.mean.astype(np.float64))
    assert normals[front.landmarks[30], 2] > 0.8


def test_a_face_fit_on_it_finds_the_pose(front: FaceModel) -> None:
    rng, placement = np.random.default_rng(5), Alignment(0.93, np.array([256.0, 250.0]))
    errors = []
    for _ in range(5):
        rotation = Rotation.from_euler("yxz", rng.normal(0, (20, 8, 5)), degrees=True).as_matrix()
        shape = front.shape(rng.normal(size=80), rng.normal(0, 0.7, 64))[front.landmarks]
        landmarks = placement.to_portrait(project_224(shape @ rotation.T)) + rng.normal(0, 1.0, (68, 2))
        fit = fit_face(front, landmarks, FaceFitConfig())
        errors.append(np.degrees(Rotation.from_matrix(fit.head_from_face.T @ rotation).magnitude()))
    assert np.median(errors) < 3


def test_the_six_raw_files_give_the_same_model(front: FaceModel, tmp_path: Path) -> None:
    write_bfm09(tmp_path)
    raw = open_face(str(tmp_path / "01_MorphableModel.mat"))
    assert raw.name == "BFM09"
    assert len(raw.sha256) == 64
    for name, tolerance in (("mean", 1e-6), ("id_base", 1e-6), ("exp_base", 1e-6), ("tex_base", 1e-4)):
        np.testing.assert_allclose(getattr(raw, name), getattr(front, name), atol=tolerance, rtol=1e-5)
    for name in ("triangles", "point_buf", "landmarks", "skin", "mean_texture"):
        np.testing.assert_allclose(getattr(raw, name), getattr(front, name), rtol=1e-6)
    cut = (tmp_path / "Exp_Pca.bin").read_bytes()[:-500]
    (tmp_path / "Exp_Pca.bin").write_bytes(cut[: len(cut) // 2])
    with pytest.raises(AssetError, match=r"Exp_Pca\.bin: \d+ bytes do not hold 79 components"):
        load_bfm09(tmp_path)


def test_missing_and_damaged_raw_files_are_named_with_their_source(tmp_path: Path) -> None:
    (tmp_path / FILES[0]).write_bytes(b"MATLAB 5.0 MAT-file, cut off here")
    with pytest.raises(AssetError, match=r"Exp_Pca\.bin, std_exp\.txt.* missing .*github\.com/Juyong/3DFace"):
        open_face(str(tmp_path / FILES[0]))
    for name in FILES[1:]:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(AssetError, match=r"01_MorphableModel\.mat: not a readable \.mat"):
        open_face(str(tmp_path / FILES[0]))
    scipy.io.savemat(tmp_path / FILES[0], {"shapePC": np.zeros((9, 80))})
    with pytest.raises(AssetError, match=r"01_MorphableModel\.mat: key shapeEV, shapeMU"):
        open_face(str(tmp_path / FILES[0]))
    small = {k: np.zeros((90, 80)) for k in ("shapePC", "texPC")} | {k: np.zeros((90, 1)) for k in ("shapeMU", "texMU")}
    scipy.io.savemat(tmp_path / FILES[0], small | {k: np.zeros((80, 1)) for k in ("shapeEV", "texEV")})
    with pytest.raises(AssetError, match="shapePC has 90 rows, expected 160470"):
        open_face(str(tmp_path / FILES[0]))


def test_a_truncated_front_model_says_so(tmp_path: Path) -> None:
    keys = ("keypoints", "skinmask", "tri", "meanshape")
    scipy.io.savemat(tmp_path / "whole.mat", {key: face_arrays()[key] for key in keys})
    with pytest.raises(AssetError, match="key meantex, idBase, exBase, texBase, point_buf missing"):
        open_face(str(tmp_path / "whole.mat"))
    data = (tmp_path / "whole.mat").read_bytes()
    shutil.copy(tmp_path / "whole.mat", tmp_path / "cut.mat")
    (tmp_path / "cut.mat").write_bytes(data[: len(data) // 2])
    with pytest.raises(AssetError, match=r"cut"):
        open_face(str(tmp_path / "cut.mat"))
