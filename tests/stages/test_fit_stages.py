"""body, face and camera on one synthetic person, from key points to labels."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dataprep.errors import AssetError, ConfigError
from dataprep.fits.body.detector_errors import load_detector
from dataprep.fits.body.random_people import CAM_FROM_UPRIGHT
from dataprep.fits.canonical_head import canonical_head
from dataprep.fits.face.blendshape_response import response_of
from dataprep.fits.face.contour import contour_of
from dataprep.fits.face.landmark_errors import load_landmark_errors
from dataprep.fits.generator_labels import (
    global_rotation,
    rotations_from_joints_zyx,
    rotations_from_rotvecs,
    turn_in_picture,
)
from dataprep.frames import geometry
from dataprep.frames.face_frames import CAM_FROM_GL, head_from_3dmm
from dataprep.frames.rotations import matrix_from_zyx
from dataprep.frames.smpl_joints import CHEST, HEAD, NECK, POSED_JOINTS
from dataprep.models.body.body_points import PosedPoints, body_points
from dataprep.models.body.mediapipe_points import MEDIAPIPE_INDEX, POINT_NAMES
from dataprep.models.body.openpose_points import coco_points
from dataprep.models.body.smpl import load_body
from dataprep.models.detection.blendshapes import BLENDSHAPES
from dataprep.models.face.bfm import load_face
from dataprep.models.regressors.mhr_joints import NECK as MHR_NECK
from dataprep.pictures.codecs import decode_rgb, encode_png
from dataprep.stages.base import Item, Stage
from dataprep.stages.body import Body
from dataprep.stages.camera import Camera
from dataprep.stages.crop import portrait_square
from dataprep.stages.face import Face
from dataprep.tables.columns import rows_from_table, table_from_rows
from tests.face_labels import generators_face_pitch_yaw
from tests.onnx_files import joints_from_world, write_joints

SCALE_PX, OFFSET_PX = 480.0, np.array([300.0, 420.0])
MEDIAPIPE_33 = tuple(name for name in load_body().keypoint_names if name.startswith("mediapipe/"))


def degrees(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(Rotation.from_matrix(a.T @ b).magnitude()))


def landmarks_of(posed: PosedPoints) -> np.ndarray:
    """The shipped face's 68 points (68, 3) in metres on a posed body: the jaw slides, all of it moves with the head."""
    face = load_face()
    assert face.face_from_body is not None
    head = posed.rotations[0, HEAD].double().numpy()
    points_dm, _ = contour_of(face).landmarks(*face.landmark_bases(), CAM_FROM_GL @ head, np.zeros(144))
    straight = body_points(load_body(), MEDIAPIPE_33)(torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 10))
    from_joint_m = (points_dm - face.face_from_body[:, 3]) / 10 - straight.joints[0, HEAD].double().numpy()
    return from_joint_m @ head.T + posed.joints[0, HEAD].double().numpy()


def as_mediapipe_sees_it(keypoints: PosedPoints) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image points, world points and landmarks in metres, with the detector's measured offsets and no noise."""
    detector = load_detector()
    image = keypoints.points[0].double().numpy()
    rows = list(MEDIAPIPE_INDEX.values())
    carriers = body_points(load_body(), POINT_NAMES).mass_KJ.argmax(1)
    turns = keypoints.rotations[0, carriers].double().numpy()
    image[rows] += (turns @ detector.image_offset_m[..., None])[..., 0]
    world = image.copy()
    world[rows] += (turns @ detector.world_offset_m[..., None])[..., 0]
    head = keypoints.rotations[0, HEAD].double().numpy()
    offset_dm = load_landmark_errors().at(CAM_FROM_GL @ head)
    return image, world, landmarks_of(keypoints) + offset_dm @ head.T / 10


@pytest.fixture(scope="module")
def person() -> dict[str, Any]:
    """Arms down, body turned 20 degrees, head turned 30 more and tilted; weak perspective, no noise."""
    angles = np.zeros((24, 3))
    angles[[16, 17]] = [[-65, 0, 0], [65, 0, 0]]
    angles[NECK], angles[HEAD] = (4, 14, 5), (6, 16, 6)
    rotations = matrix_from_zyx(torch.from_numpy(np.radians(angles))).float()[None]
    turn = torch.from_numpy(Rotation.from_euler("yz", [20, 4], degrees=True).as_matrix()).float()
    rotations[:, 0] = CAM_FROM_UPRIGHT @ turn
    betas = torch.zeros(1, 10)
    posed: PosedPoints = body_points(load_body(), MEDIAPIPE_33)(rotations, betas)
    image, world, landmarks = as_mediapipe_sees_it(posed)
    pixels = SCALE_PX * image[:, :2] + OFFSET_PX
    row = {
        "source_width": 900,
        "source_height": 1200,
        "keypoints33": np.column_stack((pixels, np.ones(33))).astype(np.float32),
        "keypoints33_world_m": (world - world[23:25].mean(0)).astype(np.float32),
        "landmarks68_px": (SCALE_PX * landmarks[:, :2] + OFFSET_PX).astype(np.float32),
    }
    return {"row": row, "posed": posed, "rotations": rotations[0].double().numpy()}


