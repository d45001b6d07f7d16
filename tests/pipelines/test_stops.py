"""Runs that end early: error budget, interrupts, disks that do not take our bytes, two drivers on one folder."""

import json
import os
import pty
import resource
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dataprep.errors import StoreError, Unreadable, Unwritable
from dataprep.files.foreign_files import read_bytes
from dataprep.files.machine_identity import this_machine
from dataprep.tables.store import write_json
from pipelines.engine import lock, resume
from pipelines.engine.event_log import EventLog
from pipelines.engine.index import refresh
from pipelines.engine.leftovers import sweep
from pipelines.engine.lock import run_lock
from pipelines.engine.run import run
from pipelines.executors.serial_executor import SerialExecutor
from pipelines.executors.worker_process import WORKER_ENVIRONMENT
from pipelines.main import main
from tests.pipelines.ordinary_user import ordinary_user
from tests.pipelines.outage import Fragile, build
from tests.pipelines.test_run import payload
from tests.pipelines.toy import make_photos, toy_dag

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    make_photos(folder, 20)
    return folder


# --- the error budget --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    make_photos(folder, 640)
    return folder


def test_a_run_that_fails_in_numbers_stops_and_goes_on_when_repaired(many, tmp_path, monkeypatch):
    monkeypatch.setattr(Fragile, "outage", True)
    summary = build(many, tmp_path / "out")
    assert "images failed in stage brightness, more than --max-error-fraction 0.01" in summary.stopped
    assert "ConnectionError (" in summary.stopped
    assert not summary.interrupted
    done = len(list((tmp_path / "out").glob("stages/brightness-*/*.parquet")))
    assert 4 <= done <= 6, "of 11 parts"
    assert not (tmp_path / "out/listing.txt").exists()

    monkeypatch.setattr(Fragile, "outage", False)
    assert main(["retry", str(tmp_path / "out")]) == 0
    assert not build(many, tmp_path / "out").stopped
    build(many, tmp_path / "undisturbed")
    assert payload(tmp_path / "out") == payload(tmp_path / "undisturbed")


def test_rejected_images_cost_no_budget_and_the_budget_is_a_parameter(many, tmp_path, monkeypatch):
    assert not build(many, tmp_path / "a", max_error_fraction=0.0).stopped, "every tenth image is rejected"
    monkeypatch.setattr(Fragile, "outage", True)
    monkeypatch.setattr(Fragile, "outage_digit", "5")
    assert not build(many, tmp_path / "b", max_error_fraction=0.2).stopped
    assert build(many, tmp_path / "c", max_error_fraction=0.05).stopped


def test_what_is_printed_names_the_way_on(tmp_path, capsys):
    command = resume.command_line(["run", "my photos", "--out", str(tmp_path)])
    assert command == f"shhq-hs run 'my photos' --out {tmp_path}"
    assert resume.print_stopped(tmp_path, "5 of 256 images failed", False, command) == 1
    text = capsys.readouterr().out
    for words in (f"to resume: {command}\n", f"shhq-hs retry {tmp_path}\n", "--max-error-fraction 1\n"):
        assert words in text
    assert main(["run", str(tmp_path), "--out", str(tmp_path / "o"), "--max-error-fraction", "5"]) == 2


# --- interrupts --------------------------------------------------------------------------------------------------

SLOW = """
import sys, time
from pathlib import Path
from tests.pipelines import toy
plain = toy.Brightness.process_item
toy.Brightness.process_item = lambda self, item, tools: (time.sleep(float(sys.argv[3])), plain(self, item, tools))[1]
"""
ON_A_TERMINAL = """
import fcntl, signal, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests under nohup has it ignored
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
"""
SLOW_COMMAND = (
    SLOW
    + """
from pipelines import main, paper_stages
paper_stages.build = lambda settings=(): toy.toy_dag()
sys.exit(main.main(["run", sys.argv[1], "--out", sys.argv[2], "--cluster", "serial"]))
"""
)
SLOW_RUN = (
    SLOW
    + """
from pipelines.executors.serial_executor import SerialExecutor
from pipelines.engine.run import run
with SerialExecutor() as executor:
    run(Path(sys.argv[1]), Path(sys.argv[2]), toy.toy_dag(), executor)
"""
)


