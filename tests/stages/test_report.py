"""The report says what the manifest says, whole, safely and in bounded size."""

import base64
import io
import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataprep.fits.generator_labels import pitch_yaw
from dataprep.frames.face_frames import CAM_FROM_GL, head_from_3dmm
from dataprep.pictures.codecs import decode_rgb
from dataprep.report.census import Census
from dataprep.report.checks import CHECKS, run_checks
from dataprep.report.snippets import SNIPPETS
from dataprep.stages.quality import RULES
from dataprep.stages.report import Report
from dataprep.wording import plural
from pipelines.paper_stages import MAP_STAGES
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

    VOID = frozenset({"meta", "link", "img", "input", "br", "hr", "path", "rect", "line", "defs"})

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
    assert [stage["name"] for stage in numbers["funnel"]][:: len(MAP_STAGES)] == ["ingest", "manifest"]


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
    assert [sum(chart["counts"]) for chart in numbers["sizes"]] == [6, 6]
    assert [len(ranges["rows"]) for ranges in numbers["ranges"]] == [18, 10, 10, 10]
    for row in (row for ranges in numbers["ranges"] for row in ranges["rows"]):
        assert row["percentiles"] == sorted(row["percentiles"])


def test_labels_of_a_sound_data_set_agree(numbers):
    assert {check["key"]: (check["checked"], check["failed"]) for check in numbers["checks"]} == {
        check.key: (6, 0) for check in CHECKS
    }


def test_a_face_camera_in_the_face_models_axes_is_seen(dataset, tmp_path):
    """They lie the canonical pose's nod, 8.9 degrees, from those in which the generator reads the label."""
    table = pq.read_table(dataset[1] / "manifest.parquet", partitioning=None)
    angles = table["bfm_angle"].to_pylist()
    faces = [None if a is None else pitch_yaw(CAM_FROM_GL @ head_from_3dmm(np.array(a))).tolist() for a in angles]
    place, field = table.schema.get_field_index("face_pitch_yaw"), table.schema.field("face_pitch_yaw")
    pq.write_table(table.set_column(place, field, pa.array(faces, field.type)), tmp_path / "manifest.parquet")
    (found, *others) = run_checks(Census(tmp_path), 1)
    assert (found.key, found.checked, found.failed) == ("face_camera", 6, 6)
    assert found.worst == pytest.approx(np.degrees(0.15536945), abs=0.01)
    assert not any(check.failed for check in others)


def test_pictures_beside_a_threshold_are_the_nearest(numbers, manifest):
    for chart in numbers["histograms"]:
        scores = {row["sample_id"]: row[chart["score"]] for row in manifest if row[chart["score"]] is not None}
        for side, ids in ((-1, chart["just_below"]), (1, chart["just_above"])):
            gaps = [side * (scores[i] - chart["threshold"]) for i in ids]
            assert gaps == sorted(gaps)
            assert all(gap >= 0 for gap in gaps)
            assert len(ids) == min(5, sum(side * (score - chart["threshold"]) >= 0 for score in scores.values()))


def test_nulls_and_ranges_of_every_column(numbers, manifest, dataset):
    told = {column["column"]: column for column in numbers["health"]}
    assert set(told) == set(manifest[0])
    for name, column in told.items():
        assert column["null_fraction"] == pytest.approx(np.mean([row[name] is None for row in manifest]), abs=1e-6)
    assert told["yaw"]["defects"] == []


@pytest.mark.parametrize("section", SNIPPETS)
def test_the_pages_own_snippet_recomputes_its_numbers(section, dataset, numbers, monkeypatch):
    assert len(SNIPPETS[section].splitlines()) <= 5
    monkeypatch.chdir(dataset[1])
    namespace = {}
    exec(SNIPPETS[section], namespace)
    told = TOLD[section](numbers)
    assert set(told) == set(namespace["result"])
    for key, value in told.items():
        assert namespace["result"][key] == approximately(value), key


def approximately(value):
    if isinstance(value, dict):
        return {key: approximately(one) for key, one in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], list):
        return [approximately(one) for one in value]
    return value if isinstance(value, str) else pytest.approx(value, abs=2e-4)


TOLD = {
    "headline": lambda n: {k: n[k] for k in ("inputs", "accepted", "splits", "near_duplicates", "label_outliers")},
    "funnel": lambda n: {
        (x["stage"], x["status"], x["reason"]): x["images"] for stage in n["funnel"] for x in stage["losses"]
    },
    "checks": lambda n: {check["key"]: check["failed"] for check in n["checks"]},
    "scores": lambda n: {
        h["score"]: {key: h[key] for key in ("counts", "below", "judged", "median")} for h in n["histograms"]
    },
    "extremes": lambda n: {k: [one["headroom"] for one in n[k]] for k in ("weakest", "strongest")},
    "coverage": lambda n: {
        "head": n["coverage"][0]["counts"],
        "upsampling": next([s["p5"], s["median"], s["p95"]] for s in n["spreads"] if s["column"] == "upsampling"),
        "joints_deg": [row["percentiles"] for row in n["ranges"][0]["rows"]],
    },
    "balance": lambda n: {
        "tones": [
            row["accepted"] for table in n["balance"]["tables"] if table["axis"] == "tone" for row in table["bins"]
        ],
        "effective": n["balance"]["effective"],
    },
    "prior": lambda n: n["prior"]["trimmed"],
    "similar": lambda n: {"leaks": n["similar"]["leaks"]},
    "people": lambda n: {key: n["persons"][key] for key in ("people", "repeated", "leaks")},
    "health": lambda n: {c["column"]: {key: c[key] for key in ("null_fraction", "null_accepted")} for c in n["health"]},
}


