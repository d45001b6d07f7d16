"""The report says what the manifest says, whole, safely and in bounded size."""

import json
import shutil
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pyarrow.parquet as pq
import pytest

from dataprep.images import decode_rgb
from dataprep.stages.quality import RULES
from dataprep.stages.report import Report
from tests.fake_dataset import End, make_dataset, make_photos

HOSTILE = "a&b <i>'q'.jpg"
FILES = ("index.html", "report.json", "accepted.png", "rejected.png")
ENDS = {
    "text0.png": End("ingest", reason="undecodable", message="the file is not an image"),
    "text1.png": End("ingest", reason="undecodable", message="the file is not an image"),
    "photo0001.jpg": End("detect", reason="no_face", message="no <b>face</b> & no nose"),
    "photo0002.jpg": End("body", "error", "ValueError", "it broke"),
    "photo0003.jpg": End("quality", reason="sharpness", message="the face is blurred"),
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    make_photos(folder, 9, broken=2)
    (folder / "photo0008.jpg").rename(folder / HOSTILE)
    return folder


@pytest.fixture(scope="module")
def dataset(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("dataset") / "out"
    view = make_dataset(photos, out, ENDS)
    Report().build(view, out)
    return view, out


@pytest.fixture(scope="module")
def manifest(dataset):
    return pq.read_table(dataset[1] / "manifest.parquet").to_pylist()


@pytest.fixture(scope="module")
def numbers(dataset):
    return json.loads((dataset[1] / "report" / "report.json").read_text())


@pytest.fixture(scope="module")
def page(dataset):
    return (dataset[1] / "report" / "index.html").read_text()


class Page(HTMLParser):
    """Checks that tags balance; collects ids, links, image sources and text."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "hr", "path", "rect", "line"})

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.images, self.text, self.buttons = [], [], [], [], "", 0
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []
        self.images += [attributes["src"]] if "src" in attributes else []
        self.buttons += tag == "button" and attributes["class"].startswith("picture") if "class" in attributes else 0
        if tag == "img":
            assert attributes["alt"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data


def test_the_numbers_are_the_manifests(numbers, manifest):
    accepted = [row for row in manifest if row["status"] == "ok"]
    assert (numbers["inputs"], numbers["accepted"]) == (11, 6) == (len(manifest), len(accepted))
    assert numbers["splits"] == dict(Counter(row["split"] for row in accepted))
    lost = Counter((r["stage"], r["status"], r["reason"]) for r in manifest if r["status"] != "ok")
    told = {(x["stage"], x["status"], x["reason"]): x["images"] for s in numbers["funnel"] for x in s["losses"]}
    assert told == dict(lost)
    assert told["ingest", "rejected", "undecodable"] == 2


def test_the_funnel_loses_nothing_silently(numbers):
    rows = numbers["inputs"]
    for stage in numbers["funnel"]:
        assert stage["rows_in"] == rows
        rows = stage["rows_ok"]
        assert stage["rows_in"] - rows == sum(loss["images"] for loss in stage["losses"])
    assert rows == numbers["accepted"]
    assert [stage["name"] for stage in numbers["funnel"]][::9] == ["ingest", "manifest"]


def test_histograms_count_every_judged_portrait(numbers, manifest):
    for chart, rule in zip(numbers["histograms"], RULES, strict=True):
        values = np.array([row[rule.score] for row in manifest if row[rule.score] is not None])
        assert chart["judged"] == sum(chart["counts"]) == len(values) == 7
        assert chart["below"] == (values < chart["threshold"]).sum()
        assert chart["median"] == pytest.approx(np.median(values), abs=1e-6)


def test_ranks_by_the_weakest_score(numbers, manifest):
    scores = {row["sample_id"]: row for row in manifest}
    thresholds = {chart["score"]: chart["threshold"] for chart in numbers["histograms"] if chart["rejects"]}
    rooms = [entry["headroom"] for entry in numbers["strongest"]]
    assert rooms == sorted(rooms, reverse=True)
    assert [e["sample_id"] for e in numbers["weakest"]] == [e["sample_id"] for e in numbers["strongest"]][::-1]
    for entry in numbers["strongest"] + numbers["near_misses"]:
        row = scores[entry["sample_id"]]
        lowest = min((row[name] - limit) / (1 - limit) for name, limit in thresholds.items())
        assert entry["headroom"] == pytest.approx(lowest, abs=1e-5)
        assert entry["value"] == pytest.approx(row[entry["score"]], abs=1e-5)
    assert [scores[e["sample_id"]]["source_path"] for e in numbers["near_misses"]] == ["photo0003.jpg"]


def test_coverage_counts_accepted_portraits(numbers):
    for chart in numbers["coverage"]:
        assert sum(map(sum, chart["counts"])) + chart["outside"] == 6


def test_provenance_names_every_model_file(numbers, dataset):
    view, _ = dataset
    for record in numbers["stages"]:
        stage = view.stages[record["name"]]
        assert [m["sha256"] for m in record["models"]] == [w.sha256 for w in stage.weights()]
        assert all(model["licence"] for model in record["models"])
        assert record["fingerprint"] == view.refs[record["name"]].fingerprint


def test_the_page_is_whole_html_that_needs_no_network(page, dataset, photos):
    parsed = Page(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert parsed.links
    assert all(link.startswith("#") and link[1:] in parsed.ids for link in parsed.links)
    assert parsed.images
    assert all(source.startswith("data:image/webp;base64,") for source in parsed.images)
    assert "://" not in page
    for secret in (str(dataset[1]), str(photos), "/tmp"):
        assert secret not in page
        assert secret not in (dataset[1] / "report" / "report.json").read_text()


def test_the_page_tells_every_story(page, manifest):
    parsed = Page(page)
    assert "6 of 11 photographs became portraits" in parsed.text
    for row in manifest:
        assert row["source_path"] in parsed.text  # the hostile name too: escaped on the page, whole in its text
        assert row["sample_id"] in parsed.text
        assert row["status"] == "ok" or row["message"] in parsed.text
    assert "<b>face" not in page
    assert parsed.buttons == 6 + 5 + (6 + 6 + 1)  # accepted, rejected, strongest, weakest, near misses


def test_overlays_are_drawn_in_each_pictures_own_pixels(page):
    assert page.count('viewBox="0 0 512 512"') >= 6
    assert page.count('class="landmarks"') == 6 + 6 + 6 + 1
    assert page.count('class="square"') == 1  # the one that quality rejected
    assert page.count('class="keypoints"') == 2  # that one, and the one that was detected and then failed


def test_contact_sheets_hold_one_cell_each(dataset):
    accepted = decode_rgb((dataset[1] / "report" / "accepted.png").read_bytes())
    rejected = decode_rgb((dataset[1] / "report" / "rejected.png").read_bytes())
    assert accepted.shape[1] == 6 * 168 + 8
    assert rejected.shape[1] == 5 * 168 + 8
    assert accepted.std() > 20
    assert rejected.std() > 20


def test_the_same_photographs_give_the_same_bytes_wherever_they_lie(dataset, photos, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(photos, moved)
    view = make_dataset(moved, tmp_path / "out", ENDS)
    Report().build(view, tmp_path / "out")
    for name in FILES:
        assert (tmp_path / "out" / "report" / name).read_bytes() == (dataset[1] / "report" / name).read_bytes(), name

    shutil.rmtree(moved)  # the photographs are gone: the same numbers, and places left free for the pictures
    Report().build(view, tmp_path / "out")
    folder = tmp_path / "out" / "report"
    assert (folder / "report.json").read_bytes() == (dataset[1] / "report" / "report.json").read_bytes()
    assert (folder / "accepted.png").read_bytes() == (dataset[1] / "report" / "accepted.png").read_bytes()
    before = Page((dataset[1] / "report" / "index.html").read_text()).text.count("no preview")
    after = Page((folder / "index.html").read_text()).text.count("no preview")
    assert after == before + 2 * 3  # three photographs, shown twice


def test_the_page_stays_small_for_many_rows(tmp_path):
    make_photos(tmp_path / "photos", 300)
    ends = {f"photo{i:04d}.jpg": End("detect", reason="no_face", message="no face was found") for i in range(150)}
    out = tmp_path / "out"
    view = make_dataset(tmp_path / "photos", out, ends, small=True)
    assert len(view.parts) == 5
    counts = Report().build(view, out)
    page = (out / "report" / "index.html").read_text()
    assert counts == {"rows": 300}
    assert len(page.encode()) < 6e6
    parsed = Page(page)
    assert "Showing 96 of 150" in parsed.text
    assert parsed.buttons == 96 + 96 + 6 + 6
    assert decode_rgb((out / "report" / "rejected.png").read_bytes()).shape[1] == 8 * 168 + 8


def test_a_data_set_without_any_portrait_has_a_report(tmp_path):
    make_photos(tmp_path / "photos", 2)
    ends = {f"photo{i:04d}.jpg": End("detect", reason="no_face", message="no face was found") for i in range(2)}
    view = make_dataset(tmp_path / "photos", tmp_path / "out", ends, small=True)
    Report().build(view, tmp_path / "out")
    parsed = Page((tmp_path / "out" / "report" / "index.html").read_text())
    assert "0 of 2 photographs became portraits" in parsed.text
