import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dataprep.errors import AssetError
from dataprep.models.body.body_mesh import BodyMesh
from dataprep.models.body.body_points import body_points, forward_kinematics
from dataprep.models.body.mediapipe_points import POINT_NAMES
from dataprep.models.body.smpl import STANDIN_PATH, BodyModel, body_from_arrays, load_body


@pytest.fixture(scope="module")
def arrays() -> dict[str, Any]:
    with np.load(STANDIN_PATH) as archive:
        return {key: archive[key] for key in archive.files}


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


def random_pose(count: int, spread_rad: float) -> torch.Tensor:
    vectors = np.random.default_rng(0).normal(0, spread_rad, (count * 24, 3))
    return torch.from_numpy(Rotation.from_rotvec(vectors).as_matrix()).float().view(count, 24, 3, 3)


def dense_arrays(arrays: dict[str, Any]) -> dict[str, Any]:
    """The same body as an official file spells it: dense regressor, float64, 300 shape directions, unsigned root."""
    model = body_from_arrays(arrays, "standin", "")
    official = {k: arrays[k] for k in ("v_template", "weights", "f")}
    official["shapedirs"] = np.concatenate((arrays["shapedirs"], np.zeros((len(arrays["v_template"]), 3, 290))), 2)
    official["J_regressor"] = model.joint_regressor.toarray()
    official["kintree_table"] = arrays["kintree_table"].astype(np.uint32)
    official["bs_style"] = "lbs"
    return official


def test_mesh_and_fast_path_agree_with_each_other(body: BodyModel) -> None:
    rotations, betas = random_pose(3, 0.5), torch.randn(3, 10, generator=torch.Generator().manual_seed(1))
    vertices, joints = BodyMesh(body)(rotations, betas)
    posed = body_points(body, POINT_NAMES)(rotations, betas)
    regressor = torch.from_numpy(body.keypoint_rows(POINT_NAMES).toarray()).float()
    torch.testing.assert_close(posed.points, torch.einsum("kv,bvc->bkc", regressor, vertices), atol=1e-5, rtol=0)
    torch.testing.assert_close(posed.joints, joints, atol=1e-5, rtol=0)


def test_fast_path_is_exact_with_pose_blend_shapes(arrays: dict[str, Any]) -> None:
    """Only licensed files have them; made up here."""
    count = len(arrays["v_template"])
    posedirs = np.random.default_rng(2).normal(0, 1e-3, (count, 3, 207)).astype(np.float32)
    model = body_from_arrays({**arrays, "posedirs": posedirs}, "bent", "")
    rotations, betas = random_pose(2, 0.4), torch.zeros(2, 10)
    vertices, _ = BodyMesh(model)(rotations, betas)
    regressor = torch.from_numpy(model.keypoint_rows(POINT_NAMES).toarray()).float()
    points = body_points(model, POINT_NAMES)(rotations, betas).points
    torch.testing.assert_close(points, torch.einsum("kv,bvc->bkc", regressor, vertices), atol=1e-5, rtol=0)
    flat = body_points(body_from_arrays(arrays, "flat", ""), POINT_NAMES)(rotations, betas).points
    assert (points - flat).abs().max() > 1e-3


