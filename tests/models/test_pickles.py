"""SMPL's own files: read as data, refused when they ask for code, posed exactly."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.spatial.transform import Rotation

from dataprep.errors import AssetError
from dataprep.frames.smpl_joints import JOINTS
from dataprep.models import pickles
from dataprep.models.body.body_mesh import BodyMesh
from dataprep.models.body.body_points import body_points
from dataprep.models.body.mediapipe_points import POINT_NAMES, POINTS
from dataprep.models.body.smpl import BodyModel, body_from_arrays, load_body
from dataprep.models.body.smpl_keypoints import with_keypoints
from dataprep.models.pickles import read_smpl_pickle
from tests.licensed_files import dump, smpl_arrays, stub_modules, write_smpl_pickle


@pytest.fixture(scope="module")
def smpl() -> BodyModel:
    return with_keypoints(body_from_arrays(smpl_arrays(), "SMPL_NEUTRAL", "ab" * 32))


def random_pose(count: int, spread_rad: float) -> torch.Tensor:
    vectors = np.random.default_rng(0).normal(0, spread_rad, (count * 24, 3))
    return torch.from_numpy(Rotation.from_rotvec(vectors).as_matrix()).float().view(count, 24, 3, 3)


@pytest.mark.parametrize(("betas", "chumpy"), [(10, True), (300, False)], ids=["v1.0", "v1.1"])
def test_official_pickles_give_their_arrays_bit_for_bit(betas: int, chumpy: bool, tmp_path: Path) -> None:
    data = write_smpl_pickle(tmp_path / "SMPL_NEUTRAL.pkl", betas, chumpy).read_bytes()
    assert b"numpy.core.multiarray" in data
    assert (b"chumpy.reordering" in data) == chumpy
    read = read_smpl_pickle(data, "SMPL_NEUTRAL.pkl")
    assert read["shapedirs"].shape == (6890, 3, betas)
    for key in ("v_template", "posedirs", "weights", "kintree_table", "f"):
        np.testing.assert_array_equal(read[key], smpl_arrays()[key])
    np.testing.assert_array_equal(read["shapedirs"][:, :, :10], smpl_arrays()["shapedirs"])
    assert (read["J_regressor"] != smpl_arrays()["J_regressor"]).nnz == 0
    assert load_body(tmp_path / "SMPL_NEUTRAL.pkl").shapedirs.shape == (6890, 3, 10)


def test_official_npz_loads_and_pickled_extras_in_it_stay_closed(tmp_path: Path) -> None:
    arrays = {k: v for k, v in smpl_arrays().items() if k != "posedirs"}
    arrays["J_regressor"] = arrays["J_regressor"].toarray()
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **arrays, extra=np.array([{"an": "object"}], object))
    model = load_body(tmp_path / "SMPL_NEUTRAL.npz")
    assert model.name == "SMPL_NEUTRAL"
    assert model.licence == "research-only"
    np.testing.assert_allclose(model.v_template, smpl_arrays()["v_template"], atol=1e-6)


def test_python_3_spellings_are_read_too() -> None:
    """Files written again by today's pickle, numpy and scipy, in every protocol."""
    rng = np.random.default_rng(1)
    content = {"v_template": rng.normal(size=(5, 3)), "f": np.asfortranarray(rng.integers(0, 5, (4, 3)))}
    content |= {"J_regressor": scipy.sparse.csc_matrix(np.eye(3)), "weights": np.arange(6, dtype=">f4").reshape(2, 3)}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        if protocol == 1:
            continue  # numpy's own choice of names is that of protocol 0
        read = read_smpl_pickle(pickle.dumps(content, protocol), "again")
        for key in ("v_template", "f", "weights"):
            np.testing.assert_array_equal(read[key], content[key])
        np.testing.assert_array_equal(read["J_regressor"].toarray(), np.eye(3))