def test_numbers_of_the_page_are_those_of_the_json(page, numbers):
    shown = re.findall(r'<data value="([^"]*)" data-number="([^"]*)">([^<]*)</data>', page)
    assert len(shown) > 300
    for value, path, text in shown:
        found = numbers
        for step in path.split("."):
            found = found[int(step)] if isinstance(found, list) else found[step]
        assert value == str(found), path
        if isinstance(found, int):
            assert text == f"{found:,}"
        elif not text.endswith("%"):
            assert float(text.replace("−", "-")) == pytest.approx(found, rel=0.06, abs=0.006)


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
    elsewhere = {link for link in parsed.links if not link.startswith("#")}
    assert elsewhere == {"timing.html"}, "the machine's numbers have a page of their own"
    assert all(link[1:] in parsed.ids for link in parsed.links if link not in elsewhere)
    assert not parsed.images, "pictures lie in the page once and are shown by number"
    assert not re.search(r'(?:src|href|action)="(?!#|timing.html")', page)
    assert "://" not in page.replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1999/xlink", "")
    for secret in (str(dataset[1]), str(photos), "/tmp"):
        assert secret not in page
        assert secret not in (dataset[1] / "report" / "report.json").read_text()


def test_the_page_tells_every_story(page, manifest):
    parsed, data = Page(page), islands(page)[0]
    assert "6 of 11 photographs became portraits" in parsed.text
    told = {sample["id"]: sample for sample in data["samples"]}
    for row in manifest:
        assert told[row["sample_id"]]["name"] == row["source_path"]
        assert row["status"] == "ok" or told[row["sample_id"]]["message"] == row["message"]
    assert "<b>face" not in page
    assert {k: len(v) for k, v in data["galleries"].items()} == {"accepted": 6, "rejected": 5}
    for section in ("funnel", "pictures", "checks", "scores", "extremes", "coverage", "prior", "similar", "people",
                    "health", "unmeasured", "timing", "difference", "provenance"):  # fmt: skip
        assert section in parsed.ids


def islands(page):
    """The page's data, and its thumbnails in order."""
    found = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    data, *chunks = (json.loads(text) for text in found)
    return data, [thumb for chunk in chunks for thumb in chunk]


def test_every_picture_lies_in_the_page_once(page):
    data, thumbs = islands(page)
    used = [sample[kind]["thumb"] for sample in data["samples"] for kind in ("portrait", "photograph")
            if sample.get(kind, {}).get("thumb", -1) >= 0]  # fmt: skip
    assert sorted(used) == list(range(len(thumbs)))
    assert all(base64.b64decode(thumb)[8:12] == b"WEBP" for thumb in thumbs)
    assert {int(number) for number in re.findall(r'data-thumb="(\d+)"', page)} <= set(used)


def test_pictures_are_whole_where_there_is_space(page):
    data, thumbs = islands(page)
    for sample in data["samples"]:
        for kind, longest in (("portrait", 512), ("photograph", 512)):  # the astronaut has 512 pixels
            if sample.get(kind, {}).get("thumb", -1) >= 0:
                width, height = Image.open(io.BytesIO(base64.b64decode(thumbs[sample[kind]["thumb"]]))).size
                assert [width, height] == sample[kind]["size"]
                assert max(width, height) == longest


def test_a_page_without_space_keeps_its_thumbnails(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("dataprep.report.page.PAGE_BYTES", 1_000)
    view, out = dataset
    shutil.copytree(out, tmp_path / "out")
    Report().build(view, tmp_path / "out")
    data, _ = islands((tmp_path / "out" / "report" / "index.html").read_text())
    portraits = [one["portrait"]["size"] for one in data["samples"] if one.get("portrait", {}).get("thumb", -1) >= 0]
    assert portraits == [[224, 224]] * 7


@pytest.mark.parametrize(("count", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows")])
def test_words_agree_with_their_number(count, said):
    assert f"{count} {plural(count, 'row')}" == said


def test_one_of_anything_is_one(page):
    assert not re.findall(r">1</data> (?:rows|portraits|people|photographs|clusters|members|files)\b", page)


def test_overlays_are_drawn_in_each_pictures_own_pixels(page):
    data = islands(page)[0]
    portraits = [s["portrait"] for s in data["samples"] if s.get("portrait", {}).get("layers")]
    assert len(portraits) == 7  # accepted ones, and the one that quality rejected
    for portrait in portraits:
        assert portrait["frame"] == [512, 512]
        assert set(portrait["layers"]) == {"landmarks", "face", "skeleton", "body", "cameras"}
    photographs = [s["photograph"] for s in data["samples"] if s.get("photograph", {}).get("layers")]
    assert sum("square" in photograph["layers"] for photograph in photographs) == 7
    assert sum("keypoints" in photograph["layers"] for photograph in photographs) == 8  # and one that failed later


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
    before, after = (
        islands((where / "report" / "index.html").read_text())[1] for where in (dataset[1], tmp_path / "out")
    )
    assert len(before) - len(after) == 6 + 3  # photographs of accepted images, and of those that were lost


def test_a_data_set_without_any_portrait_has_a_report(tmp_path):
    make_photos(tmp_path / "photos", 2)
    ends = {f"photo{i:04d}.jpg": End("detect", reason="no_face", message="no face was found") for i in range(2)}
    view = make_dataset(tmp_path / "photos", tmp_path / "out", ends, small=True)
    Report().build(view, tmp_path / "out")
    parsed = Page((tmp_path / "out" / "report" / "index.html").read_text())
    assert "0 of 2 photographs became portraits" in parsed.text
