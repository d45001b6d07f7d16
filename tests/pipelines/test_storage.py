"""Photographs and data sets on an object store: a real S3 server on loopback, or `memory://` where no bytes travel."""

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dataprep.errors import ConfigError, Unreachable, Unwritable
from dataprep.files import locations
from dataprep.files.locations import ObjectPath
from dataprep.tables.sources import identify, scan
from dataprep.tables.store import atomic_file, write_json
from pipelines.commands import retry, verify
from pipelines.engine.index import read_index
from pipelines.main import main
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


class FlakyProxy:
    """In front of a server: cuts every connection whose number `cuts` chooses, after part of the answer."""

    def __init__(self, server: S3Server, cuts) -> None:
        self._target = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        self._cuts, self.connections, self.cut = cuts, 0, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            self.connections += 1
            cut = self._cuts(self.connections)
            self.cut += cut
            threading.Thread(target=self._pass_on, args=(client, cut), daemon=True).start()

    def _pass_on(self, client: socket.socket, cut: bool) -> None:
        with client, socket.create_connection(self._target) as upstream:
            threading.Thread(target=_pump, args=(client, upstream, None), daemon=True).start()
            _pump(upstream, client, 100 if cut else None)
            client.shutdown(socket.SHUT_RDWR)  # closing alone waits for the other thread's reading


def _pump(source: socket.socket, target: socket.socket, limit: int | None) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data[:limit])
            if limit is not None:
                return
    except OSError:
        return


@pytest.fixture
def through(server, monkeypatch):
    """The store seen through a proxy that fails."""

    def begin(cuts) -> FlakyProxy:
        proxy = FlakyProxy(server, cuts)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        locations._filesystem.cache_clear()
        return proxy

    yield begin
    monkeypatch.undo()
    locations._filesystem.cache_clear()


@pytest.mark.slow
def test_a_network_that_drops_connections_changes_nothing(through, bucket, on_disk):
    out = make_bucket("flaky") / "out"
    proxy = through(lambda number: number % 7 == 0)
    run_serial(bucket / "people", out)
    assert proxy.cut > 5
    assert stored(out) == on_disk


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