def run(stage: Stage, row: dict[str, Any], blobs: dict[str, bytes] | None = None) -> tuple[dict[str, Any], Any]:
    """The stage's columns as they come back from the store, and its result."""
    read: Callable[[str], bytes] = (blobs or {}).__getitem__
    (result,) = stage.process([Item("0" * 32, row, Path("."), read)], stage.load())
    assert result.status == "ok", result.message
    assert set(result.columns) == {column.name for column in stage.columns}
    (stored,) = rows_from_table(table_from_rows(stage.columns, [result.columns]))
    return stored, result


@pytest.fixture(scope="module")
def story(person: dict[str, Any]) -> dict[str, Any]:
    row = dict(person["row"])
    row |= run(Body(max_steps=3, stop_loss=0.0), row)[0]
    square = portrait_square(row["neck_cam_m"], row["chest_rotation_cam"], row["body_camera"])
    row |= {"crop_roll_rad": square.roll_rad, "crop_centre_px": square.centre_px, "crop_side_px": square.side_px}
    row["crop_from_source"] = geometry.square_from_source(
        square.centre_px, square.side_px, square.roll_rad, 512
    ).astype(np.float32)
    portrait = encode_png(np.full((512, 512, 3), 150, np.uint8))
    stored, result = run(Face(), row, {"portrait.png": portrait})
    row |= stored
    row |= run(Camera(), row)[0]
    return row | {"face.png": result.blobs["face.png"]}


def test_body_finds_the_person(story: dict[str, Any], person: dict[str, Any]) -> None:
    posed = person["posed"]
    assert story["body_camera"][0] == pytest.approx(SCALE_PX, rel=0.06)
    true_px = SCALE_PX * posed.joints[0, :, :2].numpy() + OFFSET_PX
    error = np.linalg.norm(story["smpl_joints_px"] - true_px, axis=1) / (geometry.PORTRAIT_SIDE_M * SCALE_PX)
    assert error[[NECK, HEAD]].max() < 0.04
    assert degrees(story["chest_rotation_cam"], posed.rotations[0, CHEST].numpy()) < 12


def with_photograph(row: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The person's row as ingest and detect give it, with a photograph to read."""
    data = encode_png(np.full((1200, 900, 3), 127, np.uint8))
    (folder / "photo.png").write_bytes(data)
    source = {"source_path": "photo.png", "source_sha256": hashlib.sha256(data).digest()}
    return row | source | {"person_bbox_px": np.array([200.0, 150.0, 420.0, 1100.0])}


def test_joints_from_pixels_take_the_place_of_world_landmarks(person: dict[str, Any], tmp_path: Path) -> None:
    """The same joints, the same fit; a body that they show turned further is fitted turned further."""
    row = with_photograph(person["row"], tmp_path)
    joints = joints_from_world(row["keypoints33_world_m"])
    plain = run(Body(method="map"), row)[0]
    turned = joints @ Rotation.from_euler("y", 25, degrees=True).as_matrix().T
    fits = {}
    for name, shown in (("same", joints), ("turned", turned)):
        path = write_joints(tmp_path / f"{name}.onnx", shown, np.array([0.0, 0.0, 5.0]) - shown[MHR_NECK])
        stage = Body(method="map", regressor=str(path), device="cpu")
        (result,) = stage.process([Item("0" * 32, row, tmp_path, {}.__getitem__)], stage.load())
        assert result.status == "ok", result.message
        fits[name] = result.columns
        assert fits[name]["body_regressor"] == f"{name}.onnx"
        assert f"{name}.onnx" in {weight.name for weight in stage.weights()}
    np.testing.assert_allclose(fits["same"]["chest_rotation_cam"], plain["chest_rotation_cam"], atol=1e-5)
    np.testing.assert_allclose(fits["same"]["body_camera"], plain["body_camera"], rtol=1e-5)
    assert degrees(fits["turned"]["chest_rotation_cam"], plain["chest_rotation_cam"]) > 5


def test_a_regressor_is_a_name_or_an_onnx_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"body\.regressor=spin: expected lifter, hmr or an \.onnx file"):
        Body(regressor="spin")
    with pytest.raises(AssetError, match=r"body\.regressor=none\.onnx: no such file"):
        Body(regressor="none.onnx").weights()


