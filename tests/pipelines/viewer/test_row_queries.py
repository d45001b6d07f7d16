"""Queries of the viewer over a real manifest, against the same question asked of the columns."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from dataprep.errors import ConfigError
from pipelines.viewer.chart_page import charts, heat
from pipelines.viewer.grid_page import found, window
from pipelines.viewer.row_queries import RowQuery
from pipelines.viewer.sample_facts import sample_facts
from pipelines.viewer.viewed_dataset import ViewedDataset
from tests.fake_dataset import End, make_dataset, make_photos

ENDS = {
    "text0.png": End("ingest", reason="undecodable", message="the file is not an image"),
    "photo0001.jpg": End("detect", reason="no_face", message="no face was found"),
    "photo0003.jpg": End("quality", reason="sharpness", message="the face is blurred"),
}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewed")
    make_photos(folder / "photos", 24, broken=1)
    make_dataset(folder / "photos", folder / "out", ENDS, small=True)
    return folder / "out"


@pytest.fixture(scope="module")
def dataset(out):
    return ViewedDataset(out, "somebody")


@pytest.fixture(scope="module")
def rows(out):
    return pq.read_table(out / "manifest.parquet", partitioning=None).to_pylist()


def ask(dataset, **arguments):
    return RowQuery.parsed({name: [value] if isinstance(value, str) else value for name, value in arguments.items()})


@pytest.mark.parametrize(
    ("query", "test"),
    [
        ({}, lambda row: True),
        ({"status": "ok"}, lambda row: row["status"] == "ok"),
        ({"stage": ["detect", "null"]}, lambda row: row["stage"] in ("detect", None)),
        ({"selected": "false"}, lambda row: not row["selected"]),
        ({"q_sharpness": "0.8.."}, lambda row: row["q_sharpness"] is not None and row["q_sharpness"] >= 0.8),
        ({"q_sharpness": "..0.8"}, lambda row: row["q_sharpness"] is not None and row["q_sharpness"] <= 0.8),
        ({"q_sharpness": "null"}, lambda row: row["q_sharpness"] is None),
        ({"q_sharpness": "0.8..0.9", "q_frontal": ["0.9..", "..0.75"]},
         lambda row: row["q_sharpness"] is not None and 0.8 <= row["q_sharpness"] <= 0.9
         and not 0.75 < row["q_frontal"] < 0.9),
        ({"bfm_exp[3]": "0.."}, lambda row: row["bfm_exp"] is not None and row["bfm_exp"][3] >= 0),
        ({"source_path": "0002"}, lambda row: "0002" in row["source_path"]),
        ({"source_path": "=photo0002.jpg"}, lambda row: row["source_path"] == "photo0002.jpg"),
        ({"text": "BLURRED"}, lambda row: "blurred" in (row["message"] or "")),
        ({"expr": "abs(yaw) < 0.1 and q_sharpness > 0.7"},
         lambda row: row["yaw"] is not None and abs(row["yaw"]) < 0.1 and row["q_sharpness"] > 0.7),
        ({"mark": "null"}, lambda row: True),
        ({"mark": "reject"}, lambda row: False),
    ],
)  # fmt: skip
def test_a_query_finds_the_rows_that_the_columns_say(dataset, rows, query, test):
    wanted = [row["sample_id"] for row in rows if test(row)]
    shown = window(dataset, ask(dataset, **query), 0, 500, 0)
    assert [row["id"] for row in shown["rows"]] == wanted
    assert found(dataset, ask(dataset, **query))["total"] == len(wanted)


@pytest.mark.parametrize("name", ["q_sharpness", "yaw", "reason", "selected", "source_path", "bfm_id[0]"])
@pytest.mark.parametrize("turned", [False, True])
def test_rows_are_sorted_and_those_without_a_value_come_last(dataset, rows, name, turned):
    column, _, place = name.removesuffix("]").partition("[")
    values = {row["sample_id"]: row[column] if not place or row[column] is None else row[column][int(place)]
              for row in rows}  # fmt: skip
    order = [row["id"] for row in window(dataset, ask(dataset, sort=f"-{name}" if turned else name), 0, 500, 0)["rows"]]
    assert sorted(order) == sorted(values)
    sorted_values = [values[one] for one in order]
    known = [value for value in sorted_values if value is not None]
    assert known == sorted(known, reverse=turned)
    assert sorted_values[: len(known)] == known


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"q_sharpnes": "1.."}, "near it: q_sharpness"),
        ({"q_sharpness": "wide"}, "expected numbers, as in q_sharpness=0.2..0.5"),
        ({"bfm_exp": "1.."}, r"holds 64 numbers; name one: bfm_exp\[0\]"),
        ({"bfm_exp[64]": "1.."}, "holds 64"),
        ({"selected": "perhaps"}, "expected true or false"),
        ({"expr": "import os"}, "is no expression"),
        ({"set": "abc"}, "choose the pictures again"),
        ({"text": "x" * 5000}, "more than 4,096 characters"),
    ],
)
def test_what_cannot_be_asked_says_what_can(dataset, query, message):
    with pytest.raises(ConfigError, match=message):
        found(dataset, ask(dataset, **query))


def test_windows_put_together_are_the_whole(dataset):
    query = ask(dataset, sort="-q_sharpness")
    whole = window(dataset, query, 0, 500, 0)["rows"]
    pieces = [row for first in range(0, 30, 7) for row in window(dataset, query, first, 7, 0)["rows"]]
    assert pieces == whole
    assert [row["value"] for row in whole[:3]] == sorted((row["value"] for row in whole[:3]), reverse=True)


def test_a_kept_set_is_a_filter(dataset):
    ids = dataset.census.ids[3:7]
    name = dataset.keep_set(reversed(ids))
    assert dataset.keep_set(ids) == name
    assert [row["id"] for row in window(dataset, ask(dataset, set=name), 0, 9, 0)["rows"]] == ids
    with pytest.raises(ConfigError, match="no sample of this data set"):
        dataset.keep_set(["0" * 32])


@pytest.mark.parametrize("name", ["status", "reason", "selected", "split", "mark"])
def test_a_bar_counts_the_rows_that_a_click_on_it_finds(dataset, name):
    (chart,) = charts(dataset, ask(dataset, q_sharpness="0.75.."), [name])
    assert sum(chart["all"]) == len(dataset)
    for value, count in zip(chart["values"], chart["counts"], strict=True):
        assert found(dataset, ask(dataset, q_sharpness="0.75..", **{name: value}))["total"] == count


@pytest.mark.parametrize("name", ["q_frontal", "yaw", "bfm_exp[0]", "q_sharpness"])
def test_a_histogram_holds_the_rows_between_its_edges(dataset, name):
    (chart,) = charts(dataset, ask(dataset, q_sharpness="0.75.."), [name])
    others = {} if name == "q_sharpness" else {"q_sharpness": "0.75.."}  # a column's own filter does not hide its bars
    assert sum(chart["counts"]) + chart["null"] == found(dataset, ask(dataset, **others))["total"]
    for i, count in enumerate(chart["counts"]):
        least, most = chart["edges"][i] - 1e-4, chart["edges"][i + 1] + 1e-4
        assert found(dataset, ask(dataset, **others, **{name: f"{least}..{most}"}))["total"] >= count
    wide = f"{chart['edges'][0] - 1e-4}..{chart['edges'][-1] + 1e-4}"
    assert found(dataset, ask(dataset, **others, **{name: wide}))["total"] == sum(chart["counts"]) > 0


def test_cells_hold_what_the_columns_hold(dataset):
    data = heat(dataset, ask(dataset), "yaw", "pitch")
    yaw, pitch = dataset.columns.numbers("yaw"), dataset.columns.numbers("pitch")
    assert np.sum(data["counts"]) == np.count_nonzero(np.isfinite(yaw) & np.isfinite(pitch))
    y, x = np.argwhere(np.array(data["counts"]))[0]
    inside = (yaw >= data["across_edges"][x] - 1e-4) & (yaw <= data["across_edges"][x + 1] + 1e-4)
    assert np.count_nonzero(inside & (pitch >= data["up_edges"][y] - 1e-4) & (pitch <= data["up_edges"][y + 1] + 1e-4))


def test_an_opened_sample_says_all_that_the_manifest_says(dataset, rows):
    for place in (0, len(rows) - 1):
        said, row = sample_facts(dataset, place), rows[place]
        facts = {name: value for group in said["facts"].values() for name, value, *_ in group}
        assert said["id"] == row["sample_id"]
        for name, value in facts.items():
            assert value == pytest.approx(row[name]) if isinstance(value, float) else value == row[name], name
        scalars = {n for n, v in row.items() if v is not None and not isinstance(v, list | bytes)}
        assert scalars <= set(facts)
    accepted = next(i for i, row in enumerate(rows) if row["status"] == "ok")
    assert [one["key"] for one in sample_facts(dataset, accepted)["pictures"]] == [
        "photograph", "crop", "superres", "cutout", "alpha", "portrait", "face",
    ]  # fmt: skip
    assert "square" in sample_facts(dataset, accepted)["marks"]["photograph"]["layers"]
