"""Layouts for other programs, read back with those programs."""

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataprep.frames import geometry
from dataprep.models.body.mediapipe_points import MEDIAPIPE_INDEX
from dataprep.tables.columns import rows_from_table
from pipelines.main import main
from tests.fake_dataset import make_dataset, make_photos

# fiftyone wants other versions of what we use, so that it lives in an environment of its own
FIFTYONE_PYTHON = os.environ.get("SHHQ_FIFTYONE_PYTHON", sys.executable)
READ_BY_FIFTYONE = """
import json, sys
import fiftyone as fo
from fiftyone.utils.data.importers import FiftyOneDatasetImporter
whole = FiftyOneDatasetImporter(sys.argv[1])
assert whole._is_legacy_format_data()
found = {}
with whole._to_legacy_importer() as importer:
    for sample in importer:
        points = sample.landmarks.keypoints[0].points
        fields = {name: sample[name] for name in ("q_sharpness", "yaw", "joints_zyx", "license", "person")}
        found[sample.sample_id] = {"filepath": sample.filepath, "mask": sample.alpha.mask_path, "tags": sample.tags,
            "points": points, "width": sample.metadata.width, "shape": list(sample.alpha.get_mask().shape), **fields}
        assert isinstance(sample.landmarks, fo.Keypoints) and isinstance(sample.alpha, fo.Segmentation)
print("READ" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts")
    make_photos(folder / "photos", 6)
    make_dataset(folder / "photos", folder / "out", {})
    return folder / "out"


@pytest.fixture(scope="module")
def rows(out):
    table = pq.read_table(out / "manifest.parquet")
    return {row["sample_id"]: row for row in rows_from_table(table) if row["selected"]}


def exported(out, folder, layout):
    assert main(["export", str(out), "--out", str(folder / layout), "--layout", layout, "--split", "all"]) == 0
    return folder / layout


def test_coco_key_points_are_read_by_pycocotools(out, rows, tmp_path):
    coco_module = pytest.importorskip("pycocotools.coco")
    eval_module = pytest.importorskip("pycocotools.cocoeval")
    folder = exported(out, tmp_path, "coco")
    coco = coco_module.COCO(str(folder / "labels.json"))
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == ["person", "face"]
    images = coco.loadImgs(coco.getImgIds())
    assert {one["sample_id"] for one in images} == set(rows)
    for image in images:
        row = rows[image["sample_id"]]
        with Image.open(folder / "data" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"]) == (512, 512)
        (face,) = coco.loadAnns(coco.getAnnIds(image["id"], catIds=coco.getCatIds(["face"])))
        points = np.reshape(face["keypoints"], (68, 3))
        shown = points[:, 2] == 2
        np.testing.assert_allclose(points[shown, :2], row["landmarks68"][shown], atol=1e-3)
        (person,) = coco.loadAnns(coco.getAnnIds(image["id"], catIds=coco.getCatIds(["person"])))
        body = np.reshape(person["keypoints"], (17, 3))
        names = coco.loadCats(person["category_id"])[0]["keypoints"]
        for name, (x, y, flag) in zip(names, body, strict=True):
            point = row["keypoints33"][MEDIAPIPE_INDEX[name]]
            place = geometry.transform(row["crop_from_source"].astype(float), point[None, :2].astype(float))[0]
            inside = ((place >= 0) & (place <= 512)).all()
            assert flag == (0 if not inside else 2 if point[2] >= 0.5 else 1)
            np.testing.assert_allclose([x, y], place if inside else [0, 0], atol=2e-3)
        assert person["num_keypoints"] == (body[:, 2] > 0).sum()
        assert person["bbox"] == [60, 0, 392, 512]
        assert person["area"] == 392 * 512
    results = [
        {"image_id": one["image_id"], "category_id": 1, "keypoints": one["keypoints"], "score": 1.0}
        for one in coco.loadAnns(coco.getAnnIds(catIds=[1]))
        if one["num_keypoints"]
    ]
    judge = eval_module.COCOeval(coco, coco.loadRes(results), "keypoints")
    judge.params.catIds = [1]
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    assert judge.stats[0] == pytest.approx(1.0), "COCO's own measure finds the labels in themselves"


def test_fiftyones_layout_is_what_its_importer_documents(out, rows, tmp_path):
    folder = exported(out, tmp_path, "fiftyone")
    assert json.loads((folder / "metadata.json").read_text())["media_type"] == "image"
    samples = json.loads((folder / "samples.json").read_text())["samples"]
    assert {one["sample_id"] for one in samples} == set(rows)
    for sample in samples:
        row = rows[sample["sample_id"]]
        with Image.open(folder / sample["filepath"]) as picture:
            assert picture.size == (sample["metadata"]["width"], sample["metadata"]["height"])
        assert (folder / sample["alpha"]["mask_path"]).is_file()
        assert sample["tags"][0] == row["split"]
        (points,) = sample["landmarks"]["keypoints"]
        np.testing.assert_allclose(np.array(points["points"]) * 512, row["landmarks68"], atol=1e-3)
        assert sample["q_sharpness"] == pytest.approx(row["q_sharpness"])
        assert not any(name.endswith(("_offset", "_sha256")) for name in sample if name.startswith("portrait"))
    assert {path.name for path in (tmp_path / "fiftyone").iterdir()} == {
        "data", "fields", "metadata.json", "samples.json"
    }  # fmt: skip


@pytest.mark.slow
def test_fiftyone_reads_its_layout(out, rows, tmp_path):
    """Its own importer and classes; the database, which it fetches where it is installed, has no part in reading."""
    if subprocess.run([FIFTYONE_PYTHON, "-c", "import fiftyone"], capture_output=True, check=False).returncode:
        pytest.skip("no fiftyone; SHHQ_FIFTYONE_PYTHON names the python of an environment that has it")
    folder = exported(out, tmp_path, "fiftyone")
    home = os.environ | {"HOME": str(tmp_path), "FIFTYONE_DO_NOT_TRACK": "1"}
    command = [FIFTYONE_PYTHON, "-c", READ_BY_FIFTYONE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=home, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.partition("READ")[2])
    assert set(found) == set(rows)
    for name, sample in found.items():
        row = rows[name]
        assert sample["filepath"] == str(folder / "data" / f"{name}.png")
        assert sample["mask"] == str(folder / "fields" / "alpha" / f"{name}.png")
        assert (sample["width"], sample["shape"], sample["tags"][0]) == (512, [512, 512], row["split"])
        np.testing.assert_allclose(np.array(sample["points"]) * 512, row["landmarks68"], atol=1e-3)
        assert (sample["license"], sample["person"]) == (row["license"], row["person"])
        assert sample["yaw"] == pytest.approx(row["yaw"])
        np.testing.assert_allclose(sample["joints_zyx"], row["joints_zyx"].ravel(), rtol=1e-5)