def test_every_fit_is_on_record(story: dict[str, Any]) -> None:
    """Method, start, steps, loss before and after, error in pixels and in EFT's form, and whether the fit was kept."""
    assert (story["body_fit_method"], story["body_regressor"]) == ("eft", "lifter")
    assert story["body_fit_iterations"] == 3
    assert 0 < story["body_fit_portrait_rmse"] < 1.5 * story["body_fit_rmse"]
    assert story["body_fit_portrait_rmse_relative"] == pytest.approx(
        story["body_fit_portrait_rmse"] / (geometry.PORTRAIT_SIDE_M * story["body_camera"][0])
    )
    assert story["body_face_scale"] == pytest.approx(SCALE_PX, rel=0.05)
    assert story["body_openpose_points"] == 0
    points = story["keypoints33"][list(MEDIAPIPE_INDEX.values()), :2]
    points = points[((points >= 0) & (points <= [story["source_width"], story["source_height"]])).all(-1)]
    assert 0 < story["body_fit_points"] == len(points) < 23  # some lie above the picture
    assert story["body_fit_loss"] < story["body_fit_loss_before"]
    assert not story["body_fit_fallback"]
    half_crop_px = 0.6 * np.ptp(points, axis=0).max()
    squared_px = 98 * story["body_fit_loss49"] * half_crop_px**2  # over the 17 of the 49 joints that are seen
    of_all_px = len(points) * story["body_fit_rmse"] ** 2
    assert 0.2 * of_all_px < squared_px < of_all_px
    assert story["body_fit_rmse_relative"] == pytest.approx(
        story["body_fit_rmse"] / (geometry.PORTRAIT_SIDE_M * story["body_camera"][0])
    )


def test_body_columns_agree_with_each_other(story: dict[str, Any]) -> None:
    """Neck, chest rotation and projected joints follow from the stored pose and camera."""
    rotvecs = np.concatenate((story["smpl_global_orient"][None], story["smpl_body_pose_first"]))
    rotations = torch.from_numpy(Rotation.from_rotvec(rotvecs).as_matrix()).float()[None]
    posed = body_points(load_body(), MEDIAPIPE_33)(rotations, torch.from_numpy(story["smpl_betas"])[None])
    scale, offset = story["body_camera"][0], story["body_camera"][1:]
    np.testing.assert_allclose(story["neck_cam_m"], posed.joints[0, NECK], atol=1e-5)
    np.testing.assert_allclose(story["chest_rotation_cam"], posed.rotations[0, CHEST], atol=1e-5)
    np.testing.assert_allclose(story["smpl_joints_px"], scale * posed.joints[0, :, :2].numpy() + offset, atol=0.02)


def test_the_face_stage_takes_blendshapes_for_evidence(story: dict[str, Any]) -> None:
    """Blendshapes of a lowered jaw, read off the row, lower the chin of the fitted face; one missing is none read."""
    response = response_of(load_face())
    assert response is not None
    read = dict(zip(BLENDSHAPES, response.rest.tolist(), strict=True)) | {"jawOpen": 0.8}
    portrait = {"portrait.png": encode_png(np.full((512, 512, 3), 150, np.uint8))}
    opened = run(Face(), story | read, portrait)[0]["bfm_exp"]
    chin_dm = load_face().exp_base[load_face().landmarks[8], 1].astype(np.float64)
    assert chin_dm @ opened < chin_dm @ story["bfm_exp"] - 0.01
    missing = run(Face(), story | read | {"eyeBlinkLeft": None}, portrait)[0]
    np.testing.assert_array_equal(missing["bfm_exp"], story["bfm_exp"])


def test_face_and_tie_find_the_head(story: dict[str, Any], person: dict[str, Any]) -> None:
    tied = rotations_from_rotvecs(story["smpl_global_orient"], story["smpl_body_pose"])
    truth = person["posed"].rotations[0, HEAD].numpy()
    assert degrees(global_rotation(tied, HEAD), truth) < 4
    assert story["head_disagreement"] < story["head_disagreement_before"]
    assert story["face_fit_rmse"] < 4
    assert degrees(global_rotation(tied, CHEST), story["chest_rotation_cam"]) < 0.01


