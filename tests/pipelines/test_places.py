"""Places that go away or have no room: SOURCE, memory, processors, shared memory, open files."""

import math
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dataprep.errors import ConfigError, Unreachable
from dataprep.pictures.codecs import decode_photograph
from dataprep.tables.sources import identify, scan
from dataprep.tables.store import Store
from pipelines.engine import resume
from pipelines.engine.index import read_index
from pipelines.engine.isolation import run_part_isolated
from pipelines.engine.run import run
from pipelines.engine.task import PartTask
from pipelines.executors.serial_executor import SerialExecutor
from pipelines.machine import cgroups
from pipelines.machine.resources import require_room
from tests.pipelines.test_run import payload, run_serial
from tests.pipelines.test_stops import small_disk
from tests.pipelines.toy import Brightness, make_photos, toy_dag


@pytest.fixture
def photos(tmp_path):
    make_photos(tmp_path / "photos", 11)
    return tmp_path / "photos"


def goes_away_at(number, folder, monkeypatch, empty):
    """SOURCE is unmounted while the photograph of that number is being worked on."""
    plain, seen = Brightness.process_item, []

    def process_item(self, item, tools):
        seen.append(item.sample_id)
        if len(seen) == number:
            folder.rename(folder.with_name("elsewhere"))
            if empty:
                folder.mkdir()
        return plain(self, item, tools)

    monkeypatch.setattr(Brightness, "process_item", process_item)


@pytest.mark.parametrize("empty", [False, True], ids=["gone", "empty"])
def test_a_source_that_goes_away_stops_the_run_and_blames_no_photograph(photos, tmp_path, monkeypatch, empty, capsys):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        goes_away_at(6, photos, patch, empty)
        with pytest.raises(Unreachable, match="mount it again"), resume.hint("shhq-hs run the photos"):
            run_serial(photos, out)
    assert "to resume, when that is fixed: shhq-hs run the photos" in capsys.readouterr().err
    shutil.rmtree(photos, ignore_errors=True)
    photos.with_name("elsewhere").rename(photos)
    run_serial(photos, out)
    run_serial(photos, tmp_path / "undisturbed")
    assert payload(out) == payload(tmp_path / "undisturbed")


def test_a_photograph_that_goes_away_costs_its_own_row(photos, tmp_path, monkeypatch):
    plain = Brightness.process_item

    def process_item(self, item, tools):
        (photos / "photo0004.png").unlink(missing_ok=True)
        return plain(self, item, tools)

    monkeypatch.setattr(Brightness, "process_item", process_item)
    run_serial(photos, tmp_path / "out")
    rows = [row for part in range(3) for row in Store(tmp_path / "out").rows(toy_dag().refs["ingest"], part)]
    assert [(row["source_path"], row["message"]) for row in rows if row["reason"] == "unreadable"] == [
        ("photo0004.png", "the file cannot be read: no such file or directory")
    ]


def test_a_source_that_goes_away_while_it_is_hashed_refuses_no_photograph(photos):
    found = scan(photos)
    photos.rename(photos.with_name("elsewhere"))
    with pytest.raises(Unreachable, match="SOURCE"):
        identify(photos, found)


def test_a_source_that_goes_away_under_isolated_images_blames_none(photos, tmp_path):
    out, dag = tmp_path / "out", toy_dag()
    with SerialExecutor() as executor:
        run(photos, out, dag.until("ingest"), executor)
    photos.rename(photos.with_name("elsewhere"))
    upstream = dag.upstream(dag.stages[1])
    with pytest.raises(Unreachable, match="SOURCE"):
        run_part_isolated(PartTask(out, photos, dag.stages[1], dag.refs["brightness"], upstream, 0, "key", 300.0))


def test_a_row_that_fails_at_ingest_says_which_file_it_is_of(photos, tmp_path, monkeypatch):
    def fails(data):
        if len(data) < 20:
            raise OSError("a fault of the library")
        return decode_photograph(data)

    monkeypatch.setattr("dataprep.stages.ingest.decode_photograph", fails)
    run_serial(photos, tmp_path / "out")
    rows = [row for part in range(3) for row in Store(tmp_path / "out").rows(toy_dag().refs["ingest"], part)]
    assert [row["source_path"] for row in rows if row["status"] == "error"] == ["broken0.jpg"]
    assert sorted(row["source_path"] for row in rows) == sorted(s.path for s in read_index(tmp_path / "out"))


# --- what the machine lets us have -------------------------------------------------------------------------------


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def test_the_tightest_group_around_a_job_counts(tmp_path):
    """Slurm's and systemd's: the step has no limit of its own, the job around it has."""
    mount = tmp_path / "cgroup"
    write(mount / "system.slice", memory__max="max", cpu__max="max 100000")
    write(mount / "system.slice/job_7", memory__max=str(3 << 30), cpu__max="250000 100000")
    write(mount / "system.slice/job_7/step_0", memory__max="max", cpu__max="max 100000")
    write(tmp_path, membership="0::/system.slice/job_7/step_0")
    assert cgroups.limits(tmp_path / "membership", mount) == (3 << 30, 2.5)


def test_groups_of_the_older_interface_and_none(tmp_path):
    mount = tmp_path / "cgroup"
    write(mount / "memory/slurm/job_7", memory__limit_in_bytes=str(1 << 30))
    write(mount / "memory", memory__limit_in_bytes="9223372036854771712")
    write(mount / "cpu,cpuacct/slurm", cpu__cfs_quota_us="400000", cpu__cfs_period_us="100000")
    write(mount / "cpu,cpuacct/slurm/job_7", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    write(tmp_path, membership="5:memory:/slurm/job_7\n4:cpu,cpuacct:/slurm/job_7\n1:name=systemd:/x")
    assert cgroups.limits(tmp_path / "membership", mount) == (1 << 30, 4.0)
    assert cgroups.limits(tmp_path / "none", tmp_path / "nowhere") == (math.inf, math.inf)


def test_a_container_sees_its_own_group_at_the_top(tmp_path):
    write(tmp_path / "cgroup", memory__max=str(2 << 30), cpu__max="50000 100000")
    write(tmp_path, membership="0::/../../outside")
    assert cgroups.limits(tmp_path / "membership", tmp_path / "cgroup") == (2 << 30, 0.5)


def test_full_shared_memory_is_said_in_a_sentence(tmp_path):
    require_room(2)
    with small_disk(tmp_path / "shm", 64):
        if not os.path.ismount(tmp_path / "shm"):
            pytest.skip("only a mounted file system can be full")
        with pytest.raises(ConfigError, match=r"shm is full.*--cluster serial"):
            require_room(2, tmp_path / "shm")


def test_too_few_open_files_are_said_in_a_sentence(tmp_path):
    make_photos(tmp_path / "photos", 2)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80)); "
        "from pipelines.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "run", str(tmp_path / "photos"), "--out", str(tmp_path / "out")]
    ended = subprocess.run(
        [*command, "--until", "ingest", "--workers", "2"], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert "may open 80 files, 2 workers need 96" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_as_many_open_files_as_the_system_allows():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
    try:
        require_room(2)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
