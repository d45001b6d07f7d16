"""Photographs and data sets on an object store: a real S3 server on loopback, or `memory://` where no bytes travel."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from dataprep.errors import ConfigError, Unreachable, Unwritable
from dataprep.files import locations
from dataprep.files.locations import ObjectPath
from dataprep.tables.sources import identify, scan
from dataprep.tables.store import atomic_file, write_json
from pipelines.commands import retry, verify
from pipelines.engine.index import read_index
from pipelines.engine.lock import run_lock
from pipelines.main import main
from tests.faulty_store import Fault, FaultyStore
from tests.object_store import S3Server, contents, make_bucket, s3_server, upload
from tests.pipelines.test_run import payload, run_serial
from tests.pipelines.toy import make_photos

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    make_photos(folder, 9)
    (folder / "deeper" / ".hidden").mkdir(parents=True)
    (folder / "deeper" / ".hidden" / "no.png").write_bytes(b"passed over")
    (folder / "deeper" / "ünder score #1 100%.png").write_bytes((folder / "photo0002.png").read_bytes())
    return folder


@pytest.fixture(scope="module")
def on_disk(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("on_disk")
    run_serial(photos, out)
    return payload(out)


@pytest.fixture(scope="module")
def bucket(server, photos):
    found = make_bucket("photographs")
    upload(photos, found / "people")
    return found


@pytest.fixture(scope="module")
def built(bucket):
    """A data set on the object store, of photographs on it; with what was written there meanwhile."""
    out = make_bucket("built") / "some" / "where"
    run_serial(bucket / "people", out)
    return out


def stored(out: ObjectPath) -> dict[str, str]:
    """As `payload`, of an object store."""
    files = {name: data for name, data in contents(out).items() if not name.startswith("runs/")}
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def test_photographs_and_data_set_on_s3_give_the_same_bytes_as_on_disk(built, on_disk):
    assert stored(built) == on_disk


def test_photographs_on_s3_are_never_written(server: S3Server, bucket, built):
    assert server.writes_below("/built/"), "the log does not show writes"
    uploads = server.writes_below("/photographs/")
    assert len(uploads) == len(contents(bucket))
    assert all(line.startswith("PUT") for line in uploads)


def test_a_data_set_on_disk_of_photographs_on_s3_is_the_same(bucket, on_disk, tmp_path):
    run_serial(bucket / "people", tmp_path)
    assert payload(tmp_path) == on_disk


@pytest.mark.slow
def test_dask_workers_give_the_same_bytes(bucket, on_disk):
    from pipelines.engine.run import run
    from pipelines.executors.dask_executor import DaskExecutor
    from tests.pipelines.toy import toy_dag

    out = make_bucket("by-dask")
    with DaskExecutor("local", 2) as executor:
        run(bucket / "people", out, toy_dag(), executor)
    assert stored(out) == on_disk


def test_nothing_to_do_asks_little(server: S3Server, bucket, built):
    """One listing of the photographs, one a stage, six of OUT and what lies beside the stages; a few small objects.

    None is for a part or a photograph.
    """
    before = server.requests()
    assert run_serial(bucket / "people", built).plan.is_empty
    asked = server.requests() - before
    assert asked["LIST"] == 1 + 3 + 6
    assert asked.total() < 40, asked


@pytest.mark.slow
def test_new_photographs_recompute_only_themselves_and_one_part(server, photos):
    source, out = make_bucket("growing") / "in", ObjectPath("s3://growing/out")
    upload(photos, source)
    run_serial(source, out)
    (source / "photo9999.png").write_bytes((photos / "photo0001.png").read_bytes() + b"\0")
    (source / "photo0000.png").write_bytes((photos / "photo0002.png").read_bytes())  # other bytes, another row
    plan = run_serial(source, out).plan
    assert [stage.todo for stage in plan.stages] == [(0, 2, 3)] * 3  # one left, one filled a part, one began a part
    assert len(read_index(out)) == 12


def test_a_killed_driver_goes_on_to_the_same_bytes(bucket, on_disk):
    out = make_bucket("killed") / "out"
    code = (
        "from dataprep.files.locations import ObjectPath as P; from tests.pipelines.test_run import run_serial; "
        f"run_serial(P({str(bucket / 'people')!r}), P({str(out)!r}))"
    )

    def parts() -> int:
        return sum(name.endswith(".parquet") for name, _ in out.walk() if name.startswith("stages/"))

    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
    while process.poll() is None and parts() < 5:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    run_serial(bucket / "people", out)
    assert stored(out) == on_disk


@pytest.mark.slow
def test_sample_people_through_the_real_stages_are_the_same(server, tmp_path):
    """All twelve stages with the small network; the driver is killed once on the way."""
    photos = tmp_path / "photos"
    for name in ("no_segment/p001.jpg", "segments/p001.png", "photos/p020.jpg", "bad/grey16.png"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "samples" / "people" / name, photos / name)
    out, source = make_bucket("real") / "out", ObjectPath("s3://real/photos")
    upload(photos, source)
    command = [
        sys.executable, "-m", "pipelines.main", "run", "--workers", "2", "--set", "superres.model=span",
        "--set", "superres.precision=float32",
    ]  # fmt: skip
    subprocess.run([*command, str(photos), "--out", str(tmp_path / "out")], cwd=ROOT, check=True)
    process = subprocess.Popen([*command, str(source), "--out", str(out)], cwd=ROOT)
    while process.poll() is None and not any(name.endswith(".tar") for name, _ in out.walk()):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    subprocess.run([*command, str(source), "--out", str(out)], cwd=ROOT, check=True)
    machine = {"report/timing.json", "report/timing.html"}
    assert {name: sha for name, sha in stored(out).items() if name not in machine} == payload(tmp_path / "out")
    assert verify.defects_of(out, deep=True).defects == ()


def test_commands_work_on_urls(bucket, built, capsys):
    out = built
    for verb in ("status", "errors"):
        assert main([verb, str(out)]) == 0, verb
    said = capsys.readouterr().out
    assert "11 inputs in 3 parts" in said
    assert "brightness: error, ZeroDivisionError: 1 image" in said
    assert main(["errors", str(out), "--traceback"]) == 0
    assert "is unlucky" in capsys.readouterr().out.rpartition("Traceback")[2]
    assert retry.retry(out, "brightness", "error", "") == 0
    assert [len(stage.todo) for stage in run_serial(bucket / "people", out).plan.stages] == [0, 1, 1]
    assert verify.defects_of(out, deep=True).defects == ("manifest: not built yet",)  # this DAG has none


def test_verify_finds_a_damaged_and_a_missing_object(built):
    out = make_bucket("damaged")
    for name, data in contents(built).items():
        (out / name).write_bytes(data)
    tars = sorted(name for name in contents(out) if name.endswith(".tar"))
    damaged = bytearray((out / tars[0]).read_bytes())
    damaged[600] ^= 1
    (out / tars[0]).write_bytes(bytes(damaged))
    (out / tars[1]).unlink()
    defects = [defect for defect in verify.defects_of(out, deep=True).defects if "manifest" not in defect]
    assert len(defects) == 2
    assert "other bytes" in defects[0]
    assert tars[0] in defects[0]
    assert "missing" in defects[1]
    assert tars[1] in defects[1]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://host/folder", "not known; expected a folder"),
        ("s3://no-such-bucket/out", "no bucket is named 'no-such-bucket'; make it: aws s3 mb"),
        ("s3://", "names no bucket"),
        ("memory://a/b", "gone when this command ends"),
        ("s3://built/nothing", "holds no data set .* shhq-hs run SOURCE --out s3://built/nothing"),
    ],
)
def test_a_wrong_url_is_told_with_what_to_type(server, built, url, words, capsys):
    assert main(["status", url]) == 2
    assert re.search(words, capsys.readouterr().err)


def test_commands_for_folders_say_so(server, built, capsys):
    assert main(["show", str(built), "photo0000.png"]) == 2
    assert f"copy it first: aws s3 sync {built} FOLDER" in capsys.readouterr().err


def test_no_photographs_under_a_url(server, built, tmp_path):
    with pytest.raises(ConfigError, match="'s3://built/empty' holds no image file"):
        run_serial(ObjectPath("s3://built/empty"), tmp_path)


def fresh(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Another process, for what is read from the environment once."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; from pipelines.main import main; sys.exit(main({command.split()!r}))"],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True,
    )  # fmt: skip


def test_absent_credentials_and_an_absent_package_are_told(built, tmp_path):
    home = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    unknown = fresh(f"status {built}", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", **home)
    assert unknown.returncode == 2
    assert "set AWS_ACCESS_KEY_ID" in unknown.stderr
    (tmp_path / "s3fs.py").write_text("raise ImportError('no s3fs here')\n")
    absent = fresh(f"status {built}", PYTHONPATH=str(tmp_path))
    assert absent.returncode == 2
    assert "pip install 'shhq-hs[s3]'" in absent.stderr


@pytest.mark.slow
def test_denied_access_is_told(server, bucket, monkeypatch, tmp_path, capsys):
    with s3_server(tmp_path, INITIAL_NO_AUTH_ACTION_COUNT="0") as strict:
        monkeypatch.setenv("AWS_ENDPOINT_URL", strict.url)
        locations._filesystem.cache_clear()
        try:
            assert main(["status", str(bucket)]) == 2
            assert "these credentials may not list the bucket" in capsys.readouterr().err
            with pytest.raises(Unwritable, match="photographs/x cannot be written: permission denied"):
                write_json(bucket / "x", {})
        finally:
            monkeypatch.undo()
            locations._filesystem.cache_clear()


# --- faults ------------------------------------------------------------------------------------------------------


@pytest.fixture
def through(server, monkeypatch):
    """The store seen through a proxy that fails."""
    stores = []

    def begin(fault_of) -> FaultyStore:
        stores.append(FaultyStore(server.url, fault_of))
        monkeypatch.setenv("AWS_ENDPOINT_URL", stores[-1].url)
        locations._filesystem.cache_clear()
        return stores[-1]

    yield begin
    for store in stores:
        store.close()
    monkeypatch.undo()
    locations._filesystem.cache_clear()


def one_in(most: int) -> Callable[[int, str, str], Fault]:
    """Draw a fault of any kind for one request in `most`, the same ones every time."""
    random = np.random.default_rng(most)
    kinds = get_args(Fault)[1:]
    return lambda number, verb, path: kinds[random.integers(len(kinds))] if random.random() * most < 1 else ""


@pytest.mark.slow
@pytest.mark.parametrize("most", [100, 10])
def test_a_store_that_throttles_errs_and_drops_connections_changes_nothing(through, bucket, on_disk, most):
    """One request in a hundred, and one in ten; a first run, one with nothing to do, one that checks every byte."""
    out = make_bucket(f"faults-{most}") / "out"
    store = through(one_in(most))
    run_serial(bucket / "people", out)
    assert stored(out) == on_disk
    for _ in range(3):
        assert run_serial(bucket / "people", out).plan.is_empty
    assert verify.defects_of(out, deep=True).defects == ("manifest: not built yet",)
    assert len(store.faults) == 4 or most > 10, store.faults
    assert store.faults.total() > store.requests / most / 3


@pytest.mark.slow
@pytest.mark.parametrize("fault", get_args(Fault)[1:])
def test_a_fault_of_any_kind_is_survived_by_every_kind_of_request(through, bucket, fault):
    """The first request of each kind fails; what is written, listed and read is right all the same."""
    path = make_bucket(f"each-{fault}") / "object"
    for act, right in (
        (lambda: path.write_bytes(b"x" * 1000), None),
        (path.read_bytes, b"x" * 1000),
        (lambda: path.read_range(10, 5), b"xxxxx"),
        (lambda: path.stat().st_size, 1000),
        (path.parent.names, ["object"]),
        (lambda: [name for name, _ in path.parent.walk()], ["object"]),
        (path.unlink, None),
        (path.exists, False),
    ):
        store = through(lambda number, verb, where: fault if number == 1 else "")
        assert act() == right
        assert store.faults.total() == 1


def test_a_lock_whose_answer_was_lost_is_taken(through):
    """The conditional PUT was carried out, so that sending it again finds a lock: its own."""
    out = make_bucket("lost-lock") / "out"
    store = through(lambda number, verb, path: "lost" if (verb, store.faults.total()) == ("PUT", 0) else "")
    with run_lock(out):
        assert store.faults["lost"] == 1
        assert (out / "runs" / "lock.json").exists()
    assert not (out / "runs" / "lock.json").exists()


def test_a_store_that_stays_away_is_told_and_costs_no_input_its_row(server, bucket, monkeypatch, tmp_path):
    found = scan(bucket / "people")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
    locations._filesystem.cache_clear()
    try:
        with pytest.raises(Unreachable, match="run the command again"):
            identify(bucket / "people", found[:1])
        with pytest.raises(Unwritable, match="finished parts are whole"), atomic_file(bucket / "x") as file:
            file.write(b"x")
        with pytest.raises(ConfigError, match="cannot be reached"):
            bucket.require_reachable()
    finally:
        monkeypatch.undo()
        locations._filesystem.cache_clear()
