"""Labels of rendered people: what was asked of the generator's body comes back, and its cameras see the same points."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dataprep.fits.canonical_head import canonical_head, face_pitch_yaw
from dataprep.fits.generator_labels import generator_pixels, rotations_from_joints_zyx, view_from_cam
from dataprep.fits.head_tie import head_offset_between
from dataprep.frames.face_frames import CAM_FROM_GL, roll_of
from dataprep.frames.geometry import LOOKAT_ABOVE_NECK_M
from dataprep.frames.smpl_joints import POSED_JOINTS
from dataprep.models.body.smpl import load_body
from dataprep.models.face.bfm import load_face
from dataprep.models.shipped import SHIPPED_FOLDER
from gan.config import GeneratorConfig
from gan.rendering.body_arrays import body_arrays
from gan.rendering.both_views import face_label
from gan.rendering.cameras import face_camera, portrait_camera, project
from gan.rendering.mannequin import mannequin
from gan.rendering.posed_body import PosableBody
from tools.render import exact_truth
from tools.render import generator_views as views
from tools.render.figure import Figure
from tools.render.makehuman_assets import BASE_VERTICES
from tools.render.poses import CHEST, NECK
from tools.render.scene import SceneCamera
from tools.standins.anny_base import chain_joints

MODELS = SHIPPED_FOLDER
SIZE_PX = 256
BETAS = np.array([1.0, -0.5, 0.4, 0.0, 0.8, -1.2, 0.3, 0.0, 0.2, -0.4])
ZYX = np.array(
    [[0.1, 0.3, -0.1], [0.05, 0.0, 0.1], [0.0, 0.1, 0.0], [-0.1, 0.4, 0.2], [0.2, -0.1, 0.0], [-0.1, 0.1, 0.2]]
)
CAMERAS = [(1.4, 1.2), (np.pi / 2, np.pi / 2), (1.7, 2.1)]


def posed_by_the_generator() -> torch.Tensor:
    """Vertices (V, 3) in face units."""
    body = load_body()
    model = PosableBody(body_arrays(body), np.arange(len(body.v_template)))
    return model(tensor(BETAS), tensor(ZYX)).vertices_BV3[0]


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.asarray(values)[None], dtype=torch.float32)


@pytest.fixture(scope="module")
def sitter() -> views.Sitter:
    """A body as the generator poses it, put turned and leaning into a scene as a figure."""
    standin = exact_truth.StandIn.load(MODELS)
    tpose = np.zeros((BASE_VERTICES, 3))
    tpose[standin.body_vertex] = standin.body_mean_m + standin.shape_dirs_m @ BETAS
    local = np.tile(np.eye(3), (24, 1, 1))
    local[0] = np.diag([1.0, -1.0, -1.0]) @ Rotation.from_euler("zyx", (0.1, 0.5, -0.2)).as_matrix()
    local[list(POSED_JOINTS)] = rotations_from_joints_zyx(ZYX)
    rotations, joints = chain_joints(standin.skeleton.joints_m(tpose), local)
    shift = np.array([0.3, -0.2, 5.0])
    body = posed_by_the_generator().double().numpy() * views.FACE_UNIT_M
    neck_to_origin = np.array(views.FACE_ORIGIN_BODY) * views.BODY_UNIT_M
    posed = np.zeros((BASE_VERTICES, 3))
    posed[standin.body_vertex] = (body + neck_to_origin) @ rotations[CHEST].T + joints[NECK] + shift
    figure = Figure(
        SceneCamera(900, 900, 256, 512, 512, 1024), [], local, rotations, joints + shift, posed, tpose, tpose
    )
    return views.Sitter.of(figure, standin, views.NeckedBody.of(body_arrays(load_body())))


def test_codes_come_back(sitter: views.Sitter) -> None:
    np.testing.assert_allclose(sitter.joints_zyx, ZYX, atol=1e-6)
    np.testing.assert_allclose(sitter.bfm_exp, 0, atol=1e-4)
    np.testing.assert_allclose(sitter.betas, BETAS, atol=0.2)  # the ridge's part, in directions that change little
    body = views.NeckedBody.of(body_arrays(load_body()))
    np.testing.assert_allclose(body.shape_dirs_m @ sitter.betas, body.shape_dirs_m @ BETAS, atol=1e-3)


@pytest.mark.parametrize("camera", CAMERAS)
def test_portrait_shows_points_where_the_generators_camera_has_them(
    sitter: views.Sitter, camera: tuple[float, float]
) -> None:
    view = sitter.portrait(np.array(camera), SIZE_PX)
    shown = view.camera.project(view.seen(sitter.figure.base_cam_m[sitter.standin.body_vertex]))
    generator = portrait_camera(GeneratorConfig())
    expected = project(posed_by_the_generator()[None], tensor(np.array(camera)), generator)[0][0].numpy()
    np.testing.assert_allclose(shown, (expected / 2 + 0.5) * SIZE_PX, atol=0.02)


@pytest.mark.parametrize("camera", CAMERAS)
def test_face_camera_goes_with_the_head(sitter: views.Sitter, camera: tuple[float, float]) -> None:
    label = sitter.face_pitch_yaw(np.array(camera))
    view = sitter.face(label, SIZE_PX)
    shown = view.camera.project(view.seen(sitter.figure.base_cam_m[sitter.standin.landmark_vertex]))
    head = sitter.posed_from_canonical_head
    rows = np.searchsorted(sitter.standin.body_vertex, sitter.standin.landmark_vertex)
    canonical = (posed_by_the_generator().double().numpy()[rows] - head[:, 3]) @ head[:, :3]
    expected = project(tensor(canonical), tensor(label), face_camera(GeneratorConfig()))[0][0].numpy()
    np.testing.assert_allclose(shown, (expected / 2 + 0.5) * SIZE_PX, atol=0.02)


def test_face_label_is_the_generators_but_for_the_heads_place(sitter: views.Sitter) -> None:
    generator, _ = mannequin(load_body())
    for camera in CAMERAS:
        theirs = face_label(generator, tensor(BETAS), tensor(ZYX), tensor(np.array(camera)))[0].numpy()
        np.testing.assert_allclose(sitter.face_pitch_yaw(np.array(camera)), theirs, atol=0.06)


def true_face(sitter: views.Sitter, camera: tuple[float, float]) -> np.ndarray:
    """The 3DMM's rotation (3, 3), GL axes, as a portrait camera sees it along the ray to the head's centre."""
    view = sitter.portrait(np.array(camera), SIZE_PX)
    centre_m = sitter.posed_from_canonical_head[:, 3] * views.FACE_UNIT_M
    in_chest_m = centre_m + np.array(views.FACE_ORIGIN_BODY) * views.BODY_UNIT_M
    at = view.seen(sitter.figure.joints_cam_m[NECK] + sitter.figure.rotations_cam[CHEST] @ in_chest_m)
    posed = view.seen(sitter.figure.base_cam_m)
    head = exact_truth.head_rotation(sitter.standin, posed, sitter.bfm_id, sitter.bfm_exp)
    return CAM_FROM_GL @ view_from_cam(at) @ CAM_FROM_GL @ head


@pytest.mark.parametrize("camera", CAMERAS)
def test_face_label_is_what_photographs_get_of_the_true_head(sitter: views.Sitter, camera: tuple[float, float]) -> None:
    """The 3DMM is fitted to a mean face here, and the neck's skin moves it by 0.2 degrees: the nod is 9."""
    said = face_pitch_yaw(true_face(sitter, camera), head_offset_between(load_face(), load_body()))
    np.testing.assert_allclose(said, sitter.face_pitch_yaw(np.array(camera)), atol=0.02)


