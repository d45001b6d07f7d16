"""The numbers this project stands for, on all samples (slow): yield, reasons, accuracy.

The small network stands in for x4plus: no number here depends on the super-resolution.
"""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.main import main

SAMPLES = Path(__file__).parents[2] / "samples"
LIMITS = {  # medians
    "landmarks68_pct": 6, "head_3dmm_deg": 4, "head_smpl_deg": 8, "chest_smpl_deg": 12, "joints_pct": 3,
    "crop_centre_pct": 3, "crop_scale_pct": 5, "crop_roll_deg": 3, "alpha_mae": 0.02,
}  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("acceptance") / "out"
    fast = ["--set", "superres.model=span"]
    assert main(["run", str(SAMPLES / "people"), "--out", str(folder), "--cluster", "serial", *fast]) == 0
    return folder


def test_nine_of_ten_good_samples_are_accepted_and_bad_ones_are_not(out):
    rows = {row["source_path"]: row for row in pq.read_table(out / "manifest.parquet").to_pylist()}
    bad = json.loads((SAMPLES / "truth" / "bad.json").read_text())
    good = rows.keys() - bad.keys()
    assert sum(rows[name]["status"] == "ok" for name in good) >= 0.9 * len(good)
    assert {name: (rows[name]["stage"], rows[name]["reason"]) for name in bad} == {
        name: (entry["stage"], entry["reason"]) for name, entry in bad.items()
    }


def test_labels_are_as_accurate_as_promised(out, tmp_path):
    assert main(["accuracy", str(out), "--truth", str(SAMPLES / "truth"), "--json", str(tmp_path / "a.json")]) == 0
    numbers = json.loads((tmp_path / "a.json").read_text())
    assert {name: numbers[name]["median"] for name, limit in LIMITS.items() if numbers[name]["median"] > limit} == {}
    assert numbers["expression_corr"]["centred_strongest10"] >= 0.75
    assert numbers["expression_corr"]["centred"] >= 0.43
