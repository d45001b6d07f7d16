"""The benchmark verb on files of the published schemas, made from the samples; broken ones are named and counted."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
from PIL import Image
from scipy.spatial.transform import Rotation

from dataprep.errors import ConfigError
from dataprep.fits.generator_labels import view_from_cam
from dataprep.frames.face_frames import CAM_FROM_GL
from dataprep.frames.smpl_joints import HEAD
from pipelines.accuracy.annotations import head_from_pose, read_annotation
from pipelines.main import main

SAMPLES = Path(__file__).parents[3] / "samples"
PEOPLE = ("no_segment/p001", "no_segment/p004", "photos/p022")
MARGIN = 1.2  # of the face, on each side


def crop_of(name):
    """A face crop as benchmarks publish them, its 68 points in continuous px, and the head as the ray sees it."""
    truth = json.loads((SAMPLES / "truth" / f"{name}.jpg.json").read_text())
    points = np.array(truth["landmarks68_px"])
    low, high = points.min(0), points.max(0)
    x0, y0, x1, y1 = np.concatenate((low, high)) + MARGIN * (high - low).max() * np.array([-1, -1, 1, 1])
    picture = Image.open(SAMPLES / "people" / f"{name}.jpg")
    box = [max(0, int(x0)), max(0, int(y0)), min(picture.width, int(x1)), min(picture.height, int(y1))]
    view = view_from_cam(np.array(truth["joints_cam_m"])[HEAD])
    head = CAM_FROM_GL @ view @ CAM_FROM_GL @ np.array(truth["head_from_3dmm"])
    return picture.crop(box), points - box[:2], head


def write_mat(path, points_px, head, **other):
    pose = np.zeros((1, 7), np.float32)
    pose[0, :3] = -Rotation.from_matrix(head).as_euler("XYZ")
    points = np.vstack((points_px.T + 0.5, np.zeros(68))).astype(np.float32)
    scipy.io.savemat(path, {"Pose_Para": pose, "pt3d_68": points, "roi": np.array([[1, 2, 3, 4]], np.int16)} | other)


def write_pts(path, points):
    lines = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points)
    path.write_text(f"version: 1\nn_points: {len(points)}\n{{\n{lines}\n}}\n")


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A folder of both kinds with eight files that cannot be read, what was printed of it, and the numbers."""
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "ibug").mkdir()
    crops = {Path(name).name: crop_of(name) for name in PEOPLE}
    for name, (picture, points, head) in crops.items():
        picture.save(folder / f"{name}.jpg", quality=95)
        write_mat(folder / f"{name}.mat", points, head)
        picture.save(folder / "ibug" / f"{name}.png")
        write_pts(folder / "ibug" / f"{name}.pts", points + 0.5)
    picture, points, head = crops["p001"]
    for broken in ("torn", "shape", "profile", "elsewhere"):
        picture.save(folder / f"{broken}.jpg")
    (folder / "torn.mat").write_bytes((folder / "p001.mat").read_bytes()[:150])
    write_mat(folder / "shape.mat", points, head, pt3d_68=np.zeros((2, 68)))
    write_pts(folder / "profile.pts", points[:39])
    write_pts(folder / "elsewhere.pts", points + 5000)
    write_mat(folder / "alone.mat", points, head)
    for name, picture_bytes in (("halved", (folder / "p001.jpg").read_bytes()[:400]), ("empty", b"")):
        (folder / f"{name}.jpg").write_bytes(picture_bytes)
        write_pts(folder / f"{name}.pts", points)
    (folder / "lost.jpg").symlink_to("nowhere.jpg")
    write_pts(folder / "lost.pts", points)
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.exists()}
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: said.append(" ".join(map(str, words))))
        status = main(["benchmark", str(folder), "--json", str(folder / "n.json"), "--csv", str(folder / "n.csv")])
    assert {path: path.read_bytes() for path in before} == before
    frame = pd.read_csv(folder / "n.csv", keep_default_na=False).set_index("file")
    return status, "\n".join(said), json.loads((folder / "n.json").read_text()), frame


def test_faces_of_both_kinds_are_read_and_agree_with_the_truth(result):
    status, said, numbers, frame = result
    assert status == 0
    assert numbers["annotations"] == {"AFLW2000-3D": 6, "iBUG": 8}
    assert (numbers["read"], numbers["not_read"]) == (6, 8)
    below_45 = numbers["by_yaw_deg"]["below 45"]
    assert (below_45["faces"], below_45["heads"]) == (6, 3)
    by_set = numbers["by_set_below_45_deg"]
    assert {name: (one["faces"], one["heads"]) for name, one in by_set.items()} == {
        "AFLW2000-3D": (3, 3),
        "iBUG": (3, 0),
    }
    assert below_45["all_pct"]["median"] < 6
    assert below_45["head_deg"]["median"] < 6
    for name in ("p001", "p004", "p022"):  # one face, annotated twice: the files' conventions meet
        both = frame.loc[[f"{name}.mat", f"ibug/{name}.pts"], "all_pct"].astype(float)
        assert abs(both.iloc[0] - both.iloc[1]) < 0.5  # one is a JPEG
    assert re.search(r"yaw, degrees +faces +all +inner 51 +jaw", said)
    assert re.search(r"yaw, degrees +faces +angle +pitch +yaw +roll", said)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("torn.mat", "not a .mat file of AFLW2000-3D"),
        ("shape.mat", r"pt3d_68 has shape \(2, 68\)"),
        ("profile.pts", "holds 39 points, expected 68"),
        ("elsewhere.pts", "outside the picture"),
        ("alone.mat", "0 pictures named alone"),
        ("halved.pts", "damaged or cut off"),
        ("empty.pts", "has 0 bytes"),
        ("lost.pts", r"lost.jpg cannot be read \(No such file"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_reason(result, file, reason):
    _, said, _, frame = result
    assert re.search(reason, frame.loc[file, "not_read"])
    assert re.search(rf"  {file}: .*{reason}", said)


def test_a_folder_without_annotations_ends_with_one_line(tmp_path, capsys):
    assert main(["benchmark", str(tmp_path)]) == 2
    assert "no .mat or .pts file there" in capsys.readouterr().err
    assert main(["benchmark", str(tmp_path / "nowhere")]) == 2


def test_poses_turn_as_3ddfa_s_matrices_do():
    """Its documented matrices, written out; a positive pitch looks up, a positive yaw to the image's left."""
    pitch, yaw, roll = 0.3, -0.5, 0.2
    x = [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    y = [[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]]
    z = [[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    np.testing.assert_allclose(head_from_pose(np.array([pitch, yaw, roll])), np.array(x) @ y @ z, atol=1e-12)
    assert head_from_pose(np.array([0.3, 0, 0]))[1, 2] > 0
    assert head_from_pose(np.array([0, 0.3, 0]))[0, 2] < 0


def test_points_count_from_1_and_whole_numbers_from_0(tmp_path):
    points = np.random.default_rng(0).uniform(10, 90, (68, 2)).round(3)
    write_pts(tmp_path / "ibug.pts", points)
    np.testing.assert_allclose(read_annotation(tmp_path / "ibug.pts").landmarks_px, points - 0.5)
    write_pts(tmp_path / "clicked.pts", points.round())
    np.testing.assert_allclose(read_annotation(tmp_path / "clicked.pts").landmarks_px, points.round() + 0.5)
    write_pts(tmp_path / "nan.pts", points * np.nan)
    with pytest.raises(ConfigError, match="68 finite ones"):
        read_annotation(tmp_path / "nan.pts")
