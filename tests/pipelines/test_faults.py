"""Faults cost the guilty image its row, and nobody else's."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dataprep.tables.store import Store
from pipelines import paper_stages
from pipelines.engine.index import read_index
from pipelines.engine.run import run
from pipelines.executors.dask_executor import DaskExecutor
from tests.pipelines.poison import poison_dag
from tests.pipelines.toy import make_photos
from tools.scale.many_people import make_people

ROOT = Path(__file__).parents[2]
POISONS = {"segfault": "crash", "spin": "timeout", "hang": "timeout", "memory": "crash", "exception": "error"}


def end_of_each(out, dag, stage):
    store, ref = Store(out), dag.refs[stage]
    paths = {source.sample_id: source.path for source in read_index(out)}
    rows = [row for part in sorted(store.committed(ref)) for row in store.rows(ref, part)]
    return {paths[row["sample_id"]]: (row["status"], row["reason"]) for row in rows}


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    make_photos(folder, 40)
    for i, fault in enumerate(POISONS):
        shutil.move(folder / f"photo{8 * i + 1:04d}.png", folder / f"{fault}.png")
    (folder / "broken0.jpg").rename(folder / "truncated.jpg")
    return folder


def test_exactly_the_guilty_images_are_lost(photos, tmp_path, capfd):
    dag, out = poison_dag(), tmp_path / "out"
    shutil.copy(photos / "photo0002.png", photos / "glutton.png")
    with (photos / "glutton.png").open("ab") as file:
        file.write(b"no duplicate")
    with DaskExecutor("local", 1, worker_bytes=16 << 30):
        pass  # what an earlier cluster of this process gave its workers is nothing to the next one's
    with DaskExecutor("local", 2, worker_bytes=600 << 20) as executor:
        summary = run(photos, out, dag, executor)
    assert not summary.failed
    ended = end_of_each(out, dag, "poisonous")
    lost = {path: status for path, (status, _) in ended.items() if status != "ok"}
    assert lost == {
        "segfault.png": "crash", "spin.png": "timeout", "hang.png": "timeout", "memory.png": "crash",
        "exception.png": "error", "glutton.png": "crash", "truncated.jpg": "upstream",
    }  # fmt: skip
    assert ended["segfault.png"][1] == "signal_11"
    assert ended["memory.png"][1] == ended["glutton.png"][1] == "out_of_memory"
    assert len(ended) == 42
    said = capfd.readouterr().err
    assert "poisonous took longer than 1 s of processor time for spin.png; it is tried again alone" in said
    assert "poisonous spin.png: not done after 1 s of processor time" in said
    assert "poisonous hang.png: it hangs" in said
    assert "Thread" not in said, "stacks belong in the log"
    (log,) = out.glob("runs/*/workers.log")
    assert "process_item" in log.read_text()


@pytest.mark.slow
def test_five_poisons_in_two_thousand_images_cost_five_rows(tmp_path):
    photos, dag, out = tmp_path / "photos", poison_dag(), tmp_path / "out"
    make_photos(photos, 2000)
    (photos / "broken0.jpg").unlink()
    faults = {f"photo{370 * i + 111:04d}-{fault}.png": fault for i, fault in enumerate(POISONS)}
    for name, fault in faults.items():
        shutil.move(photos / name.replace(f"-{fault}", ""), photos / name)
    cut = photos / "photo1911.png"
    cut.write_bytes(cut.read_bytes()[:500])
    with DaskExecutor("local", 2) as executor:
        summary = run(photos, out, dag, executor)
    assert not summary.failed
    assert not summary.stopped, "five in two thousand are within the error budget"
    first = {path: end for path, end in end_of_each(out, dag, "ingest").items() if end[0] != "ok"}
    then = {path: status for path, (status, _) in end_of_each(out, dag, "poisonous").items() if status != "ok"}
    assert first == {"photo1911.png": ("rejected", "undecodable")}
    assert then == {path: POISONS[fault] for path, fault in faults.items()} | {"photo1911.png": "upstream"}
    assert len(end_of_each(out, dag, "poisonous")) == 2000


@pytest.mark.slow
def test_a_workers_memory_stays_flat_over_a_thousand_distinct_images(tmp_path):
    """All stages, small network, one worker."""
    make_people(tmp_path / "photos", 1000)
    dag = paper_stages.build(["superres.model=span", "superres.precision=float32"]).until("quality")
    with DaskExecutor("local", 1) as executor:
        assert not run(tmp_path / "photos", tmp_path / "out", dag, executor).failed
    second, last = memory_by_hundred(tmp_path / "out")[1::8]
    assert last <= 1.05 * second, f"{second:.0f} MiB -> {last:.0f} MiB"


def memory_by_hundred(out):
    """Mean memory of the worker (MiB) while each hundred images went through."""
    (log,) = out.glob("runs/*/events.jsonl")
    parts = [event for line in log.read_text().splitlines() if (event := json.loads(line))["event"] == "part"]
    stages = len({event["stage"] for event in parts})
    done, hundreds = 0.0, {}
    for event in parts:
        hundreds.setdefault(int(done / 100), []).append(event["memory_mib"])
        done += sum(event["counts"].values()) / stages
    return [float(np.mean(values)) for _, values in sorted(hundreds.items())]


def test_a_worker_that_is_prepared_twice_still_leaves_its_stacks(tmp_path):
    """Once as it starts, and again when the driver says where its log is."""
    code = """
import sys
from pipelines.machine import watchdog
log = open(sys.argv[1], "w")
for _ in range(2):
    watchdog.enable(log, lambda stage, sample_id: sys.exit(3))
with watchdog.watch(), watchdog.limit(0.2, "stage", "0" * 32):
    while True:
        pass
"""
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "log")], cwd=ROOT, timeout=60)
    assert ended.returncode == 3
    assert "most recent call first" in (tmp_path / "log").read_text()
