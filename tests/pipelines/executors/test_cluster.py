"""Clusters of several machines: cables are pulled, schedulers restarted, workers come late or are not as they should.

Machines are network namespaces (tests/pipelines/executors/namespaces.py); everything else is the real thing.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dataprep.errors import ConfigError
from dataprep.stages.ingest import Ingest
from pipelines.engine.dag import assemble
from pipelines.engine.run import run
from pipelines.executors.chosen_executor import make_executor
from pipelines.executors.serial_executor import SerialExecutor
from pipelines.executors.worker_process import WORKER_ENVIRONMENT
from tests.pipelines.executors import namespaces
from tests.pipelines.test_run import payload
from tests.pipelines.toy import Brightness, Inverted, Listing, make_photos, toy_dag

ROOT = Path(__file__).parents[3]
QUICK = {  # what a lost machine costs before it is noticed: seconds here, half a minute by default
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "11s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s",
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s",
}
SCHEDULER = (sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard")
WORKER = (sys.executable, "-m", "pipelines.main", "worker")
DRIVER = "from tests.pipelines.executors.test_cluster import drive; import sys; sys.exit(drive(*sys.argv[1:]))"

needs_namespaces = pytest.mark.skipif(bool(namespaces.why_not()), reason=namespaces.why_not())


@dataclass(frozen=True)
class Unhurried(Brightness):
    """Takes its time, and notes beside SOURCE on which host it did so; the bytes are Brightness's own.

    The image named by TEST_FATAL kills the process.
    """

    def process_item(self, item, tools):
        time.sleep(float(os.environ.get("TEST_PAUSE_S", "0.03")))
        if item.row["source_path"] == os.environ.get("TEST_FATAL"):
            os.kill(os.getpid(), signal.SIGSEGV)
        (item.source_root.parent / "seen" / f"{os.environ['TEST_HOST']}.{item.sample_id}").touch()
        return super().process_item(item, tools)


def unhurried_dag():
    return assemble((Ingest(min_side_px=16), Unhurried(), Inverted()), (Listing(),))


def waited_for(cluster):
    """The executor, as soon as a scheduler is there."""
    while True:
        with suppress(ConfigError):
            return make_executor(cluster, "auto")
        time.sleep(0.2)


def drive(source, out, cluster, workers="1"):
    """Build the toy data set on a cluster, once it has so many workers; what the driver's process runs."""
    with waited_for(cluster) as executor:
        executor._client.wait_for_workers(int(workers))
        failed = run(Path(source), Path(out), unhurried_dag(), executor, max_error_fraction=1.0).failed
    print(*failed, sep="\n")
    return len(failed)


@pytest.fixture
def photos(tmp_path):
    make_photos(tmp_path / "photos", 80)
    (tmp_path / "seen").mkdir()
    return tmp_path / "photos"


@pytest.fixture
def serial(photos, tmp_path):
    """What the serial executor makes of the photographs."""
    with SerialExecutor() as executor:
        run(photos, tmp_path / "serial", toy_dag(), executor)
    return payload(tmp_path / "serial")


