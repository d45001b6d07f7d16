"""Truth files of real pictures: what they say of the portrait, and what is missing."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.spatial.transform import Rotation

from dataprep.errors import ConfigError
from gan.data.shards import ShardDataset
from gan.evaluation.reals import RealSet, choose_reals
from pipelines.accuracy.known_truth import known_of


@pytest.fixture
def reals(data: Path) -> RealSet:
    return choose_reals(ShardDataset([data], "train", 16, 16), [data], "train", None, 0)


def truth(**changes) -> dict:
    joints = np.zeros((24, 3))
    joints[:, 2] = 5  # straight ahead: no slanted ray
    plain = {
        "schema": 1, "joints_cam_m": joints.tolist(), "joints_px": [], "rotations_cam": [], "landmarks68_px": [],
        "head_from_3dmm": np.eye(3).tolist(), "bfm_id": [0.5] * 80, "bfm_exp": [0.25] * 64, "crop": {},
    }  # fmt: skip
    return plain | changes


def test_the_crops_roll_is_taken_out_of_the_head(reals: RealSet, data: Path, tmp_path: Path):
    """A head that leans as its crop does stands upright in the portrait (image y points down, GL y up)."""
    twin = pq.read_table(data / "shards" / "train-00000.parquet", partitioning=None)
    rolls = dict(zip(twin["sample_id"].to_pylist(), twin["crop_roll_rad"].to_pylist(), strict=True))
    paths = dict(zip(twin["sample_id"].to_pylist(), twin["source_path"].to_pylist(), strict=True))
    chosen = reals.sample_ids()[2]
    roll = rolls[chosen]
    leaning = Rotation.from_rotvec([0, 0, -roll]).as_matrix()
    (tmp_path / f"{paths[chosen]}.json").write_text(json.dumps(truth(head_from_3dmm=leaning.tolist())))
    rows, known = known_of(tmp_path)(reals)
    assert rows.tolist() == [2]
    assert abs(roll) > 0.01
    np.testing.assert_allclose(known.head_N33[0], np.eye(3), atol=1e-9)
    assert known.z_id_NK.tolist() == [[0.5] * 80]
    assert known.z_exp_NK.tolist() == [[0.25] * 64]
    assert np.isnan(known.shoulders_N22).all()


def test_no_truth_is_said(reals: RealSet, tmp_path: Path):
    with pytest.raises(ConfigError, match="no truth file of any real picture"):
        known_of(tmp_path)(reals)
