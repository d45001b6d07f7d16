"""The renderer's parts that need neither its source data nor OpenGL."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from dataprep.models.shipped import SHIPPED_FOLDER
from tools.render import backdrops, exact_truth, makehuman_assets, photo, wardrobe
from tools.render.figure import Figure, Skeleton
from tools.render.poses import ARMS, CHEST, HEAD, LEFT_ELBOW, LEFT_SHOULDER, NECK, RIGHT_SHOULDER, Pose
from tools.render.recipes import BACKDROPS, EXPRESSIONS
from tools.render.scene import FAR_M, NEAR_M, SceneCamera

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)


def chain(local: np.ndarray) -> np.ndarray:
    out = [local[0]]
    for joint in range(1, 24):
        out.append(out[PARENTS[joint]] @ local[joint])
    return np.array(out)


def proxy_file(folder: Path, faces: list[int], vertices: int, uvs: list[float]) -> Path:
    path = folder / "hair" / "thing" / "thing.json"
    path.parent.mkdir(parents=True)
    document = {
        "ref_vIdxs": [[0, 1, 2]] * vertices,
        "weights": [[0.5, 0.75, -0.25]] * vertices,
        "offsets": [[1.0, 0.0, 0.0]] * vertices,
        "uvs": [uvs],
        "faces": faces,
        "metadata": {"deleteVerts": [1, 0, 1]},
        "materials": [{"mapDiffuse": "textures/thing.png"}],
    }
    path.write_text(json.dumps(document))
    return path


def test_faces_of_all_kinds_are_parsed(tmp_path: Path) -> None:
    quad = [1 | 2 | 8, 0, 1, 2, 3, 0, 4, 5, 6, 7]  # quad, material, corner UVs
    triangle = [8 | 32 | 128, 3, 2, 1, 0, 1, 2, 9, 9, 9, 8, 8, 8]  # triangle, corner UVs, corner normals and colours
    proxy = makehuman_assets._read_proxy(proxy_file(tmp_path, quad + triangle, 4, [0.0, 0.5] * 8))
    assert proxy.mesh.vertex.tolist() == [[0, 1, 2], [0, 2, 3], [3, 2, 1]]
    assert proxy.mesh.uv_index.tolist() == [[4, 5, 6], [4, 6, 7], [0, 1, 2]]
    assert proxy.hides[:4].tolist() == [True, False, True, False]


def test_proxies_follow_their_references(tmp_path: Path) -> None:
    proxy = makehuman_assets._read_proxy(proxy_file(tmp_path, [8, 0, 0, 0, 0, 0, 0], 1, [0.0, 0.0]))
    base = np.zeros((makehuman_assets.BASE_VERTICES, 3))
    base[:3] = np.eye(3)
    np.testing.assert_allclose(proxy.attach(base), [[0.5 + 0.1, 0.75, -0.25]])  # offsets are decimetres
    np.testing.assert_allclose(proxy.blend(base), [[0.4, 0.6, 0.0]])  # negative references carry no skin weight


def test_pose_turns_the_way_its_names_say() -> None:
    upright = chain(Pose().rotations())
    np.testing.assert_allclose(upright[CHEST], np.diag([1.0, -1.0, -1.0]), atol=1e-12)
    left_turn = chain(Pose(body_yaw=0.5).rotations())[CHEST]
    assert left_turn[0, 2] == pytest.approx(math.sin(0.5))  # faces the subject's left, which is image right
    nod = chain(Pose(head=(0.4, 0.0, 0.0)).rotations())[HEAD]
    assert nod[1, 2] == pytest.approx(math.sin(0.4))  # the face looks down: +y in the image
    lean = chain(Pose(head=(0.0, 0.0, 0.3)).rotations())[HEAD]
    assert lean[0, 1] == pytest.approx(math.sin(0.3))  # the crown leans to the subject's left


@pytest.mark.parametrize("name", sorted(ARMS))
def test_arms_point_where_they_should_and_mirror(name: str) -> None:
    arm = ARMS[name]
    rotations = Pose(left_arm=arm, right_arm=arm).rotations()
    rotations[0] = np.eye(3)
    whole = chain(rotations)
    upper = whole[LEFT_SHOULDER][:, 0]
    forearm = whole[LEFT_ELBOW][:, 0]
    np.testing.assert_allclose(upper, np.array(arm.upper) / np.linalg.norm(arm.upper), atol=1e-9)
    np.testing.assert_allclose(forearm, np.array(arm.forearm) / np.linalg.norm(arm.forearm), atol=1e-9)
    mirror = np.diag([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(mirror @ whole[LEFT_SHOULDER] @ mirror, whole[RIGHT_SHOULDER], atol=1e-9)


def test_clip_matrix_agrees_with_the_projection() -> None:
    camera = SceneCamera(900.0, 950.0, 250.0, 500.0, 512, 1024)
    points = np.array([[0.3, -0.8, 4.0], [-0.2, 0.5, 2.5], [0.0, 0.0, NEAR_M], [0.0, 0.0, FAR_M]])
    clip = np.column_stack([points, np.ones(4)]) @ camera.clip_from_cam().T
    ndc = clip[:, :3] / clip[:, 3:]
    pixels = np.column_stack([(ndc[:, 0] + 1) / 2 * camera.width, (1 - ndc[:, 1]) / 2 * camera.height])
    np.testing.assert_allclose(pixels, camera.project(points), atol=1e-9)
    np.testing.assert_allclose(ndc[2:, 2], [-1.0, 1.0], atol=1e-9)


def test_part_of_a_camera_sees_the_same_points() -> None:
    camera = SceneCamera(900.0, 950.0, 250.0, 500.0, 512, 1024)
    points = np.array([[0.3, -0.8, 4.0], [-0.2, 0.5, 2.5]])
    moved = camera.window(40, 90, 100, 200).project(points) + np.array([40, 90])
    np.testing.assert_allclose(moved, camera.project(points))


def test_joints_are_regressed_from_the_base_mesh() -> None:
    base = np.arange(30.0).reshape(10, 3)
    skeleton = Skeleton(np.array([2, 2, 5]), np.array([1, 3, 9]), np.array([0.5, 0.5, 1.0]))
    joints = skeleton.joints_m(base)
    np.testing.assert_allclose(joints[2], base[[1, 3]].mean(axis=0))
    np.testing.assert_allclose(joints[5], base[9])


def figure_with(rotations: np.ndarray, neck_m: tuple[float, float, float]) -> Figure:
    joints = np.tile(np.array(neck_m), (24, 1))
    empty = np.zeros((0, 3))
    camera = SceneCamera(1000.0, 1000.0, 256.0, 512.0, 512, 1024)
    return Figure(camera, [], rotations, chain(rotations), joints, empty, empty, empty)


def test_crop_of_an_upright_person_by_hand() -> None:
    crop = exact_truth.portrait_crop(figure_with(Pose().rotations(), (0.1, -0.3, 5.0)))
    assert crop["px_per_m"] == pytest.approx(200.0)
    assert crop["side_px"] == pytest.approx(0.469068 * 200, rel=1e-4)
    assert crop["centre_px"] == pytest.approx([276.0, 512 - 0.429044 * 200], abs=1e-3)
    assert crop["roll_rad"] == 0.0


def test_roll_is_positive_when_the_chest_leans_to_image_right() -> None:
    crop = exact_truth.portrait_crop(figure_with(Pose(body_roll=0.2).rotations(), (0.0, 0.0, 5.0)))
    assert crop["roll_rad"] == pytest.approx(0.2, abs=1e-6)
    assert crop["centre_px"][0] > 256


def test_procrustes_recovers_a_rigid_motion() -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(20, 3))
    rotation = chain(Pose(body_yaw=0.7, head=(0.2, 0.1, -0.3)).rotations())[HEAD]
    found, shift = exact_truth.procrustes(points, points @ rotation.T + [1.0, 2.0, 3.0])
    np.testing.assert_allclose(found, rotation, atol=1e-9)
    np.testing.assert_allclose(shift, [1.0, 2.0, 3.0], atol=1e-9)


def test_face_coefficients_are_recovered_from_the_models_own_faces() -> None:
    standin = exact_truth.StandIn.load(SHIPPED_FOLDER)
    rng = np.random.default_rng(5)
    identity, expression = rng.normal(size=80), rng.normal(size=64) * 0.5
    base = np.zeros((makehuman_assets.BASE_VERTICES, 3))
    neutral, moved = base.copy(), base.copy()
    neutral[standin.face_vertex] = (standin.face_mean_dm + standin.identity_dm @ identity) / 10 + [0.0, 0.4, 0.1]
    moved[standin.face_vertex] = neutral[standin.face_vertex] + standin.expression_dm @ expression / 10
    found_identity, found_expression = exact_truth.face_coefficients(standin, neutral, moved)
    assert np.corrcoef(found_identity, identity)[0, 1] > 0.99
    assert np.corrcoef(found_expression, expression)[0, 1] > 0.99
    turn = chain(Pose(head=(0.2, 0.5, -0.1)).rotations())[HEAD]
    head = exact_truth.head_rotation(standin, moved @ turn.T + [0.0, 0.0, 5.0], found_identity, found_expression)
    np.testing.assert_allclose(head, exact_truth.GL_FROM_CAM @ turn, atol=5e-3)


def test_clothes_take_their_colour_and_lose_their_print() -> None:
    rgba = np.full((100, 100, 4), 255, np.uint8)
    rgba[..., :3] = (40, 90, 150)
    rgba[50:, :, :3] = (70, 80, 100)
    rgba[20:30, 20:30, :3] = (230, 120, 30)
    outfit = wardrobe.Outfit("suit", (0.0, 0.5, 1.0, 1.0), (0.1, 0.1, 0.4, 0.4))
    plain = wardrobe.dress(rgba, outfit, None, None)
    assert np.abs(plain[20:30, 20:30, :3].astype(int) - (40, 90, 150)).max() <= 2
    np.testing.assert_array_equal(plain[50:], rgba[50:])
    red = wardrobe.dress(rgba, outfit, (0.42, 0.06, 0.05), None)
    assert (red[5, 80, 0] > red[5, 80, 1:3] + 60).all()
    np.testing.assert_array_equal(red[60:], rgba[60:])


def test_backdrops_are_a_function_of_their_stream() -> None:
    assert set(BACKDROPS) < set(backdrops._PAINTERS)
    for kind in sorted(backdrops._PAINTERS):
        first, second, other = (
            backdrops.paint(kind, np.random.default_rng(seed), 128, 512, 470.0) for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first, second)
        assert first.shape == (512, 128, 3)
        assert kind == "white" or not np.array_equal(first, other)


def test_exif_orientation_survives_encoding() -> None:
    upright = np.zeros((40, 20, 3), np.uint8)
    upright[:10] = 255
    stored = np.ascontiguousarray(np.rot90(upright))
    with Image.open(io.BytesIO(photo.jpeg(stored, exif_orientation=6))) as picture:
        assert picture.size == (40, 20)
        shown = np.asarray(ImageOps.exif_transpose(picture))
    assert shown.shape == (40, 20, 3)
    assert shown[:8].mean() > 240 > 20 > shown[12:].mean()


def test_expressions_stay_within_the_face_units() -> None:
    amounts = [amount for units in EXPRESSIONS.values() for amount in units.values()]
    assert 0 < min(amounts) <= max(amounts) * 1.15 <= 1.0


def test_joint_numbers_are_smpls() -> None:
    assert PARENTS[HEAD] == NECK
    assert PARENTS[NECK] == CHEST