def test_rest_pose_and_a_bent_elbow_by_hand(body: BodyModel) -> None:
    """Turning the left elbow by 90 degrees about y sends the forearm from +x to -z."""
    points = body_points(body, POINT_NAMES)
    rotations = torch.eye(3).repeat(1, 24, 1, 1)
    rest = points(rotations, torch.zeros(1, 10)).joints[0]
    rotations[0, 18] = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    bent = points(rotations, torch.zeros(1, 10)).joints[0]
    forearm = rest[20] - rest[18]
    expected = rest[18] + torch.stack((forearm[2], forearm[1], -forearm[0]))
    torch.testing.assert_close(bent[20], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(bent[:18], rest[:18])


def test_one_joint_equals_the_whole_chain(body: BodyModel) -> None:
    points, rotations, betas = body_points(body, POINT_NAMES), random_pose(2, 0.6), torch.ones(2, 10)
    _, joints = forward_kinematics(rotations, points.rest_joints(betas))
    for joint in (0, 12, 15, 21):
        torch.testing.assert_close(points.joint_position(rotations, betas, joint), joints[:, joint])


def test_offsets_travel_with_their_part(body: BodyModel) -> None:
    """An offset on the nose turns with the head and leaves every other point alone."""
    points, rotations, betas = body_points(body, POINT_NAMES), random_pose(1, 0.4), torch.zeros(1, 10)
    offsets = np.zeros((len(POINT_NAMES), 3))
    offsets[0] = (0.0, 0.01, 0.02)
    before, after = points(rotations, betas), points.with_offsets(offsets)(rotations, betas)
    expected = before.rotations[0, 15] @ torch.tensor([0.0, 0.01, 0.02])
    torch.testing.assert_close(after.points[0, 0] - before.points[0, 0], expected, atol=2e-4, rtol=0)
    torch.testing.assert_close(after.points[0, 1:], before.points[0, 1:])


def test_gradients_of_the_fast_path_are_right(body: BodyModel) -> None:
    points = body_points(body, POINT_NAMES)
    double = type(points)(
        points.names, *(t.double() for t in (points.joints_J3, points.joint_dirs, points.mass_KJ, points.moment_KJ3)),
        points.moment_dirs.double(), None,
    )  # fmt: skip
    rotations = random_pose(1, 0.3).double().requires_grad_()
    betas = torch.zeros(1, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r, b: double(r, b).points[:, :3], (rotations, betas), fast_mode=True)


def test_official_arrays_load_and_pose_the_same(arrays: dict[str, Any], body: BodyModel) -> None:
    official = body_from_arrays(dense_arrays(arrays), "SMPL_NEUTRAL", "")
    assert official.keypoint_names == ()
    assert official.licence == "research-only"
    rotations, betas = random_pose(1, 0.3), torch.ones(1, 10)
    for ours, theirs in zip(BodyMesh(body)(rotations, betas), BodyMesh(official)(rotations, betas), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def _without(key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda a: {k: v for k, v in a.items() if k != key}


def _with(key: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda a: {**a, key: change(np.array(a[key]))}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_without("weights"), "weights missing"),
        (_without("J_regressor_val"), "J_regressor missing"),
        (_with("weights", lambda w: w * 0.9), "rows of weights"),
        (_with("v_template", lambda v: np.where(v == v.max(), np.nan, v)), "not finite"),
        (_with("shapedirs", lambda s: s[:, :, :4]), "shapedirs has shape"),
        (_with("kintree_table", lambda k: k[:, ::-1]), "24-joint tree"),
        (_with("J_regressor_col", lambda c: c + 10**6), "outside its shape"),
        (_with("f", lambda f: f + 10**6), "f points outside"),
    ],
)
def test_a_spoilt_file_is_refused_with_its_reason(
    arrays: dict[str, Any], spoil: Callable[[dict[str, Any]], dict[str, Any]], says: str
) -> None:
    with pytest.raises(AssetError, match=says):
        body_from_arrays(spoil(arrays), "spoilt", "")


def test_unreadable_files_are_asset_errors(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="no such file"):
        load_body(tmp_path / "absent.npz")
    (tmp_path / "cut.npz").write_bytes(STANDIN_PATH.read_bytes()[:5000])
    with pytest.raises(AssetError, match=r"cut\.npz"):
        load_body(tmp_path / "cut.npz")
    buffer = io.BytesIO()
    np.savez(buffer, v_template=np.array([{"evil": 1}], dtype=object))
    (tmp_path / "pickled.npz").write_bytes(buffer.getvalue())
    with pytest.raises(AssetError, match="without pickles"):
        load_body(tmp_path / "pickled.npz")


def test_missing_keypoints_are_named(body: BodyModel) -> None:
    with pytest.raises(AssetError, match="mediapipe/third_eye"):
        body.keypoint_rows(("mediapipe/nose", "mediapipe/third_eye"))
