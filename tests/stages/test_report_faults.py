"""Faults planted in the labels are named, counted and pictured in the section where they belong."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataprep.stages.report import Report
from tests.fake_dataset import make_dataset, make_photos
from tests.many_rows import multiply

ROWS = 400
SHIFTED, FLIPPED, DUPLICATES = 0.03, 0.01, 10


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    make_photos(folder / "photos", 16)
    view = make_dataset(folder / "photos", folder / "small", {}, small=True)
    return folder / "small", dict(view.refs)


@pytest.fixture(scope="module")
def faulty(sound, tmp_path_factory):
    """Report of a data set with three faults, and the ids of the rows that have them."""
    out = tmp_path_factory.mktemp("faulty") / "out"
    view = multiply(sound[0], out, ROWS, sound[1])
    table = pq.read_table(out / "manifest.parquet", partitioning=None)
    random = np.random.default_rng(1)
    rows = random.permutation(ROWS)
    yaw = np.degrees(table["yaw"].to_numpy())
    shifted = rows[: int(SHIFTED * ROWS)]
    flipped = np.array([i for i in rows[100:] if abs(yaw[i]) > 15][: int(FLIPPED * ROWS)])
    table = shift_crop(table, shifted, 24.0)
    table = changed(table, "yaw", {i: -table["yaw"][i].as_py() for i in flipped})
    table, twins = plant_duplicates(table)
    pq.write_table(table, out / "manifest.parquet")
    Report(max_accepted=24).build(view, out)
    ids = table["sample_id"].to_pylist()
    return out / "report", {"shifted": {ids[i] for i in shifted}, "flipped": {ids[i] for i in flipped}, "twins": twins}


def changed(table, name, values):
    """The table with some rows of a column replaced."""
    column = table[name].to_pylist()
    for row, value in values.items():
        column[row] = value
    place = table.schema.get_field_index(name)
    field = table.schema.field(name)
    return table.set_column(place, field, pa.array(column, field.type))


def shift_crop(table, rows, px):
    """Crops cut `px` of 512 too far to the left, everything made from them included."""
    matrices = {i: np.add(table["crop_from_source"][i].as_py(), [0, 0, px, 0, 0, 0]).tolist() for i in rows}
    landmarks = {i: np.add(table["landmarks68"][i].as_py(), np.tile([px, 0], 68)).tolist() for i in rows}
    moved = {}
    for i in rows:
        matrix = np.array(table["crop_from_source"][i].as_py()).reshape(2, 3)
        step = np.linalg.solve(matrix[:, :2], [-px, 0])
        moved[i] = np.add(table["crop_centre_px"][i].as_py(), step).tolist()
    table = changed(table, "crop_from_source", matrices)
    table = changed(table, "crop_centre_px", moved)
    return changed(table, "landmarks68", landmarks)


def plant_duplicates(table):
    """Ten training rows with the hashes of ten validation rows, a few bits off."""
    splits, ids = table["split"].to_pylist(), table["sample_id"].to_pylist()
    val = [i for i, split in enumerate(splits) if split == "val"][:DUPLICATES]
    train = [i for i, split in enumerate(splits) if split == "train"][:DUPLICATES]
    assert len(val) == len(train) == DUPLICATES
    copies = {}
    for a, b in zip(val, train, strict=True):
        bits = np.frombuffer(table["portrait_dhash"][a].as_py(), np.uint8).copy()
        bits[3] ^= 0b101
        copies[b] = bits.tobytes()
    return changed(table, "portrait_dhash", copies), {ids[i] for i in (*val, *train)}


@pytest.fixture(scope="module")
def numbers(faulty):
    return json.loads((faulty[0] / "report.json").read_text())


def section(page, name):
    return re.search(rf'<section id="{name}".*?</section>', page, re.DOTALL)[0]


def article(page, key):
    return re.search(rf'<article class="check failed" id="check-{key}">.*?</article>', page, re.DOTALL)[0]


def pictured(page, html):
    """Ids of the samples whose pictures a piece of the page shows."""
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    places = re.findall(r'data-place="(\d+)"[^>]*>\s*<img', html)
    return [data["samples"][int(place)]["id"] for place in places]


def test_a_shifted_crop_is_named_counted_and_pictured(faulty, numbers):
    page, planted = (faulty[0] / "index.html").read_text(), faulty[1]
    found = {check["key"]: check for check in numbers["checks"]}["crop_follows_neck"]
    assert found["failed"] == len(planted["shifted"]) == 12
    assert found["worst"] == pytest.approx(24, abs=0.5)
    shown = pictured(page, article(page, "crop_follows_neck"))
    assert set(shown) == planted["shifted"]
    assert 'href="#check-crop_follows_neck"' in section(page, "overview")


def test_a_flipped_yaw_is_named_counted_and_pictured(faulty, numbers):
    page, planted = (faulty[0] / "index.html").read_text(), faulty[1]
    checks = {check["key"]: check for check in numbers["checks"]}
    assert checks["angles_follow_face"]["failed"] == len(planted["flipped"]) == 4
    assert set(pictured(page, article(page, "angles_follow_face"))) == planted["flipped"]
    assert set(checks["side_of_face"]["examples"]) <= planted["flipped"]
    assert checks["side_of_face"]["failed"] >= 2  # the other measurement: independent of the 3DMM's angles


def test_near_duplicates_across_the_splits_are_named_counted_and_pictured(faulty, numbers):
    page, planted = (faulty[0] / "index.html").read_text(), faulty[1]
    assert (numbers["similar"]["leaks"], numbers["similar"]["leaked_rows"]) == (DUPLICATES, 2 * DUPLICATES)
    html = section(page, "similar")
    assert "Split leakage" in html
    assert set(pictured(page, html)) == planted["twins"]


def test_faults_come_first_and_nothing_else_is_accused(faulty, numbers):
    keys = [check["key"] for check in numbers["checks"] if check["failed"]]
    assert keys == ["crop_follows_neck", "angles_follow_face", "side_of_face"]
    assert [check["key"] for check in numbers["checks"]][: len(keys)] == keys
    page = (faulty[0] / "index.html").read_text()
    assert page.index('class="check failed"') < page.index('class="check passed"')