def test_camera_labels_describe_the_tied_pose(story: dict[str, Any]) -> None:
    tied = Rotation.from_rotvec(story["smpl_body_pose"]).as_matrix()
    np.testing.assert_allclose(
        rotations_from_joints_zyx(story["joints_zyx"].astype(np.float64)), tied[[11, 12, 13, 14, 15, 16]], atol=1e-5
    )
    yaw_deg = np.degrees(story["camera_pitch_yaw"][1]) - 90
    assert yaw_deg == pytest.approx(20, abs=8)  # turned to their left: the camera stands on their right
    assert np.degrees(story["yaw"]) == pytest.approx(50, abs=6)  # the head faces image right


def test_the_face_camera_is_where_the_generator_has_it(story: dict[str, Any]) -> None:
    """Its own label, from joints and portrait camera, differs by what the tie leaves; the 3DMM's axes by 9 degrees."""
    (expected,) = generators_face_pitch_yaw(story["joints_zyx"][None], story["camera_pitch_yaw"][None])
    left_rad = story["head_disagreement"] + 1e-3
    assert np.degrees(left_rad) < 3
    assert np.abs(story["face_pitch_yaw"] - expected).max() < left_rad


def test_the_body_stands_where_the_portrait_shows_it(story: dict[str, Any]) -> None:
    """Orientation, translation and intrinsics of the portrait camera against the fit's joints in the crop."""
    rotvecs = np.concatenate((story["smpl_global_orient_portrait"][None], story["smpl_body_pose_first"]))
    rotations = torch.from_numpy(Rotation.from_rotvec(rotvecs).as_matrix()).float()[None]
    posed = body_points(load_body(), MEDIAPIPE_33)(rotations, torch.from_numpy(story["smpl_betas"])[None])
    up = posed.rotations[0, CHEST].numpy()[:, 1]
    look_at = posed.joints[0, NECK].numpy() + geometry.LOOKAT_ABOVE_NECK_M * up + story["smpl_transl"]
    np.testing.assert_allclose(look_at, [0, 0, geometry.BODY_UNIT_M], atol=1e-5)
    assert abs(up[0]) < 1e-5  # upright: the crop took the roll out
    shoulders = [12, 13, 14, 16, 17]
    placed = posed.joints[0, shoulders].numpy() + story["smpl_transl"]
    projected = 512 * (placed @ story["intrinsics"].T)[:, :2] / placed[:, 2:]
    shown = geometry.transform(story["crop_from_source"].astype(np.float64), story["smpl_joints_px"][shoulders])
    assert np.abs(projected - shown).max() < 8  # a near camera against the fit's infinitely far one


def test_the_generators_camera_is_near_the_fitted_one(story: dict[str, Any]) -> None:
    """What is left is perspective: it goes with the joints' depth, and the portrait's own matrix measures the same."""
    joints = list(POSED_JOINTS)
    shown = geometry.transform(story["crop_from_source"].astype(np.float64), story["smpl_joints_px"][joints])
    placed = story["smpl_joints_cam_m"][joints] - story["smpl_joints_cam_m"][0]
    pelvis = (story["smpl_joints_px"][0] - story["body_camera"][1:]) / story["body_camera"][0]
    upright = placed @ turn_in_picture(-story["crop_roll_rad"]).T + [*pelvis, 0] + story["smpl_transl"]
    upright[:, 2] += story["smpl_joints_cam_m"][0, 2]
    seen = 512 * (upright @ story["intrinsics"].T)[:, :2] / upright[:, 2:]
    displaced = seen - shown
    assert story["generator_camera_rms"] == pytest.approx(np.sqrt((displaced**2).sum(1).mean()), abs=0.05)
    np.testing.assert_allclose(story["generator_camera_shift"], displaced.mean(0), atol=0.05)
    assert 0.1 < story["generator_camera_rms"] < 12


def test_a_person_without_depth_looks_the_same_to_both_cameras(story: dict[str, Any]) -> None:
    """Joints in the plane through the look-at point, across the camera's axis: both cameras agree to a hundredth."""
    row = dict(story)
    chest = global_rotation(rotations_from_rotvecs(row["smpl_global_orient"], row["smpl_body_pose_first"]), CHEST)
    row["smpl_joints_cam_m"] = row["smpl_joints_cam_m"].copy()
    row["smpl_joints_cam_m"][:, 2] = (row["neck_cam_m"] + geometry.LOOKAT_ABOVE_NECK_M * chest[:, 1])[2]
    stored, _ = run(Camera(), row)
    assert stored["generator_camera_rms"] < 0.01
    row["body_camera"] = row["body_camera"] + np.array([0, 12.0, 0], np.float32)
    moved, _ = run(Camera(), row)
    shift_px = 12.0 * 512 / row["crop_side_px"]
    turn = turn_in_picture(-row["crop_roll_rad"])[:2, :2]
    np.testing.assert_allclose(moved["generator_camera_shift"], turn @ [-shift_px, 0], atol=0.02)
    assert moved["generator_camera_rms"] == pytest.approx(shift_px, abs=0.02)


