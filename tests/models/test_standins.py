"""The committed stand-in files: schema, invariants and placement. Nothing here needs the package they came from."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).parents[2] / "dataprep" / "models" / "data"
PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]
JOINT = {
    "pelvis": 0, "left_hip": 1, "right_hip": 2, "left_knee": 4, "left_ankle": 7, "spine3": 9, "neck": 12, "head": 15,
    "left_shoulder": 16, "left_elbow": 18, "left_wrist": 20,
}  # fmt: skip
RIGHT_OF_LEFT = {1: 2, 4: 5, 7: 8, 10: 11, 13: 14, 16: 17, 18: 19, 20: 21, 22: 23}
MIRROR_68 = [
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1), 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
    41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
]  # fmt: skip


def dense(arrays: dict[str, np.ndarray], name: str, rows: int) -> np.ndarray:
    matrix = np.zeros((rows, len(arrays["v_template"])))
    np.add.at(matrix, (arrays[f"{name}_row"], arrays[f"{name}_col"]), arrays[f"{name}_val"])
    return matrix


@pytest.fixture(scope="module")
def body() -> dict[str, np.ndarray]:
    with np.load(DATA / "body_anny.npz", allow_pickle=False) as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def face() -> dict[str, np.ndarray]:
    with np.load(DATA / "face_anny.npz", allow_pickle=False) as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def joints(body: dict[str, np.ndarray]) -> np.ndarray:
    """(24, 3) metres."""
    return dense(body, "J_regressor", 24) @ body["v_template"]


@pytest.fixture(scope="module")
def keypoint_matrix(body: dict[str, np.ndarray]) -> np.ndarray:
    return dense(body, "keypoint_regressor", len(body["keypoint_names"]))


@pytest.fixture(scope="module")
def keypoints(body: dict[str, np.ndarray], keypoint_matrix: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(body["keypoint_names"].tolist(), keypoint_matrix @ body["v_template"], strict=True))


@pytest.fixture(scope="module")
def landmarks(face: dict[str, np.ndarray]) -> np.ndarray:
    """(68, 3) decimetres on the mean face."""
    return face["meanshape"].reshape(-1, 3)[face["keypoints"][0] - 1].astype(np.float64)


@pytest.mark.parametrize("name", ["body_anny.npz", "face_anny.npz"])
def test_readme_states_the_hash_of_the_committed_file(name: str) -> None:
    stated = re.search(rf"`{name}` \| `([0-9a-f]{{64}})`", (DATA / "README.md").read_text())
    assert stated is not None
    assert stated[1] == hashlib.sha256((DATA / name).read_bytes()).hexdigest()


def test_face_was_made_from_the_committed_body(face: dict[str, np.ndarray]) -> None:
    meta = json.loads(str(face["meta"]))
    assert meta["body_sha256"] == hashlib.sha256((DATA / "body_anny.npz").read_bytes()).hexdigest()


def test_provenance_is_inside_the_files(body: dict[str, np.ndarray], face: dict[str, np.ndarray]) -> None:
    for arrays in (body, face):
        meta = json.loads(str(arrays["meta"]))
        assert {"name", "source", "licence", "generator", "seed", "units"} <= set(meta)
        assert "CC0" in meta["licence"]


class TestBody:
    def test_schema(self, body: dict[str, np.ndarray]) -> None:
        vertices = len(body["v_template"])
        shapes = {
            "v_template": (vertices, 3), "shapedirs": (vertices, 3, 10), "weights": (vertices, 24),
            "kintree_table": (2, 24), "base_vertex": (vertices,), "joint_names": (24,), "keypoint_names": (124,),
        }  # fmt: skip
        for key, shape in shapes.items():
            assert body[key].shape == shape, key
        for key in ("v_template", "shapedirs", "weights", "J_regressor_val", "keypoint_regressor_val"):
            assert body[key].dtype == np.float32, key
            assert np.isfinite(body[key]).all(), key
        assert body["kintree_table"][0].tolist() == PARENTS
        assert body["kintree_table"][1].tolist() == list(range(24))
        assert (np.diff(body["base_vertex"]) > 0).all()
        assert body["base_vertex"].max() < 19158
        assert body["f"].shape[1] == 3
        assert set(np.unique(body["f"])) == set(range(vertices))

    def test_skin_weights_are_a_partition(self, body: dict[str, np.ndarray]) -> None:
        weights = body["weights"]
        assert weights.min() >= 0
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
        assert (weights > 0).sum(axis=1).max() <= 6
        assert (weights.max(axis=0) > 0.4).all()  # every joint holds some skin; least the collars

    def test_regressors_are_affine(self, body: dict[str, np.ndarray], keypoint_matrix: np.ndarray) -> None:
        np.testing.assert_allclose(dense(body, "J_regressor", 24).sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(keypoint_matrix.sum(axis=1), 1, atol=1e-5)

    def test_joints_are_mirror_images(self, joints: np.ndarray) -> None:
        for left, right in RIGHT_OF_LEFT.items():
            np.testing.assert_allclose(joints[left], joints[right] * [-1, 1, 1], atol=1e-4)
        midline = [0, 3, 6, 9, 12, 15]
        np.testing.assert_allclose(joints[midline, 0], 0, atol=2e-5)

    def test_it_stands_in_an_exact_t_pose(self, joints: np.ndarray) -> None:
        np.testing.assert_allclose(joints[0], [0, -0.22, 0.03], atol=2e-3)
        shoulder, elbow, wrist = joints[[16, 18, 20]]
        assert shoulder[0] > 0  # +x is the subject's left
        np.testing.assert_allclose((elbow - shoulder)[1:], 0, atol=5e-3)
        np.testing.assert_allclose((wrist - elbow)[1:], 0, atol=5e-3)
        spine = joints[[0, 3, 6, 9, 12, 15], 1]
        assert (np.diff(spine) > 0).all()
        hip, knee, ankle = joints[[1, 4, 7]]
        assert hip[1] > knee[1] > ankle[1]

    def test_body_is_a_human_adult_facing_z(
        self, body: dict[str, np.ndarray], keypoints: dict[str, np.ndarray]
    ) -> None:
        assert 1.55 < np.ptp(body["v_template"][:, 1]) < 1.80
        assert keypoints["ibug/30"][2] > keypoints["mediapipe/left_ear"][2] + 0.08

    def test_neck_is_where_the_face_frame_wants_it(self, joints: np.ndarray, keypoints: dict[str, np.ndarray]) -> None:
        offset = keypoints["ibug/30"] - joints[JOINT["neck"]]
        np.testing.assert_allclose(offset, [0, 0.146, 0.168], atol=6e-3)

    def test_betas_are_centred_and_ordered(self, body: dict[str, np.ndarray]) -> None:
        directions = body["shapedirs"].reshape(-1, 10).astype(np.float64)
        gram = directions.T @ directions
        norms = np.sqrt(np.diag(gram))
        np.testing.assert_allclose(gram / np.outer(norms, norms), np.eye(10), atol=1e-4)
        assert (np.diff(norms) < 0).all()
        assert norms[0] ** 2 > 0.8 * (norms**2).sum()

    def test_shape_keeps_the_body_symmetric(self, body: dict[str, np.ndarray]) -> None:
        regress = dense(body, "J_regressor", 24)
        for beta in range(10):
            moved = regress @ body["shapedirs"][:, :, beta]
            for left, right in RIGHT_OF_LEFT.items():
                np.testing.assert_allclose(moved[left], moved[right] * [-1, 1, 1], atol=3e-4)

    def test_keypoint_names_are_complete(self, body: dict[str, np.ndarray]) -> None:
        names = body["keypoint_names"].tolist()
        assert len(set(names)) == len(names)
        sizes = {"coco": 17, "foot": 6, "mediapipe": 33, "ibug": 68}
        for space, size in sizes.items():
            assert sum(name.startswith(f"{space}/") for name in names) == size

    def test_keypoints_are_mirror_images(self, keypoints: dict[str, np.ndarray]) -> None:
        for name, point in keypoints.items():
            space, short = name.split("/")
            if space != "ibug" and "left" in short:
                tolerance = 1e-4 if space == "mediapipe" else 6e-3  # the coco rows are not exactly symmetric
                mirrored = keypoints[f"{space}/{short.replace('left', 'right')}"] * [-1, 1, 1]
                np.testing.assert_allclose(point, mirrored, atol=tolerance, err_msg=name)

    def test_keypoints_lie_on_or_in_the_body(
        self, body: dict[str, np.ndarray], keypoints: dict[str, np.ndarray]
    ) -> None:
        for name, point in keypoints.items():
            distance = np.linalg.norm(body["v_template"] - point, axis=1).min()
            assert distance < 0.11, name
        for name in ("nose", "mouth_left", "left_ear", "left_eye", "left_eye_inner", "left_foot_index"):
            point = keypoints[f"mediapipe/{name}"]
            assert np.linalg.norm(body["v_template"] - point, axis=1).min() < 0.012, name

    @pytest.mark.parametrize("part", ["shoulder", "elbow", "wrist", "hip", "knee", "ankle"])
    def test_mediapipe_joint_points_stay_at_the_joint_when_it_bends(
        self, body: dict[str, np.ndarray], joints: np.ndarray, keypoint_matrix: np.ndarray, part: str
    ) -> None:
        joint = JOINT[f"left_{part}"]
        row = keypoint_matrix[body["keypoint_names"].tolist().index(f"mediapipe/left_{part}")]
        centred = body["v_template"] - joints[joint]
        below = body["weights"][:, _subtree(joint)].sum(axis=1)  # share of each vertex that turns with the joint
        for axis in np.eye(3):
            turned = centred @ _rotation(axis, 1.2).T
            posed = below[:, None] * turned + (1 - below[:, None]) * centred
            assert np.linalg.norm(row @ posed) < 2e-3

    def test_ibug_rows_are_single_vertices(self, body: dict[str, np.ndarray], keypoint_matrix: np.ndarray) -> None:
        rows = [i for i, name in enumerate(body["keypoint_names"].tolist()) if name.startswith("ibug/")]
        assert ((keypoint_matrix[rows] != 0).sum(axis=1) == 1).all()


def _subtree(joint: int) -> list[int]:
    inside = [joint]
    for child in range(joint + 1, 24):
        if PARENTS[child] in inside:
            inside.append(child)
    return inside


def _rotation(axis: np.ndarray, angle_rad: float) -> np.ndarray:
    cross = np.cross(np.eye(3), axis)
    return np.eye(3) - np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * cross @ cross


class TestFace:
    def test_schema(self, face: dict[str, np.ndarray]) -> None:
        n, t = face["meanshape"].size // 3, len(face["tri"])
        shapes = {
            "meanshape": (1, 3 * n), "meantex": (1, 3 * n), "idBase": (3 * n, 80), "exBase": (3 * n, 64),
            "texBase": (3 * n, 80), "tri": (t, 3), "point_buf": (n, 8), "keypoints": (1, 68), "skinmask": (1, n),
            "body_vertex": (n,), "base_vertex": (n,), "face_from_body": (3, 4),
        }  # fmt: skip
        for key, shape in shapes.items():
            assert face[key].shape == shape, key
            assert np.isfinite(face[key].astype(np.float64)).all(), key
        assert face["tri"].min() == 1
        assert face["tri"].max() == n
        assert face["frontmask2_idx"].shape[1] == 1
        front = set(face["frontmask2_idx"].ravel().tolist())
        assert set(face["tri_mask2"].ravel().tolist()) <= front <= set(range(1, n + 1))

    def test_point_buffer_lists_each_vertex_triangles(self, face: dict[str, np.ndarray]) -> None:
        triangles, padding = face["tri"], len(face["tri"]) + 1
        for vertex in range(1, len(face["point_buf"]) + 1, 97):
            listed = [row for row in face["point_buf"][vertex - 1].tolist() if row != padding]
            assert listed == (np.flatnonzero((triangles == vertex).any(axis=1)) + 1).tolist()

    def test_mean_lies_at_the_origin_as_the_3dmm_frame_wants(
        self, face: dict[str, np.ndarray], landmarks: np.ndarray
    ) -> None:
        np.testing.assert_allclose(face["meanshape"].reshape(-1, 3).mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(landmarks[30], [0, -0.05, 0.55], atol=0.08)

    def test_face_is_the_mean_body_face(self, face: dict[str, np.ndarray], body: dict[str, np.ndarray]) -> None:
        points = body["v_template"][face["body_vertex"]].astype(np.float64)
        moved = points @ face["face_from_body"][:, :3].T + face["face_from_body"][:, 3]
        np.testing.assert_allclose(moved, face["meanshape"].reshape(-1, 3), atol=1e-6)
        np.testing.assert_array_equal(face["face_from_body"][:, :3], 10 * np.eye(3))
        np.testing.assert_array_equal(body["base_vertex"][face["body_vertex"]], face["base_vertex"])

    def test_normals_point_outwards(self, face: dict[str, np.ndarray]) -> None:
        vertices = face["meanshape"].reshape(-1, 3)
        a, b, c = (vertices[face["tri"][:, i] - 1] for i in range(3))
        normals = np.cross(b - a, c - a)
        centres = (a + b + c) / 3 - [0, 0, -0.3]
        assert (np.einsum("ij,ij->i", normals, centres) > 0).mean() > 0.85

    @pytest.mark.parametrize("line", [range(9), range(27, 31)], ids=["jaw", "bridge"])
    def test_landmarks_divide_their_lines_evenly_as_ibug_does(self, landmarks: np.ndarray, line: range) -> None:
        steps = np.linalg.norm(np.diff(landmarks[list(line), :2], axis=0), axis=1)
        assert steps.max() < 2 * steps.min()
        assert np.abs(steps.cumsum() / steps.sum() - np.arange(1, len(line)) / (len(line) - 1)).max() < 0.08

    def test_landmarks_are_distinct_and_symmetric(self, face: dict[str, np.ndarray], landmarks: np.ndarray) -> None:
        assert len(set(face["keypoints"][0].tolist())) == 68
        np.testing.assert_allclose(landmarks, landmarks[MIRROR_68] * [-1, 1, 1], atol=1e-5)

    def test_landmarks_follow_the_ibug_layout(self, landmarks: np.ndarray) -> None:
        x, y, z = landmarks.T
        assert (np.diff(x[:17]) > -0.02).all()  # jaw runs from image left to image right
        assert (np.diff(y[:9]) < 0).all()  # down to the chin
        assert (np.diff(y[8:17]) > 0).all()
        assert y[8] == pytest.approx(y[:17].min(), abs=1e-3)
        assert (np.diff(x[17:27]) > 0).all()  # brows
        assert (np.diff(y[27:31]) < 0).all()  # down the nose
        assert (np.diff(z[27:31]) > 0).all()
        assert z[30] == pytest.approx(z.max())
        assert (np.diff(x[31:36]) > 0).all()
        assert (np.diff(x[[36, 37, 38, 39, 42, 43, 44, 45]]) > 0).all()  # eyes
        assert (np.diff(x[[48, 49, 50, 51, 52, 53, 54]]) > 0).all()  # lips
        assert (np.diff(x[[60, 61, 62, 63, 64]]) > 0).all()
        brow, eye, nose, mouth = y[17:27].min(), y[36:48], y[33], y[48:68].max()
        assert brow > eye.max()
        assert eye.min() > nose > mouth
        assert abs(y[[0, 16]] - y[[36, 45]]).max() < 0.1  # the jaw line starts at the eyes' height
        assert y[51] > y[62] > y[66] > y[57]  # lips closed, from top to bottom

    def test_face_measures_are_human(self, landmarks: np.ndarray) -> None:
        def millimetres(i: int, j: int) -> float:
            return 100 * float(np.linalg.norm(landmarks[i] - landmarks[j]))

        assert 80 < millimetres(36, 45) < 100  # outer eye corners
        assert 25 < millimetres(39, 42) < 40
        assert 40 < millimetres(48, 54) < 60
        assert 100 < millimetres(27, 8) < 135

    def test_identity_directions_are_orthogonal_and_ordered(self, face: dict[str, np.ndarray]) -> None:
        basis = face["idBase"].astype(np.float64)
        gram = basis.T @ basis
        norms = np.sqrt(np.diag(gram))
        np.testing.assert_allclose(gram / np.outer(norms, norms), np.eye(80), atol=5e-3)
        assert (np.diff(norms) < 1e-3 * norms[:-1]).all()

    def test_identity_leaves_the_head_in_place(self, face: dict[str, np.ndarray]) -> None:
        drift_dm = face["idBase"].reshape(-1, 3, 80).astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(drift_dm, 0, atol=2e-3)

    def test_expression_directions_are_independent(self, face: dict[str, np.ndarray]) -> None:
        basis = face["exBase"].astype(np.float64)
        gram = basis.T @ basis
        norms = np.sqrt(np.diag(gram))
        np.testing.assert_allclose(gram / np.outer(norms, norms), np.eye(64), atol=2e-2)
        assert (np.diff(norms) < 1e-3 * norms[:-1]).all()
        assert norms[-1] > 0

    def test_directions_are_symmetric_or_antisymmetric(
        self, face: dict[str, np.ndarray], landmarks: np.ndarray
    ) -> None:
        rows = face["keypoints"][0] - 1
        for key, count in (("idBase", 20), ("exBase", 8)):
            at_landmarks = face[key].reshape(-1, 3, face[key].shape[1])[rows].astype(np.float64)
            mirrored = at_landmarks[MIRROR_68] * np.array([-1, 1, 1])[:, None]
            for k in range(count):
                size = np.abs(at_landmarks[:, :, k]).max()
                same = np.abs(at_landmarks[:, :, k] - mirrored[:, :, k]).max()
                opposite = np.abs(at_landmarks[:, :, k] + mirrored[:, :, k]).max()
                assert min(same, opposite) < 0.15 * size, (key, k)  # the units are not quite symmetric

    def test_textures_stay_in_range(self, face: dict[str, np.ndarray]) -> None:
        rng = np.random.default_rng(3)
        fields = face["texBase"].astype(np.float64)
        draws = face["meantex"][0] + (fields @ rng.normal(size=(80, 50))).T
        assert draws.min() > 0
        assert np.percentile(draws, 99) < 255
        assert 10 < draws.std(axis=0).mean() < 40

    def test_skin_mask_leaves_out_lips_and_eyes(self, face: dict[str, np.ndarray]) -> None:
        skin, keys = face["skinmask"][0], face["keypoints"][0] - 1
        assert set(np.unique(skin)) == {0.0, 1.0}
        assert skin.mean() > 0.8
        assert (skin[keys[[62, 66]]] == 0).all()  # inside the lips
        assert (skin[keys[[30, 8, 27]]] == 1).all()
