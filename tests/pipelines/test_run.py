"""The driver's promises on a toy DAG: conservation of rows, same bytes everywhere, exact resume."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataprep.errors import StoreError
from dataprep.tables.store import Store
from pipelines.engine.index import read_index
from pipelines.engine.plan import make_plan
from pipelines.engine.run import run
from pipelines.executors.dask_executor import DaskExecutor
from pipelines.executors.serial_executor import SerialExecutor
from tests.pipelines.toy import make_photos, toy_dag


def payload(out: Path) -> dict[str, str]:
    """Hash of every file that users take away or that the next run builds on."""
    machine = {"timing.json", "timing.html"}  # of the report: what the runs took
    files = [p for p in out.rglob("*") if p.is_file() and "runs" not in p.relative_to(out).parts]
    files = [p for p in files if p.name not in machine]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(files)}


def run_serial(photos, out, **parameters):
    with SerialExecutor() as executor:
        return run(photos, out, toy_dag(**parameters), executor)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    make_photos(folder, 30)
    return folder


@pytest.fixture(scope="module")
def built(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("built")
    run_serial(photos, out)
    return out


def rows_of(out, stage):
    dag = toy_dag()
    store = Store(out)
    return [row for part in sorted(store.committed(dag.refs[stage])) for row in store.rows(dag.refs[stage], part)]


def test_every_input_has_a_row_in_every_stage(built):
    ids = [s.sample_id for s in read_index(built)]
    assert len(ids) == len(set(ids)) == 31
    for stage in ("ingest", "brightness", "inverted"):
        assert [row["sample_id"] for row in rows_of(built, stage)] == ids


def test_each_row_says_how_it_ended(built):
    paths = {s.sample_id: s.path for s in read_index(built)}
    ended = {
        stage: {paths[r["sample_id"]]: r for r in rows_of(built, stage)}
        for stage in ("ingest", "brightness", "inverted")
    }
    assert (ended["ingest"]["broken0.jpg"]["status"], ended["ingest"]["broken0.jpg"]["reason"]) == (
        "rejected",
        "undecodable",
    )
    assert ended["brightness"]["broken0.jpg"]["status"] == "upstream"
    assert ended["brightness"]["photo0003.png"]["reason"] == "dark"
    failed = ended["brightness"]["photo0007.png"]
    assert (failed["status"], failed["reason"]) == ("error", "ZeroDivisionError")
    assert failed["message"] == "the number 99 is unlucky"
    assert ended["inverted"]["photo0007.png"]["reason"] == "brightness"
    counts = [
        sum(r["status"] == s for r in ended["brightness"].values()) for s in ("ok", "rejected", "error", "upstream")
    ]
    assert counts == [25, 3, 2, 1]


def test_tracebacks_go_to_the_event_log_only(photos, tmp_path):
    run_serial(photos, tmp_path)
    events = [
        json.loads(line) for path in tmp_path.glob("runs/*/events.jsonl") for line in path.read_text().splitlines()
    ]
    assert any(e["event"] == "error" and "ZeroDivisionError" in e["traceback"] for e in events)
    assert b"Traceback" not in b"".join(p.read_bytes() for p in tmp_path.glob("stages/**/*.parquet"))


@pytest.mark.parametrize("workers", [1, 2])
def test_dask_gives_the_same_bytes_as_serial(photos, built, tmp_path, workers):
    with DaskExecutor("local", workers) as executor:
        run(photos, tmp_path, toy_dag(), executor)
    assert payload(tmp_path) == payload(built)


def test_a_ledger_that_a_dying_run_left_out_is_written_by_the_next(photos, built, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(built, out)
    for path in out.glob("stages/*/ledger.json"):
        path.unlink()
    assert run_serial(photos, out).plan.is_empty
    assert payload(out) == payload(built)


def test_a_second_run_does_nothing(photos, built):
    before = {p: p.stat().st_mtime_ns for p in built.rglob("stages/**/*.parquet")}
    assert run_serial(photos, built).plan.is_empty
    assert {p: p.stat().st_mtime_ns for p in built.rglob("stages/**/*.parquet")} == before


def test_a_changed_parameter_reruns_its_stage_and_those_below(photos, tmp_path):
    run_serial(photos, tmp_path)
    plan = run_serial(photos, tmp_path, offset=5.0).plan
    assert {s.name: (bool(s.todo), s.reason) for s in plan.stages} == {
        "ingest": (False, ""), "brightness": (False, ""), "inverted": (True, "offset: 0.0 -> 5.0"),
    }  # fmt: skip
    assert plan.aggregates["listing"]
    plan = run_serial(photos, tmp_path, gain=1.5, offset=5.0).plan
    assert [bool(s.todo) for s in plan.stages] == [False, True, True]
    assert plan.stages[2].reason == "upstream changed: brightness"
    back = run_serial(photos, tmp_path).plan
    assert not any(s.todo for s in back.stages)
    assert back.aggregates["listing"], "the listing on disk was the other variant's"


def test_added_inputs_recompute_only_themselves_and_one_part(tmp_path):
    make_photos(tmp_path / "photos", 30)
    run_serial(tmp_path / "photos", tmp_path / "out")
    make_photos(tmp_path / "photos", 2, first=500)
    plan = run_serial(tmp_path / "photos", tmp_path / "out").plan
    assert [s.todo for s in plan.stages] == [(7, 8)] * 3  # 31 = 7 full parts of 4 and one of 3; 3 more inputs
    assert plan.stages[0].reason == "inputs changed in 1 parts"


def test_a_changed_input_is_a_new_input(tmp_path):
    make_photos(tmp_path / "photos", 8)
    run_serial(tmp_path / "photos", tmp_path / "out")
    Image.new("RGB", (32, 32), "red").save(tmp_path / "photos/photo0000.png")
    run_serial(tmp_path / "photos", tmp_path / "out")
    assert len(read_index(tmp_path / "out")) == 9
    rows = rows_of(tmp_path / "out", "inverted")
    assert {row["sample_id"] for row in rows} == {s.sample_id for s in read_index(tmp_path / "out")}


def test_inputs_are_never_touched(tmp_path):
    make_photos(tmp_path / "photos", 8)
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "photos").iterdir()}
    run_serial(tmp_path / "photos", tmp_path / "out")
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "photos").iterdir()} == before


def test_part_files_without_a_ledger_are_recognised(photos, tmp_path):
    run_serial(photos, tmp_path)
    for ledger in tmp_path.glob("stages/*/ledger.json"):
        ledger.unlink()
    assert make_plan(Store(tmp_path), toy_dag(), read_index(tmp_path)).is_empty


def test_a_killed_driver_goes_on_to_the_same_bytes(photos, built, tmp_path):
    """SIGKILL of the whole process group at several points, then the same command."""
    code = (
        "import sys; from pathlib import Path; from tests.pipelines.test_run import run_serial; "
        f"run_serial(Path({str(photos)!r}), Path({str(tmp_path)!r}))"
    )
    command, root = [sys.executable, "-c", code], Path(__file__).parents[2]
    for wanted in (1, 9, 14):
        process = subprocess.Popen(command, start_new_session=True, cwd=root, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(tmp_path.glob("stages/*/part-*.parquet"))) < wanted:
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, cwd=root)
    assert payload(tmp_path) == payload(built)


def test_another_folder_of_photos_is_refused(built, tmp_path):
    make_photos(tmp_path, 3, first=900)
    with pytest.raises(StoreError, match="other photographs"):
        run_serial(tmp_path, built)


def test_a_run_in_progress_keeps_others_out(photos, tmp_path):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (tmp_path / "runs").mkdir()
    lock = {"host": os.uname().nodename, "pid": other.pid}
    (tmp_path / "runs/lock.json").write_text(json.dumps(lock))
    try:
        with pytest.raises(StoreError, match=f"process {other.pid}"):
            run_serial(photos, tmp_path)
    finally:
        other.kill()
        other.wait()
    run_serial(photos, tmp_path)  # the holder is dead: its lock is taken over


def test_parquet_says_what_its_columns_mean(built):
    path = next(built.glob("stages/brightness-*/part-000000.parquet"))
    field = pq.read_schema(path).field("corners")
    assert field.metadata == {b"unit": b"-", b"frame": b"-", b"shape": b"2x2", b"desc": b"grey levels of the corners"}
