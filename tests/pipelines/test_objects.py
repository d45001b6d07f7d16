"""Objects and the lock on them: what a Path promises, an object promises too."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dataprep.errors import StoreError, Unreadable
from dataprep.files import locations
from dataprep.files.file_hashes import file_sha256
from dataprep.files.foreign_files import read_bytes
from dataprep.files.locations import ObjectPath, location
from dataprep.tables import review
from dataprep.tables.store import atomic_file
from pipelines.engine import lock
from pipelines.engine.lock import run_lock
from tests.object_store import make_bucket


@pytest.fixture(params=["memory", "s3"])
def root(request):
    if request.param == "s3":
        request.getfixturevalue("server")
        return make_bucket(f"seam-{time.time_ns()}") / "root"
    return ObjectPath(f"memory://seam-{time.time_ns()}/root")


def test_marks_of_several_machines_stand_side_by_side(root):
    def work(who):
        return [review.append_marks(root, [review.Mark(f"{who}{i:031x}", "reject", who=who)]) for i in range(8)]

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, "abc"))
    assert [mark.sample_id for mark in review.current_marks(root).values()] == [
        f"{who}{i:031x}" for who in "abc" for i in range(8)
    ]
    review.append_marks(root, [review.Mark(f"{'a':<032}", "none")])
    assert len(review.decisions(root)) == 23
    assert not (root / "review.parquet").exists()


def test_an_object_appears_whole_or_not_at_all(root):
    with atomic_file(root / "a" / "b.txt") as file:
        file.write(b"half")
        assert not (root / "a" / "b.txt").exists()
    assert (root / "a" / "b.txt").read_text() == "half"
    with pytest.raises(ZeroDivisionError), atomic_file(root / "a" / "b.txt") as file:
        file.write(b"%d" % (1 // 0))
    assert (root / "a" / "b.txt").read_text() == "half"


def test_objects_answer_as_paths_do(root, tmp_path):
    names = [
        "x.json",
        "stages/one-1/stage.json",
        "stages/one-2/stage.json",
        "stages/two-1/part.parquet",
        "stages/loose",
    ]
    for place in (root, tmp_path):
        for name in names:
            with atomic_file(place / name) as file:
                file.write(name.encode())
    for pattern in ("*", "stages/*/stage.json", "stages/one-*/stage.json", "*/loose", "x.json", "none/*", "*.txt"):
        found = [str(path).removeprefix(f"{root}/") for path in locations.matching(root, pattern)]
        assert found == [p.relative_to(tmp_path).as_posix() for p in locations.matching(tmp_path, pattern)], pattern
    for name in (*names, "stages", "none", "stages/one-1"):
        ours, theirs = root / name, tmp_path / name
        assert (ours.exists(), ours.is_file(), ours.is_dir()) == (theirs.exists(), theirs.is_file(), theirs.is_dir())
        assert (ours.name, ours.stem, ours.suffix) == (theirs.name, theirs.stem, theirs.suffix)
        assert (ours.with_suffix(".tar").name, ours.parent.name) == (
            theirs.with_suffix(".tar").name,
            (root / name).parent.name,
        )
    for name in names:
        assert file_sha256(root / name) == file_sha256(tmp_path / name)
        assert (root / name).stat().st_size == (tmp_path / name).stat().st_size
    for offset, size in ((0, 3), (2, 100), (6, 5), (100, 5), (0, 0)):
        ours, theirs = (locations.read_range(place / "x.json", offset, size) for place in (root, tmp_path))
        assert ours == theirs, (offset, size)
    assert sorted(locations.names_in(root / "stages")) == sorted(locations.names_in(tmp_path / "stages"))
    for place in (root, tmp_path):
        with pytest.raises(FileNotFoundError):
            locations.names_in(place / "none")
        (place / "none").unlink(missing_ok=True)


def test_a_large_object_is_sent_in_pieces_and_comes_back_whole(server, tmp_path, monkeypatch):
    monkeypatch.setattr(locations, "_WHOLE_BYTES", 1 << 20)
    monkeypatch.setattr(locations, "_PIECE_BYTES", 1 << 20)
    content = os.urandom(3 << 20)
    path = make_bucket("large") / "object"
    with atomic_file(path) as file:
        file.write(content)
    assert file_sha256(path) == hashlib.sha256(content).hexdigest()
    path.download(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content


def test_create_does_not_overwrite(root):
    assert (root / "lock").create(b"first")
    assert not (root / "lock").create(b"second")
    assert (root / "lock").read_bytes() == b"first"


def test_what_is_no_url_is_a_path():
    assert location("a/b") == Path("a/b")
    assert location("/a:/b") == Path("/a:/b")
    assert location("file:///a/b") == Path("/a/b")
    assert location("S3://Bucket/Key/") == ObjectPath("s3://Bucket/Key")


def test_a_photograph_that_vanished_says_so_without_the_url(root):
    with pytest.raises(Unreadable, match=r"^the file cannot be read: no such file or directory$"):
        read_bytes(root, "gone.jpg")


# --- the lock ----------------------------------------------------------------------------------------------------


@pytest.fixture
def free(server):
    """A place where no data set is."""
    return make_bucket(f"free-{time.time_ns()}") / "out"


def test_the_lock_of_a_living_process_keeps_others_out(free):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    path = free / "runs" / "lock.json"
    path.write_bytes(json.dumps({"host": socket.gethostname(), "pid": other.pid}).encode())
    try:
        with pytest.raises(StoreError, match=f"process {other.pid}"), run_lock(free):
            pass
    finally:
        other.kill()
        other.wait()
    with run_lock(free):  # the holder is dead: its lock is taken over
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not path.exists()


def test_a_lock_of_another_machine_counts_while_it_is_touched(free, monkeypatch):
    monkeypatch.setattr(lock, "BEAT_S", 0.2)
    monkeypatch.setattr(lock, "STALE_S", 1.5)  # the store's clock has seconds
    path = free / "runs" / "lock.json"
    content = json.dumps({"host": "elsewhere", "pid": 1}).encode()
    path.write_bytes(content)
    with pytest.raises(StoreError, match="on elsewhere"), run_lock(free):
        pass
    time.sleep(2.6)
    with run_lock(free):
        written = path.stat().st_mtime
        time.sleep(1.5)
        assert path.stat().st_mtime > written, "nobody touched it"


def test_of_many_that_want_the_lock_at_once_one_gets_it(free):
    took = []

    def want(number: int) -> None:
        if (free / "runs" / "lock.json").create(str(number).encode()):
            took.append(number)

    threads = [threading.Thread(target=want, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (free / "runs" / "lock.json").read_text() == str(took[0])
    assert len(took) == 1
    (free / "runs" / "lock.json").unlink()