class Runs:
    """Pickles to a call."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


def hostile(mark: Path) -> dict[str, bytes]:
    command = f"touch {mark}"
    nested = {"v_template": np.zeros((2, 3)), "meta": {"deep": [Runs(os.system, command)]}}
    return {
        "os.system": pickle.dumps(Runs(os.system, command)),
        "posix by hand": b"cposix\nsystem\n(S'" + command.encode() + b"'\ntR.",
        "eval": pickle.dumps(Runs(eval, f"open({str(mark)!r}, 'w')")),
        "nested": pickle.dumps(nested),
        "python 2 builtins": b"c__builtin__\nexecfile\n(S'" + str(mark).encode() + b"'\ntR.",
        "getattr": pickle.dumps(Runs(getattr, "x", "join")),
        "a codec by name": b"c_codecs\nencode\n(Vx\nVidna\ntR.",
        "any class": b"ccopy_reg\n_reconstructor\n(csubprocess\nPopen\nc__builtin__\nobject\nNtR.",
        "reconstructor of set": b"ccopy_reg\n_reconstructor\n(c__builtin__\nset\nc__builtin__\nobject\nNtR.",
        "numpy's loader": b"cnumpy\nload\n(S'x'\ntR.",
        "dotted": b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
        "scipy elsewhere": b"cscipy.io\nloadmat\n(S'x'\ntR.",
    }


@pytest.mark.parametrize("kind", list(hostile(Path("x"))))
def test_a_pickle_that_asks_for_code_is_refused_and_nothing_runs(kind: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    with pytest.raises(AssetError, match=r"asks for .*; nothing of it was run"):
        read_smpl_pickle(hostile(mark)[kind], "SMPL_NEUTRAL.pkl")
    assert not mark.exists()


def test_a_pickle_cannot_change_the_reader_itself() -> None:
    """BUILD with a pair as state sets attributes on any object that the file can name."""
    spoil = b"ccopy_reg\n_reconstructor\n(N(dS'__defaults__'\n(I1\ntstb."
    with pytest.raises(AssetError):
        read_smpl_pickle(spoil, "x")
    assert pickles._reconstructor.__defaults__ is None
    for target in (b"c__builtin__\nset\n", b"ccollections\nOrderedDict\n", b"c_codecs\nencode\n"):
        with pytest.raises(AssetError):
            read_smpl_pickle(target + b"(N(dS'pop'\nI1\nstb.", "x")


def test_hostile_files_are_refused_by_the_loader_that_stages_use(tmp_path: Path) -> None:
    (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(hostile(tmp_path / "ran")["nested"])
    with pytest.raises(AssetError, match=r"SMPL_NEUTRAL\.pkl: the pickle asks for posix\.system"):
        load_body(tmp_path / "SMPL_NEUTRAL.pkl")
    assert not (tmp_path / "ran").exists()


def test_truncated_or_other_pickles_say_so() -> None:
    whole = pickle.dumps({"v_template": np.zeros((50, 3)), "f": np.zeros((9, 3))}, 2)
    for cut in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        with pytest.raises(AssetError, match="not a whole pickle"):
            read_smpl_pickle(whole[:cut], "SMPL_NEUTRAL.pkl")
    with pytest.raises(AssetError, match="holds a list"):
        read_smpl_pickle(pickle.dumps([1, 2]), "x")
    with pytest.raises(AssetError, match="not a whole pickle"):
        read_smpl_pickle(b"PK\x03\x04 this is a zip", "x")


def test_what_is_no_array_of_numbers_is_named(tmp_path: Path) -> None:
    stubs = stub_modules("chumpy.ch_ops.add", "chumpy.ch.Ch")
    node = stubs["chumpy.ch_ops.add"]()
    with pytest.raises(AssetError, match=r"weights: holds a chumpy chumpy\.ch_ops\.add; only Ch and Select"):
        read_smpl_pickle(dump(tmp_path / "a.pkl", {"weights": node}).read_bytes(), "a.pkl")
    with pytest.raises(AssetError, match="f: holds an array of"):
        read_smpl_pickle(pickle.dumps({"f": np.array([{}], object)}), "x")
    endless = stubs["chumpy.ch.Ch"]()
    endless.__dict__["x"] = endless
    with pytest.raises(AssetError, match="nested without end"):
        read_smpl_pickle(dump(tmp_path / "b.pkl", {"weights": endless}).read_bytes(), "b.pkl")
    broken = scipy.sparse.csc_matrix(np.eye(3))
    broken.indices = broken.indices + 1000  # would be read past the end later
    with pytest.raises(AssetError, match="J_regressor is not an array"):
        read_smpl_pickle(pickle.dumps({"J_regressor": broken}), "x")
    with pytest.raises(AssetError, match="shapedirs has shape"):
        body_from_arrays(smpl_arrays() | {"shapedirs": np.zeros((6890, 30))}, "x", "")


def test_full_mesh_through_smplx_equals_the_fast_path(smpl: BodyModel) -> None:
    assert smpl.posedirs is not None
    rotations, betas = random_pose(3, 0.5), torch.randn(3, 10, generator=torch.Generator().manual_seed(1))
    vertices, joints = BodyMesh(smpl)(rotations, betas)
    assert vertices.shape == (3, 6890, 3)
    posed = body_points(smpl, POINT_NAMES)(rotations, betas)
    regressor = torch.from_numpy(smpl.keypoint_rows(POINT_NAMES).toarray())
    expected = torch.einsum("kv,bvc->bkc", regressor, vertices.double()).float()
    torch.testing.assert_close(posed.points, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(posed.joints, joints, atol=1e-5, rtol=0)


def test_full_mesh_equals_linear_blend_skinning_written_out(smpl: BodyModel) -> None:
    """float64, joint by joint, from the definition."""
    rotations, betas = random_pose(1, 0.4), torch.full((1, 10), 0.7)
    a, r = smpl_arrays(), rotations[0].double().numpy()
    shaped = a["v_template"] + a["shapedirs"] @ betas[0].double().numpy()
    joints = a["J_regressor"] @ shaped
    bent = shaped + a["posedirs"] @ (r[1:] - np.eye(3)).ravel()
    turned, moved = [r[0]], [joints[0]]
    for j, parent in enumerate(a["kintree_table"][0][1:].astype(int), start=1):
        turned.append(turned[parent] @ r[j])
        moved.append(moved[parent] + turned[parent] @ (joints[j] - joints[parent]))
    vertices = sum(a["weights"][:, j, None] * ((bent - joints[j]) @ turned[j].T + moved[j]) for j in range(24))
    np.testing.assert_allclose(BodyMesh(smpl)(rotations, betas)[0][0].numpy(), vertices, atol=2e-6)


def test_key_points_made_for_smpl_mean_what_the_standins_mean(smpl: BodyModel) -> None:
    standin = load_body()
    ours = smpl.keypoint_rows(POINT_NAMES) @ smpl.v_template
    theirs = standin.keypoint_rows(POINT_NAMES) @ standin.v_template
    error = dict(zip(POINTS, 1000 * np.linalg.norm(ours - theirs, axis=1), strict=True))
    heels = ("left_heel", "right_heel")
    assert max(v for k, v in error.items() if k not in heels) < 8, error
    assert max(error[k] for k in heels) < 25
    np.testing.assert_allclose(np.asarray(smpl.keypoint_regressor.sum(1)), 1, atol=1e-9)
    posed = body_points(smpl, POINT_NAMES)(random_pose(8, 0.4), torch.zeros(8, 10))
    for row, name in enumerate(POINTS):
        if name in JOINTS:  # limb points stay on their joints when these bend
            off = (posed.points[:, row] - posed.joints[:, JOINTS.index(name)]).norm(dim=-1)
            assert off.mean() < 0.008, name


def test_a_body_in_another_order_or_size_is_refused() -> None:
    arrays = smpl_arrays()
    flipped = {**arrays, "v_template": arrays["v_template"] * [-1, 1, -1]}
    with pytest.raises(AssetError, match="not in SMPL's order or frame"):
        with_keypoints(body_from_arrays(flipped, "turned", ""))
    few = {k: v[:6000] if k in ("v_template", "shapedirs", "weights", "posedirs") else v for k, v in arrays.items()}
    few |= {"J_regressor": arrays["J_regressor"][:, :6000], "f": arrays["f"] % 6000}
    few["J_regressor"] = few["J_regressor"].multiply(1 / few["J_regressor"].sum(1)).tocsc()
    with pytest.raises(AssetError, match=r"6000 vertices and no key-point regressors; expected SMPL's 6890"):
        with_keypoints(body_from_arrays(few, "few", ""))