@pytest.mark.parametrize("camera", CAMERAS)
def test_face_picture_stands_as_the_face_crop_of_a_photograph(
    sitter: views.Sitter, camera: tuple[float, float]
) -> None:
    """From portrait to face picture landmarks turn by the roll that the crop takes out."""
    points_m = sitter.figure.base_cam_m[sitter.standin.landmark_vertex]
    shots = (sitter.portrait(np.array(camera), SIZE_PX), sitter.face(sitter.face_pitch_yaw(np.array(camera)), SIZE_PX))
    portrait, face = (shot.camera.project(shot.seen(points_m)) @ [1, 1j] for shot in shots)
    turned_rad = np.angle(np.vdot(portrait - portrait.mean(), face - face.mean()))
    roll_rad = roll_of(canonical_head(true_face(sitter, camera), np.eye(3)))
    assert turned_rad == pytest.approx(-roll_rad, abs=np.radians(1))


def test_label_row_agrees_with_itself(sitter: views.Sitter) -> None:
    row = sitter.label_row(np.array(CAMERAS[0]))
    chest, neck = sitter.figure.rotations_cam[CHEST], sitter.figure.joints_cam_m[NECK]
    look_at = neck + LOOKAT_ABOVE_NECK_M * chest[:, 1]
    points = sitter.figure.base_cam_m[sitter.standin.landmark_vertex]
    by_labels = generator_pixels(points - look_at, chest, row["cam2world"], views.LABEL_PX)
    inner = slice(17, 68)  # the far jaw is where the picture's outline is, not at a vertex
    np.testing.assert_allclose(row["landmarks68"][inner], by_labels[inner], atol=0.02)


def test_own_camera_looks_as_the_photograph_did(sitter: views.Sitter) -> None:
    view = sitter.portrait(sitter.own_pitch_yaw(), SIZE_PX)
    look_at = view.seen(np.zeros(3)) - view.seen(view.eye_m)
    np.testing.assert_allclose(np.abs(look_at[:2] / look_at[2]), 0, atol=1e-6)  # the photograph's camera is on its axis


def test_drawn_cameras_see_the_face(sitter: views.Sitter) -> None:
    first = list(islice(views.drawn_cameras(sitter, np.random.default_rng(1)), 30))
    again = list(islice(views.drawn_cameras(sitter, np.random.default_rng(1)), 3))
    np.testing.assert_array_equal(first[:3], again)
    np.testing.assert_array_equal(first[0], sitter.own_pitch_yaw())
    off = np.abs(np.array(first[1:]) - np.pi / 2)
    assert (off <= [views.FARTHEST_PITCH_RAD, views.FARTHEST_YAW_RAD]).all()
    face_yaw = np.array([sitter.face_pitch_yaw(camera)[1] for camera in first[1:]])
    assert np.abs(face_yaw - np.pi / 2).max() <= views.FARTHEST_YAW_RAD
    assert np.std(first[1:], axis=0)[1] > 0.2
