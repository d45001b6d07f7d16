"""The scale bench measures the real machinery: its stand-ins are a DAG like the real one, and end as the donor did."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataprep.tables.store import Store
from pipelines import paper_stages
from pipelines.engine.last_run import remember
from pipelines.engine.run import run
from pipelines.executors.serial_executor import SerialExecutor
from tests.fake_dataset import make_dataset, make_photos
from tools.scale.many_people import make_people
from tools.scale.once import main
from tools.scale.small_photos import make_tiny_photos
from tools.scale.standin_stages import bare, replayed

ROWS = 70


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "photos"
    make_tiny_photos(folder, ROWS)
    return folder


def test_bare_stages_are_the_twelve_and_every_row_goes_through_all(tiny, tmp_path, capsys):
    assert main(["bare", str(tiny), str(tmp_path / "out"), "--workers", "serial"]) == 0
    measured = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert measured["rows"] == ROWS
    assert measured["us_per_item_and_stage"] > 0
    assert measured["driver_mib"] > 10
    assert tuple(stage.name for stage in bare().steps) == paper_stages.STAGE_NAMES
    store, dag = Store(tmp_path / "out"), bare()
    for stage in dag.stages:
        rows = [row for part in store.committed(dag.refs[stage.name]) for row in store.rows(dag.refs[stage.name], part)]
        assert len({row["sample_id"] for row in rows if row["status"] == "ok"}) == ROWS


def test_a_replay_has_the_donors_labels_and_no_near_duplicates(tiny, tmp_path):
    make_photos(tmp_path / "photos", 6)
    view = make_dataset(tmp_path / "photos", tmp_path / "donor", {}, small=True)
    remember(view.store, paper_stages.build())
    with SerialExecutor() as executor:
        assert not run(tiny, tmp_path / "out", replayed(tmp_path / "donor").until("manifest"), executor).failed
    donor = pq.read_table(tmp_path / "donor" / "manifest.parquet").to_pylist()
    rows = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    assert len(rows) == ROWS
    assert all(row["selected"] for row in rows)
    assert {tuple(row["bfm_exp"]) for row in rows} == {tuple(row["bfm_exp"]) for row in donor}


def test_varied_people_are_distinct_and_the_same_for_any_count(tmp_path):
    make_people(tmp_path / "a", 5)
    make_people(tmp_path / "b", 3)
    files = sorted((tmp_path / "a").iterdir())
    assert len({file.read_bytes() for file in files}) == 5
    for file in (tmp_path / "b").iterdir():
        assert file.read_bytes() == (tmp_path / "a" / file.name).read_bytes()
    assert all(min(np.asarray(Image.open(file)).shape[:2]) >= 128 for file in files)