def start_slow(code, photos, out, item_s=0.03):
    command = [sys.executable, "-c", code, str(photos), str(out), str(item_s)]
    environment = os.environ | WORKER_ENVIRONMENT  # nobody needs torch here
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_parts(process, out, count):
    while process.poll() is None and len(list(out.glob("stages/brightness-*/part-*.parquet"))) < count:
        time.sleep(0.005)


def test_an_interrupt_ends_cleanly_and_the_printed_command_resumes(photos, tmp_path):
    out = tmp_path / "out"
    process = start_slow(SLOW_COMMAND, photos, out)
    wait_for_parts(process, out, 1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"to resume: shhq-hs run {photos} --out {out} --cluster serial" in stdout
    assert "Traceback" not in stdout + stderr
    assert not (out / "runs/lock.json").exists()
    assert list(out.glob("stages/*/ledger.json")), "what was done is in the ledgers"
    with SerialExecutor() as executor:
        assert sum(len(stage.todo) for stage in run(photos, out, toy_dag(), executor).plan.stages) > 0
        run(photos, tmp_path / "undisturbed", toy_dag(), executor)
    assert payload(out) == payload(tmp_path / "undisturbed")


def test_a_terminal_that_closes_ends_a_run_cleanly(photos, tmp_path):
    """The driver leads a session on a real terminal; closing that sends SIGHUP and leaves nowhere to print."""
    out = tmp_path / "out"
    terminal, its_side = pty.openpty()
    command = [sys.executable, "-c", ON_A_TERMINAL + SLOW_COMMAND, str(photos), str(out), "0.03"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | WORKER_ENVIRONMENT, start_new_session=True,
                               stdin=its_side, stdout=its_side, stderr=its_side)  # fmt: skip
    os.close(its_side)
    wait_for_parts(process, out, 1)
    os.close(terminal)
    assert process.wait(timeout=60) == 130
    assert not (out / "runs/lock.json").exists()
    with SerialExecutor() as executor:
        assert sum(len(stage.todo) for stage in run(photos, out, toy_dag(), executor).plan.stages) > 0


def test_a_second_interrupt_abandons_what_is_in_flight(photos, tmp_path):
    process = start_slow(SLOW_RUN, photos, tmp_path, item_s=2.0)
    while not list(tmp_path.glob("stages/ingest-*/part-*.parquet")):
        time.sleep(0.01)
    time.sleep(1.0)  # the next part has begun
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - started < 4, "a part takes 8 s"
    assert stderr.strip().endswith("KeyboardInterrupt")
    assert not (tmp_path / "runs/lock.json").exists()


def test_an_interrupt_while_inputs_are_read_keeps_what_is_known(photos, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        refresh(photos, tmp_path, lambda: True)
    known = pq.read_table(tmp_path / "runs/hashes.parquet").num_rows
    assert known == len(list(photos.iterdir()))
    assert not (tmp_path / "index.parquet").exists()


# --- disks -------------------------------------------------------------------------------------------------------


@contextmanager
def small_disk(folder, kilobytes):
    """A full disk, really: a file system of that size where we may mount one, else a limit on the size of files."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if mounted:
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_in_words_and_what_is_there_is_whole(photos, tmp_path):
    out = tmp_path / "disk"
    with small_disk(out, 80):
        with pytest.raises(Unwritable) as caught:
            build(photos, out)
        assert str(out) in str(caught.value)
        assert "free there" in str(caught.value)
        assert any(words in str(caught.value) for words in ("no space left", "file too large"))
        assert not (out / "runs/lock.json").exists()
        assert not list(out.rglob(".*.tmp")), "no half file is left"


def test_the_command_line_prints_how_to_resume_on_a_full_disk(photos, tmp_path, capsys):
    with small_disk(tmp_path / "disk", 80):
        arguments = ["run", str(photos), "--out", str(tmp_path / "disk"), "--cluster", "serial"]
        assert main([*arguments, "--until", "ingest"]) == 2
    text = capsys.readouterr().err
    assert f"to resume, when that is fixed: shhq-hs run {photos} --out {tmp_path / 'disk'} --cluster serial" in text
    assert "cannot be written" in text


def test_a_disk_that_fills_up_costs_nothing_once_there_is_room(photos, undisturbed, tmp_path):
    out = tmp_path / "out"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit_bytes in (600, 1500, 2500, 3500, 5000, 7000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
        try:
            build(photos, out)
        except Unwritable:
            pass
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    build(photos, out)
    assert payload(out) == payload(undisturbed)


def test_a_read_only_folder_is_said_in_words(photos, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    with ordinary_user():
        for out in (tmp_path / "closed", tmp_path / "closed" / "below"):
            with pytest.raises(Unwritable, match="permission denied"):
                build(photos, out)
    write_json(tmp_path / "file", {})
    with pytest.raises(Unwritable, match="not a directory"):
        build(photos, tmp_path / "file")


# --- reading -----------------------------------------------------------------------------------------------------


def test_a_hiccup_of_the_disk_is_tried_again(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"content")
    plain, failures = os.open, iter([5, 116])  # EIO, ESTALE

    def hiccup(path, *arguments):
        if (number := next(failures, None)) is not None:
            raise OSError(number, os.strerror(number), str(path))
        return plain(path, *arguments)

    monkeypatch.setattr("dataprep.files.foreign_files.os.open", hiccup)
    assert read_bytes(tmp_path, "a") == b"content"
    failures = iter([5, 5, 5])
    with pytest.raises(Unreadable) as caught:
        read_bytes(tmp_path, "a")
    assert str(tmp_path) not in str(caught.value), "no path of the machine in a row"


def test_what_cannot_change_is_not_tried_again(tmp_path):
    started = time.perf_counter()
    with pytest.raises(Unreadable, match="no such file"):
        read_bytes(tmp_path, "missing")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unreadable, match="not a regular file"):
        read_bytes(tmp_path, "pipe")
    assert time.perf_counter() - started < 0.1


# --- two drivers -------------------------------------------------------------------------------------------------


def held_by(out, **holder):
    write_json(out / "runs" / "lock.json", {"host": socket.gethostname(), "pid": 1, **holder})


def take(out):
    with run_lock(out):
        return json.loads((out / "runs" / "lock.json").read_text())


def test_a_second_driver_is_refused(photos, tmp_path):
    process = start_slow(SLOW_RUN, photos, tmp_path, item_s=0.1)
    wait_for_parts(process, tmp_path, 1)
    with pytest.raises(StoreError, match=f"in use by process {process.pid} on {socket.gethostname()}"):
        build(photos, tmp_path)
    assert process.wait(timeout=60) == 0, "the first goes on undisturbed"


def test_a_lock_of_another_machine_counts_while_it_is_touched(tmp_path):
    held_by(tmp_path, host="elsewhere")
    with pytest.raises(StoreError, match="process 1 on elsewhere"):
        take(tmp_path)
    long_ago = time.time() - lock.STALE_S - 60
    os.utime(tmp_path / "runs/lock.json", (long_ago, long_ago))
    assert take(tmp_path)["pid"] == os.getpid()


@pytest.mark.parametrize("holder", [{"pid": 2**22 + 1}, {"pid": 1, "started": "0-not-this-one"}])
def test_a_lock_of_a_dead_process_is_taken_over(tmp_path, holder):
    """Also when its number has come round to another process."""
    held_by(tmp_path, **holder)
    assert take(tmp_path)["pid"] == os.getpid()
    assert not (tmp_path / "runs/lock.json").exists()


def test_containers_of_one_name_do_not_mix_their_process_numbers(tmp_path):
    held_by(tmp_path, space="pid:[1]", pid=2**22 + 1)
    with pytest.raises(StoreError, match="in use"):
        take(tmp_path)


def test_machines_of_one_name_do_not_mix_their_process_numbers(tmp_path):
    """Copied machines and those of an image are called alike; what differs is when they were started."""
    held_by(tmp_path, boot="another machine's", pid=2**22 + 1)
    with pytest.raises(StoreError, match="in use"):
        take(tmp_path)


def test_the_lock_knows_the_machine(tmp_path):
    assert take(tmp_path)["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_a_torn_lock_file_holds_nobody_up(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/lock.json").write_bytes(b'{"host": "els')
    assert take(tmp_path)["pid"] == os.getpid()


def test_of_many_drivers_at_once_one_wins(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from dataprep.errors import StoreError\n"
        "from pipelines.engine.lock import run_lock\n"
        "input()\n"
        "try:\n  with run_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(1.5)\n"
        "except StoreError: print('refused', flush=True)\n"
    )
    held_by(tmp_path, pid=2**22 + 1)  # all of them find a stale lock
    command = [sys.executable, "-c", code, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    drivers = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(4)]
    time.sleep(1.0)
    for driver in drivers:
        driver.stdin.write("\n")
        driver.stdin.flush()
    said = sorted(driver.communicate(timeout=60)[0].strip() for driver in drivers)
    assert said == ["held", "refused", "refused", "refused"]


# --- leftovers ---------------------------------------------------------------------------------------------------


def test_leftovers_of_dead_processes_are_swept_and_those_of_living_ones_are_not(tmp_path):
    folder = tmp_path / "stages" / "crop-0"
    folder.mkdir(parents=True)
    host = socket.gethostname()
    dead, living = f".part-000001.tar.{host}.{2**22 + 1}.0123abcd.tmp", f".part-000001.tar.{host}.1.0123abcd.tmp"
    elsewhere, old = ".part-000001.tar.other.host.77.0123abcd.tmp", ".part-000002.tar.other.host.77.0123abcd.tmp"
    for name in (dead, living, elsewhere, old):
        (folder / name).write_bytes(b"half")
    os.utime(folder / old, (0, 0))
    assert sweep(tmp_path) == 2
    assert {path.name for path in folder.iterdir()} == {living, elsewhere}


def test_leftovers_of_another_machine_of_the_same_name_are_not_taken_for_ours(tmp_path):
    (tmp_path / "runs").mkdir()
    dead = f".lock.json.{this_machine()}.{2**22 + 1}.0123abcd.tmp"
    theirs = f".lock.json.{socket.gethostname()}-00000000.{2**22 + 1}.0123abcd.tmp"
    for name in (dead, theirs):
        (tmp_path / "runs" / name).write_bytes(b"half")
    assert sweep(tmp_path) == 1
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [theirs]


# --- planted files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["precious", "nowhere"])
def test_a_link_under_the_name_of_the_guard_is_not_followed(tmp_path, target):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "out" / "runs").mkdir(parents=True)
    (tmp_path / "out" / "runs" / "lock.guard").symlink_to(tmp_path / target)
    with pytest.raises(StoreError, match=r"lock\.guard cannot be written: it is a link, which is not followed; delete"):
        take(tmp_path / "out")
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_a_link_under_the_name_of_an_event_log_is_not_followed(tmp_path):
    log = EventLog(tmp_path / "out")
    (tmp_path / "precious").write_text("mine")
    (log._folder / "events.jsonl").symlink_to(tmp_path / "precious")
    with pytest.raises(Unwritable, match="is a link"):
        log.write("start")
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_link_under_a_temporary_name_is_not_followed(tmp_path, monkeypatch):
    """Should anybody guess it."""
    monkeypatch.setattr("dataprep.tables.store.uuid.uuid4", lambda: uuid.UUID(int=7))
    (tmp_path / "precious").write_text("mine")
    planted = tmp_path / f".a.json.{this_machine()}.{os.getpid()}.00000000.tmp"
    planted.symlink_to(tmp_path / "precious")
    with pytest.raises(Unwritable):
        write_json(tmp_path / "a.json", 1)
    assert (tmp_path / "precious").read_text() == "mine"