def test_face_crop_holds_the_face_in_its_middle(story: dict[str, Any]) -> None:
    assert decode_rgb(story["face.png"]).shape == (256, 256, 3)
    landmarks = geometry.transform(story["face_from_portrait"].astype(np.float64), story["landmarks68"])
    assert ((landmarks > 20) & (landmarks < 236)).all()
    eyes, mouth = landmarks[36:48].mean(0), landmarks[48:68].mean(0)
    assert abs(eyes[0] - mouth[0]) < 0.5 * abs(eyes[1] - mouth[1])  # upright, though turned


def test_face_crop_stands_upright_with_the_head_that_the_generator_turns(story: dict[str, Any]) -> None:
    """The face camera's up is that head's; the 3DMM's leans by degrees in the crop, as the head is turned aside."""
    face = head_from_3dmm(story["bfm_angle"].astype(np.float64))
    leans_deg = []
    for head in (canonical_head(face, np.eye(3)), face):
        up = story["face_from_portrait"][:, :2] @ (CAM_FROM_GL @ head)[:2, 1]
        leans_deg.append(np.degrees(np.arctan2(up[0], -up[1])))
    assert leans_deg[0] == pytest.approx(0, abs=0.01)
    assert abs(leans_deg[1]) > 3


def test_without_the_tie_the_first_fit_stands(story: dict[str, Any]) -> None:
    stored, _ = run(Camera(tie_head=False), story)
    np.testing.assert_allclose(stored["smpl_body_pose"], story["smpl_body_pose_first"], atol=1e-5)
    assert not stored["head_tied"]


def test_map_method_takes_a_batch_and_keeps_order(person: dict[str, Any]) -> None:
    good, hidden = person["row"], dict(person["row"])
    hidden["keypoints33"] = hidden["keypoints33"] * [1, 1, 0]
    stage = Body(method="map")
    items = [Item(str(i), row, Path("."), {}.__getitem__) for i, row in enumerate((good, hidden, good))]
    results = stage.process(items, stage.load())
    assert [r.status for r in results] == ["ok", "rejected", "ok"]
    assert results[1].reason == "too_few_keypoints"
    np.testing.assert_allclose(results[0].columns["body_camera"], results[2].columns["body_camera"], rtol=1e-5)
    assert results[0].columns["body_fit_method"] == "map"


def test_supplied_openpose_points_take_part(person: dict[str, Any]) -> None:
    """Two noisy elbows of MediaPipe's are put right by OpenPose's; points of another resolution are left out."""
    rotations = torch.from_numpy(person["rotations"]).float()[None]
    posed = coco_points(load_body())(rotations, torch.zeros(1, 10))
    openpose = np.column_stack((SCALE_PX * posed.points[0, :, :2].numpy() + OFFSET_PX, np.ones(25))).astype(np.float32)
    row = dict(person["row"], keypoints33=person["row"]["keypoints33"].copy())
    row["keypoints33"][[13, 14], :2] += 30.0
    fits = {}
    for name, points in (("none", None), ("theirs", openpose), ("another", openpose * [2, 2, 1])):
        fits[name] = run(Body(method="map"), row | {"openpose25": points})[0]
    assert [fits[name]["body_openpose_points"] for name in fits] == [0, 25, 0]
    np.testing.assert_array_equal(fits["none"]["smpl_joints_px"], fits["another"]["smpl_joints_px"])
    true_px = SCALE_PX * person["posed"].joints[0, [18, 19], :2].numpy() + OFFSET_PX
    off = {name: np.linalg.norm(fit["smpl_joints_px"][[18, 19]] - true_px, axis=1).mean() for name, fit in fits.items()}
    assert off["theirs"] < 0.75 * off["none"]
    ignored = run(Body(method="map", openpose=False), row | {"openpose25": openpose})[0]
    np.testing.assert_array_equal(ignored["smpl_joints_px"], fits["none"]["smpl_joints_px"])


def test_unknown_method_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"body\.method"):
        Body(method="guess")  # type: ignore[arg-type]


def test_stages_name_their_models() -> None:
    assert {w.name for w in Body(face_scale=False).weights()} == {"body_anny", "lifter"}
    assert {w.name for w in Body().weights()} == {"body_anny", "lifter", *(w.name for w in Face().weights())}
    assert all(len(w.sha256) == 64 for stage in (Body(), Face(), Camera()) for w in stage.weights())