@contextmanager
def started(*command, host="", **environment):
    """A process with children of its own, ended with them."""
    env = os.environ | WORKER_ENVIRONMENT | QUICK | {"TEST_HOST": host, "PYTHONPATH": str(ROOT)} | environment
    with tempfile.NamedTemporaryFile("w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True, stdout=log, stderr=log)
        process.log = Path(log.name)
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def until(happened, process, timeout_s=60):
    """Wait; fails with the process's words when it ends or takes too long."""
    deadline_s = time.monotonic() + timeout_s
    while not happened():
        if process.poll() is not None or time.monotonic() > deadline_s:
            pytest.fail(f"waited in vain for a process that said: {process.log.read_text()}")
        time.sleep(0.02)


def ended(process, timeout_s=90):
    """Exit status, and all that it said."""
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        pytest.fail(f"still running: {process.log.read_text()}")
    return process.returncode, process.log.read_text()


def items_of(host, tmp_path):
    return len(list((tmp_path / "seen").glob(f"{host}.*")))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.slow
@needs_namespaces
def test_a_host_whose_cable_is_pulled_loses_nothing(photos, serial, tmp_path):
    out = tmp_path / "out"
    with namespaces.hosts(3) as (hub, first, second):
        cluster = f"tcp://{hub.address}:8786"
        scheduler = hub.command(*SCHEDULER, "--host", hub.address)
        workers = [host.command(*WORKER, cluster, "--workers", "1") for host in (first, second)]
        driver = hub.command(sys.executable, "-c", DRIVER, str(photos), str(out), cluster, "2")
        with (
            started(*scheduler) as watching,
            started(*workers[0], host="first"),
            started(*workers[1], host="second"),
            started(*driver) as process,
        ):
            until(lambda: items_of("first", tmp_path) >= 5 and items_of("second", tmp_path) >= 5, process)
            second.cable("down")
            status, text = ended(process)
            noticed = watching.log.read_text()
    assert status == 0, text
    assert "Worker failed to heartbeat" in noticed  # the run did not end before the loss was felt
    assert payload(out) == serial


@pytest.mark.slow
def test_a_restarted_scheduler_costs_time_only(photos, serial, tmp_path):
    out, port = tmp_path / "out", free_port()
    cluster = f"tcp://127.0.0.1:{port}"
    scheduler = (*SCHEDULER, "--host", "127.0.0.1", "--port", str(port))
    with (
        started(*WORKER, cluster, "--workers", "1", host="here") as worker,
        started(sys.executable, "-c", DRIVER, str(photos), str(out), cluster) as process,
    ):
        with started(*scheduler):
            until(lambda: items_of("here", tmp_path) >= 5, process)
        with started(*scheduler):
            status, text = ended(process)
            assert worker.poll() is None
            worker.terminate()
            assert ended(worker)[0] == 0
    assert status == 0, text
    assert "the scheduler is back" in text
    assert payload(out) == serial


@pytest.mark.slow
def test_a_late_worker_helps_and_one_of_another_version_is_turned_away(photos, serial, tmp_path):
    other = tmp_path / "other"
    for package in ("dataprep", "gan", "pipelines", "tests"):
        shutil.copytree(ROOT / package, other / package, ignore=shutil.ignore_patterns("*.npz", "*.png", "__pycache__"))
    with (other / "dataprep" / "stages" / "ingest.py").open("a") as file:
        file.write("\n_ANOTHER_VERSION = True\n")
    out, port = tmp_path / "out", free_port()
    cluster = f"tcp://127.0.0.1:{port}"
    worker = (*WORKER, cluster, "--workers", "1")
    with (
        started(*SCHEDULER, "--host", "127.0.0.1", "--port", str(port)),
        started(sys.executable, "-c", DRIVER, str(photos), str(out), cluster) as process,
        started(*worker, host="first", TEST_PAUSE_S="0.2"),
    ):
        until(lambda: items_of("first", tmp_path) >= 5, process)
        with started("env", "-C", str(other), *worker, host="wrong", PYTHONPATH=str(other)):
            until(lambda: "is turned away" in process.log.read_text(), process)
        with started(*worker, host="late"):
            status, text = ended(process)
    assert status == 0, text
    assert "it runs another version of the code: dataprep/stages/ingest.py differ" in text
    assert items_of("wrong", tmp_path) == 0
    assert items_of("late", tmp_path) > 0
    assert payload(out) == serial


@pytest.mark.slow
def test_dasks_own_workers_isolate_an_image_that_kills_its_process(photos, tmp_path):
    """Started without our settings: their nannies make daemons of them, which may have no children of their own."""
    out, port = tmp_path / "out", free_port()
    cluster = f"tcp://127.0.0.1:{port}"
    command = (sys.executable, "-m", "distributed.cli.dask_worker", cluster, "--nthreads", "1", "--no-dashboard")
    with (
        started(*SCHEDULER, "--host", "127.0.0.1", "--port", str(port)),
        started(*command, host="here", TEST_FATAL="photo0005.png"),
        started(sys.executable, "-c", DRIVER, str(photos), str(out), cluster) as process,
    ):
        status, text = ended(process)
    assert status == 0, text
    rows = [row for path in out.glob("stages/brightness-*/*.parquet") for row in pq.read_table(path).to_pylist()]
    assert [row["reason"] for row in rows if row["status"] == "crash"] == ["signal_11"]


@needs_namespaces
@pytest.mark.slow
def test_a_build_of_samples_on_two_hosts_has_the_bytes_of_the_serial_one(tmp_path):
    """All twelve stages, with the small super-resolution network."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for path in sorted((ROOT / "samples" / "people").rglob("*.jpg"))[:10]:
        shutil.copy(path, photos)
    build = (sys.executable, "-m", "pipelines.main", "run", str(photos), "--set", "superres.model=span",
             "--set", "superres.precision=float32")  # fmt: skip
    with started(*build, "--out", str(tmp_path / "serial"), "--cluster", "serial") as process:
        assert ended(process, 900)[0] == 0, process.log.read_text()
    with namespaces.hosts(3) as (hub, first, second):
        cluster = f"tcp://{hub.address}:8786"
        no_second_try = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}  # by dask: ours, image by image
        with (
            started(*hub.command(*SCHEDULER, "--host", hub.address), **no_second_try),
            started(*first.command(*WORKER, cluster, "--workers", "1"), host="first"),
            started(*second.command(*WORKER, cluster, "--workers", "1"), host="second"),
            started(*hub.command(*build, "--out", str(out), "--cluster", cluster)) as process,
        ):
            until(lambda: len(list(out.glob("stages/detect-*/part-*.parquet"))) >= 1, process, 300)
            second.cable("down")
            status, text = ended(process, 900)
    assert status == 0, text
    assert payload(out) == payload(tmp_path / "serial")


def test_workers_say_nothing_of_their_busy_loops():
    """distributed reads its limit when it is imported, so only the environment reaches a worker."""
    look = "import distributed.core; print(distributed.core.tick_maximum_delay)"
    told = subprocess.run(
        [sys.executable, "-c", look], env=os.environ | WORKER_ENVIRONMENT, capture_output=True, text=True
    )
    assert float(told.stdout) == 600
