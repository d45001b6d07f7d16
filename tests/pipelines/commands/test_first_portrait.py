"""The first accepted portrait of a new data set can be looked at while the rest is made."""

import re
from pathlib import Path

import pytest

from dataprep.pictures.codecs import decode_rgb
from dataprep.tables.store import Store
from pipelines import paper_stages
from pipelines.engine.event_log import EventLog
from pipelines.engine.first_portrait import FirstPortrait
from pipelines.engine.task import PartReport
from pipelines.main import main
from tests.fake_dataset import End, make_dataset, make_photos


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    make_photos(folder / "photos", 6)
    make_dataset(folder / "photos", folder / "out", {"photo0000.jpg": End("quality", reason="blurred")}, small=True)
    (folder / "out" / "manifest.parquet").unlink()
    return folder / "out"


def test_it_is_the_portrait_of_an_accepted_row_and_comes_once(out):
    dag, store = paper_stages.build(), Store(out)
    first = FirstPortrait(store, dag, EventLog(out))
    assert first.found_in(PartReport("detect", 0, {"ok": 4}, 1.0)) is None
    assert first.found_in(PartReport("quality", 0, {"rejected": 4}, 1.0)) is None
    path = first.found_in(PartReport("quality", 0, {"ok": 3, "rejected": 1}, 1.0))
    assert path.parent.parent == out / "runs"
    row = next(row for row in store.rows(dag.refs["matte"], 0) if row["status"] == "ok")
    assert decode_rgb(path.read_bytes()).shape == (256, 256, 3)
    assert path.read_bytes() == store.blob_reader(dag.refs["matte"], 0, row)("portrait.png")
    assert first.found_in(PartReport("quality", 1, {"ok": 2}, 1.0)) is None


def test_damage_keeps_nobody_from_going_on(out, tmp_path):
    dag, store = paper_stages.build(), Store(out)
    part = store.part_path(dag.refs["matte"], 1)
    whole = part.read_bytes()
    part.write_bytes(whole[:-20])
    assert FirstPortrait(store, dag, EventLog(out)).found_in(PartReport("quality", 1, {"ok": 2}, 1.0)) is None
    part.write_bytes(whole)


@pytest.mark.slow
def test_a_run_tells_where_it_is(tmp_path, capsys):
    build = ["run", "samples/people/photos", "--out", str(tmp_path / "out"), "--set", "superres.model=span"]
    assert main(build) == 0
    (said,) = re.findall(r"the first portrait, after \d:\d\d: (.*)", capsys.readouterr().err)
    assert decode_rgb(Path(said).read_bytes()).shape == (512, 512, 3)
    assert main([*build, "--set", "quality.min_sharpness=0.2"]) == 0
    assert "first portrait" not in capsys.readouterr().err
