"""The comparison of body fits on a data set's own detections: rows and truth meet in one frame."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dataprep.fits.body.compare_fits import METRICS, Comparison
from dataprep.fits.generator_labels import view_from_cam
from dataprep.frames.face_frames import CAM_FROM_GL, angle_from_head
from dataprep.frames.smpl_joints import CHEST, HEAD, NECK
from dataprep.models.body.mediapipe_points import MEDIAPIPE_INDEX
from dataprep.models.body.smpl import load_body
from dataprep.models.regressors.lifter import load_lifter
from pipelines.accuracy.bodies import _numbers, _scene_of, joined, print_table
from pipelines.accuracy.truth_files import read_truth

TRUTH = sorted((Path(__file__).parents[3] / "samples" / "truth").rglob("*.jpg.json"))


@pytest.fixture(scope="module")
def body():
    return load_lifter(load_body()).network.body


def faultless_row(truth, body):
    """What detector and face fit would report if they knew the truth."""
    content = truth.content
    pixels = np.zeros((33, 3))
    pixels[:, 2] = 1
    row = {"source_width": content["width"], "source_height": content["height"], "crop_roll_rad": 0.0}
    row |= {"keypoints33": pixels, "keypoints33_world_m": np.zeros((33, 3)), "head_offset": np.eye(3)}
    joints = truth.array("joints_cam_m")
    face = CAM_FROM_GL @ view_from_cam(joints[HEAD]) @ truth.array("rotations_cam")[HEAD]
    row["bfm_angle"] = angle_from_head(face)
    scene = _scene_of(row, truth, body)
    pixels[list(MEDIAPIPE_INDEX.values()), :2] = scene.points_px[0].numpy()
    return row, joints


@pytest.mark.parametrize("path", TRUTH[::12], ids=lambda path: path.name)
def test_rows_and_truth_meet(path, body):
    truth = read_truth(path)
    row, joints = faultless_row(truth, body)
    scene = _scene_of(row, truth, body)
    seen = scene.inputs.centre_px[:, None] + scene.inputs.scale_px[:, None, None] * scene.inputs.points
    assert float((seen - scene.points_px)[scene.inputs.visible].abs().max()) < 0.01
    np.testing.assert_allclose(scene.measured_head[0], scene.head[0], atol=1e-5)
    true_lengths = np.linalg.norm(joints - joints[NECK], axis=1)
    np.testing.assert_allclose(scene.joints_m[0].norm(dim=-1), true_lengths, atol=1e-5)
    up = scene.chest[0, :, 1]
    assert float(up[1]) < -0.8  # upright: up is against the picture's y
    assert float(scene.joints_m[0, HEAD] @ up) > 0.05
    assert float(scene.joints_m[0, CHEST] @ up) < -0.05
    nose_px = scene.points_px[0, 0].numpy()
    assert (
        np.linalg.norm(nose_px - np.mean(truth.array("landmarks68_px")[27:36], axis=0))
        < 0.15 * truth.content["crop"]["side_px"]
    )


def test_scenes_join_in_order(body):
    scenes = [_scene_of(faultless_row(read_truth(path), body)[0], read_truth(path), body) for path in TRUTH[:3]]
    batch = joined(scenes)
    assert len(batch.head) == len(batch.measured_head) == len(batch.inputs.points) == 3
    torch.testing.assert_close(batch.chest[1], scenes[1].chest[0])
    torch.testing.assert_close(batch.inputs.points[2], scenes[2].inputs.points[0])


def test_the_table_has_a_line_for_each_fit(capsys):
    errors = {metric: np.array([1.0, 2.0, 9.0]) for metric in METRICS}
    numbers = _numbers([Comparison("eft", True, False, errors), Comparison("map", False, True, errors)])
    assert numbers["eft"]["head_deg"] == {"mean": 4.0, "median": 2.0, "p90": 7.6}
    print_table("Title", numbers | {"n": {"people": 3}})
    printed = capsys.readouterr().out
    assert "map, no world landmarks, head tied" in printed
    assert "4.00" in printed  # the mean of pixels and millimetres
    assert "2.0" in printed  # the median of degrees
