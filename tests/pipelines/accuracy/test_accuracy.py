"""The accuracy tool reads zero for the truth itself, and the size of an error that we put in."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dataprep.errors import ConfigError
from dataprep.fits.generator_labels import canonical_rotation, pitch_yaw, turn_in_picture, view_from_cam
from dataprep.frames import geometry
from dataprep.frames.face_frames import CAM_FROM_GL, angle_from_head
from pipelines.accuracy.photographs import sample_errors
from pipelines.accuracy.truth_files import read_truth

TRUTH = sorted((Path(__file__).parents[3] / "samples" / "truth").rglob("*.jpg.json"))


def perfect_row(truth):
    """The labels that the pipeline would write if it knew the truth (head and chest share the head's ray here)."""
    crop = truth.content["crop"]
    roll = crop["roll_rad"]
    matrix = geometry.square_from_source(np.array(crop["centre_px"]), crop["side_px"], roll, 512)
    rotations = truth.array("rotations_local")
    face = turn_in_picture(roll).T @ view_from_cam(truth.array("joints_cam_m")[15]) @ CAM_FROM_GL
    face = CAM_FROM_GL @ face @ truth.array("head_from_3dmm")
    head = view_from_cam(truth.array("joints_cam_m")[15]) @ truth.array("rotations_cam")[15]
    rotvecs = Rotation.from_matrix(rotations).as_rotvec()
    rotvecs[0] = Rotation.from_matrix(view_from_cam(truth.array("joints_cam_m")[15]) @ rotations[0]).as_rotvec()
    return {
        "crop_from_source": matrix, "crop_centre_px": np.array(crop["centre_px"]), "crop_side_px": crop["side_px"],
        "crop_roll_rad": roll, "landmarks68": geometry.transform(matrix, truth.array("landmarks68_px")),
        "smpl_joints_px": truth.array("joints_px"), "bfm_angle": angle_from_head(face), "mask_supplied": True,
        "face_pitch_yaw": pitch_yaw(head @ canonical_rotation(15).T), "smpl_global_orient": rotvecs[0],
        "smpl_body_pose": rotvecs[1:], "smpl_body_pose_first": rotvecs[1:],
    }  # fmt: skip


@pytest.fixture(params=TRUTH[::6], ids=lambda path: path.name)
def truth(request):
    return read_truth(request.param)


def test_truth_has_no_error(truth, tmp_path):
    errors = sample_errors(perfect_row(truth), truth, tmp_path)
    chest = errors.pop("chest_smpl_deg")
    assert max(errors.values()) < 1e-3, errors
    assert chest < 8  # the chest is seen along another ray than the head


def test_errors_have_the_size_we_put_in(truth, tmp_path):
    row = perfect_row(truth)
    row["landmarks68"] = row["landmarks68"] + [3.0, 0.0]
    row["crop_side_px"] *= 1.1
    row["crop_roll_rad"] += 0.1
    row["face_pitch_yaw"] = row["face_pitch_yaw"] - [0.1, 0]
    errors = sample_errors(row, truth, tmp_path)
    corners = truth.array("landmarks68_px")[[36, 45]]
    moved_px = 3.0 * truth.content["crop"]["side_px"] / 512
    assert errors["landmarks68_pct"] == pytest.approx(100 * moved_px / np.linalg.norm(corners[0] - corners[1]))
    assert errors["crop_scale_pct"] == pytest.approx(10)
    assert errors["crop_roll_deg"] == pytest.approx(np.degrees(0.1))
    assert errors["face_camera_deg"] == pytest.approx(np.degrees(0.1))
    assert errors["head_3dmm_deg"] == pytest.approx(np.degrees(0.1), abs=1e-3)  # the portrait's roll carries over


def test_a_truth_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "a.jpg.json"
    path.write_text(json.dumps({"schema": 2}))
    with pytest.raises(ConfigError, match="schema 2, expected 1"):
        read_truth(path)
    path.write_text(json.dumps({"schema": 1, "crop": {}}))
    with pytest.raises(ConfigError, match="no bfm_exp"):
        read_truth(path)
