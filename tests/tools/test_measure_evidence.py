import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dataprep.frames.smpl_joints import JOINTS
from dataprep.models.body.openpose_points import BODY_25, coco_points
from dataprep.models.body.smpl import load_body
from dataprep.models.regressors.lifter import load_lifter
from tools.calibration.measure_evidence import cases_of, made_up_openpose, measure, report

SAMPLES = Path(__file__).parents[2] / "samples"
IMAGES = ("no_segment/p001.jpg", "photos/p019.jpg", "photos/p020.jpg")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for image in IMAGES:
        for place in (f"people/{image}", f"truth/{image}.json"):
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SAMPLES / place, tmp_path / place)
    return tmp_path


def test_made_up_points_are_the_true_ones_projected() -> None:
    truth = json.loads((SAMPLES / "truth" / f"{IMAGES[0]}.json").read_text())
    points = made_up_openpose(truth, coco_points(load_body()), np.zeros((25, 3)))
    joints, px_per_dm = np.array(truth["joints_px"]), truth["crop"]["px_per_m"] / 10
    for name in ("left_elbow", "right_knee", "left_wrist"):
        apart = np.linalg.norm(points[BODY_25.index(name), :2] - joints[JOINTS.index(name)])
        assert apart < 0.4 * px_per_dm  # COCO's definitions lie up to 3 cm from the joint
    assert np.linalg.norm(points[0, :2] - np.array(truth["landmarks68_px"])[30]) < 0.3 * px_per_dm
    assert (points[:, 2] == 1).all()


def test_every_choice_of_evidence_is_measured(folder: Path) -> None:
    cases = list(cases_of([folder], 0.005, 0.0))
    assert len(cases) == len(IMAGES)
    found = measure(cases, load_lifter(load_body()))
    joints = {name: np.mean([one["joints_pct"] for one in errors]) for name, errors in found.items()}
    assert max(joints.values()) < 5
    assert len(set(joints.values())) == 4  # each source moves the fits
    text = report(cases, found)
    assert all(name in text for name in found)
    assert text.startswith(f"log scale of {len(IMAGES)} people")
