"""The EFT export puts the fitted body where the pipeline put it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.spatial.transform import Rotation

from dataprep.errors import StoreError
from dataprep.exchange.eft_json import bbox_of, export_eft
from dataprep.models.body.mediapipe_points import MEDIAPIPE_INDEX
from dataprep.tables.columns import BOOL, FLOAT, STRING, UINT32, Column, floats, table_from_rows

COLUMNS = (
    *(Column(name, STRING, "-") for name in ("sample_id", "source_path", "status", "body_model", "body_model_sha256")),
    Column("source_width", UINT32, "-"), Column("source_height", UINT32, "-"), Column("selected", BOOL, "-"),
    floats("keypoints33", (33, 3), "-"), floats("smpl_betas", (10,), "-"), floats("smpl_global_orient", (3,), "-"),
    floats("smpl_body_pose_first", (23, 3), "-"), floats("body_camera", (3,), "-"),
    Column("body_fit_loss49", FLOAT, "-"),
)  # fmt: skip


def row(sample: str, **changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    keypoints = np.column_stack((rng.uniform(100, 300, 33), rng.uniform(50, 750, 33), np.ones(33)))
    return {
        "sample_id": sample, "source_path": f"folder/{sample}.jpg", "status": "ok", "body_model": "SMPL_NEUTRAL",
        "body_model_sha256": "ab" * 32, "source_width": 400, "source_height": 800, "selected": True,
        "keypoints33": keypoints, "smpl_betas": rng.normal(size=10), "smpl_global_orient": np.array([3.0, 0.1, 0.2]),
        "smpl_body_pose_first": rng.normal(0, 0.3, (23, 3)), "body_camera": np.array([310.0, 205.0, 330.0]),
        "body_fit_loss49": 1e-4,
    } | changes  # fmt: skip


def exported(folder: Path, rows: list[dict[str, Any]], **options: Any) -> tuple[dict[str, Any], tuple[int, int]]:
    pq.write_table(table_from_rows(COLUMNS, rows), folder / "manifest.parquet")
    counts = export_eft(folder, folder / "eft.json", **options)
    return json.loads((folder / "eft.json").read_text()), counts


def test_camera_and_pose_put_the_body_where_the_fit_did(tmp_path: Path) -> None:
    source = row("a" * 32)
    content, counts = exported(tmp_path, [source])
    (entry,) = content["data"]
    assert counts == (1, 0)
    assert content["ver"] == 0.1
    metres = np.array([[0.3, -0.5], [-0.1, 0.8]])
    s, tx, ty = entry["parm_cam"]
    crop = s * metres + [tx, ty]
    pixels = np.array(entry["bbox_center"]) + 100 * entry["bbox_scale"] * crop
    np.testing.assert_allclose(pixels, 310.0 * metres + [205.0, 330.0], atol=1e-3)
    pose = np.array(entry["parm_pose"])
    assert pose.shape == (24, 3, 3)
    np.testing.assert_allclose(pose[0], Rotation.from_rotvec([3.0, 0.1, 0.2]).as_matrix(), atol=1e-6)
    np.testing.assert_allclose(pose[5], Rotation.from_rotvec(source["smpl_body_pose_first"][4]).as_matrix(), atol=1e-6)
    assert (len(entry["parm_shape"]), entry["smpltype"], entry["imageName"]) == (10, "smpl", f"{'a' * 32}.jpg")


def test_joints_are_in_efts_places(tmp_path: Path) -> None:
    keypoints = row("b" * 32)["keypoints33"].copy()
    keypoints[MEDIAPIPE_INDEX["left_ankle"], 2] = 0.1  # unseen
    keypoints[MEDIAPIPE_INDEX["right_wrist"], 0] = -5  # outside
    (entry,) = exported(tmp_path, [row("b" * 32, keypoints33=keypoints)])[0]["data"]
    joints = np.array(entry["gt_keypoint_2d"])
    assert joints.shape == (49, 3)
    assert not joints[:25].any()
    for name, place in (("right_knee", 26), ("left_shoulder", 34), ("nose", 44), ("right_ear", 48)):
        np.testing.assert_allclose(joints[place, :2], keypoints[MEDIAPIPE_INDEX[name], :2], atol=1e-3)
    assert not joints[[30, 31]].any()
    valid = entry["joint_validity_openpose18"]
    assert len(valid) == 18
    assert [i for i, seen in enumerate(valid) if not seen] == [4, 13]
    centre, scale = bbox_of(np.array([[10.0, 20.0], [110.0, 60.0]]))
    np.testing.assert_allclose((*centre, scale), (60, 40, 0.6))


def test_poor_fits_and_lost_images_are_left_out_and_other_bodies_are_not_called_smpl(tmp_path: Path) -> None:
    wide = np.zeros(10)
    wide[3] = 3.5
    rows = [row("a" * 32, body_model="body_anny"), row("b" * 32, body_fit_loss49=6e-4), row("c" * 32, smpl_betas=wide)]
    rows.append(row("d" * 32, status="rejected"))
    content, counts = exported(tmp_path, rows)
    assert counts == (1, 2)
    assert [entry["smpltype"] for entry in content["data"]] == ["body_anny"]
    assert exported(tmp_path, rows, keep_all=True)[1] == (3, 0)
    with pytest.raises(StoreError, match=r"no manifest\.parquet; build the data set first"):
        export_eft(tmp_path / "nowhere", tmp_path / "x.json")
