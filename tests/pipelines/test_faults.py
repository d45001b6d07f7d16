"""Faults cost the guilty image its row, and nobody else's. (spec 3, section 4 and promise 4)"""

import shutil

import pytest

from dataprep.store import Store
from pipelines.executors import DaskExecutor
from pipelines.index import read_index
from pipelines.run import run
from tests.pipelines.poison import poison_dag
from tests.pipelines.toy import make_photos


def end_of_each(out, dag, stage):
    store, ref = Store(out), dag.refs[stage]
    paths = {source.sample_id: source.path for source in read_index(out)}
    rows = [row for part in sorted(store.committed(ref)) for row in store.rows(ref, part)]
    return {paths[row["sample_id"]]: (row["status"], row["reason"]) for row in rows}


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    make_photos(folder, 40)
    for i, fault in enumerate(("segfault", "hang", "memory", "exception")):
        shutil.move(folder / f"photo{10 * i + 1:04d}.png", folder / f"{fault}.png")
    (folder / "broken0.jpg").rename(folder / "truncated.jpg")
    return folder


def test_exactly_the_guilty_images_are_lost(photos, tmp_path):
    dag, out = poison_dag(), tmp_path / "out"
    with DaskExecutor("local", 2) as executor:
        summary = run(photos, out, dag, executor)
    assert not summary.failed
    ended = end_of_each(out, dag, "poisonous")
    lost = {path: status for path, (status, _) in ended.items() if status != "ok"}
    assert lost == {
        "segfault.png": "crash", "hang.png": "timeout", "memory.png": "crash", "exception.png": "error",
        "truncated.jpg": "upstream",
    }  # fmt: skip
    assert ended["segfault.png"][1] == "signal_11"
    assert ended["memory.png"][1] == "out_of_memory"
    assert len(ended) == 41
