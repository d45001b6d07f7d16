"""Reviewers' marks: added and never lost, the latest counts, an acknowledged one survives SIGKILL."""

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dataprep.errors import ConfigError, StoreError
from dataprep.files.locations import ObjectPath
from dataprep.tables import review
from dataprep.tables.review import Decision, Mark, append_marks, current_marks, decisions, digest, history

ROOT = Path(__file__).parents[2]
A, B, C = (letter * 32 for letter in "abc")
WRITER = """
import sys
from pathlib import Path
from dataprep.tables.review import Mark, append_marks
out, writer, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for i in range(count):
    append_marks(out, [Mark(f"{writer}{i:031x}", "reject", "blurred", f"note {i}", f"reviewer {writer}")])
    print(i, flush=True)
"""


@pytest.fixture(params=["folder", "memory"])
def out(request, tmp_path):
    return tmp_path if request.param == "folder" else ObjectPath(f"memory://review-{time.time_ns()}/root")


def test_the_latest_mark_of_an_image_counts_and_none_undoes(out):
    assert (history(out), current_marks(out), decisions(out), digest({})) == ([], {}, {}, "")
    append_marks(out, [Mark(A, "reject", "crop_shifted", who="ann"), Mark(B, "accept"), Mark(C, "doubt", note="?\nü")])
    assert decisions(out) == {A: Decision("reject", "crop_shifted"), B: Decision("accept", "")}
    before = digest(decisions(out))
    append_marks(out, [Mark(A, "none", who="ann"), Mark(C, "reject")])
    assert list(current_marks(out)) == [B, C]
    assert [mark.verdict for mark in history(out, A)] == ["reject", "none"]
    assert len(history(out)) == 5
    append_marks(out, [Mark(A, "reject", "crop_shifted", note="again", who="bea"), Mark(C, "doubt")])
    assert digest(decisions(out)) == before, "who, when, notes and doubts decide nothing"


def test_a_new_mark_is_the_latest_even_when_another_clock_is_ahead(out):
    ahead = datetime.now(UTC) + timedelta(hours=1)
    append_marks(out, [Mark(A, "reject", who="ahead", when=ahead)])
    (stored,) = append_marks(out, [Mark(A, "accept", who="here")])
    assert stored.when > ahead
    assert current_marks(out)[A].verdict == "accept"
    both = append_marks(out, [Mark(B, "accept"), Mark(B, "reject")])
    assert both[0].when < both[1].when
    assert current_marks(out)[B].verdict == "reject"


def test_marks_that_came_before_stay_behind_those_of_later(out):
    (now,) = append_marks(out, [Mark(A, "accept")])
    old = Mark(A, "reject", "old", who="imported", when=now.when - timedelta(days=1))
    append_marks(out, [old])
    append_marks(out, [old, now])
    assert [mark.verdict for mark in history(out)] == ["reject", "accept"], "what stands there is not added again"
    assert current_marks(out)[A] == now


@pytest.mark.parametrize(
    "wrong",
    [{"sample_id": "../x"}, {"verdict": "yes"}, {"reason": "Two Words"}, {"reason": "a" * 41}, {"note": "x" * 2001},
     {"note": "\x1b[2J"}, {"who": "\ud800"}, {"when": datetime(2026, 1, 1)}],
    ids=["id", "verdict", "words", "long reason", "long note", "control", "surrogate", "no zone"],
)  # fmt: skip
def test_what_is_no_mark_is_refused(wrong):
    with pytest.raises((ConfigError, StoreError), match=r"sample id|expected"):
        Mark(**{"sample_id": A, "verdict": "reject"} | wrong)


def test_several_processes_lose_no_mark_and_a_killed_one_keeps_what_it_acknowledged(tmp_path):
    writers, count = "0123", 25
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    killed = subprocess.Popen([*command, "f", "100000"], cwd=ROOT, stdout=subprocess.PIPE)
    running = [subprocess.Popen([*command, one, str(count)], cwd=ROOT, stdout=subprocess.DEVNULL) for one in writers]
    for _ in range(12):
        killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    acknowledged = 12 + len(killed.stdout.read().splitlines())
    assert [process.wait(60) for process in running] == [0] * len(writers)
    found = {mark.sample_id: mark for mark in history(tmp_path)}
    for one in writers:
        assert all(found[f"{one}{i:031x}"].note == f"note {i}" for i in range(count))
    of_killed = sum(name.startswith("f") for name in found)
    assert acknowledged <= of_killed <= acknowledged + 1
    append_marks(tmp_path, [Mark(A, "doubt")])
    assert A in current_marks(tmp_path), "the lock of a killed process holds nobody up"


def test_many_objects_are_merged_and_a_killed_merger_doubles_nothing(monkeypatch):
    out = ObjectPath(f"memory://review-{time.time_ns()}/root")
    monkeypatch.setattr(review, "_MANY", 8)
    for i in range(20):
        append_marks(out, [Mark(f"{i:032x}", "reject")])
    assert len(history(out)) == 20
    assert len((out / "review").names()) < 9
    kept = {name: (out / "review" / name).read_bytes() for name in (out / "review").names()}
    while len((out / "review").names()) != 1:
        append_marks(out, [Mark(A, "doubt")])
    for name, content in kept.items():  # as a merger leaves them that dies before it has deleted anything
        (out / "review" / name).write_bytes(content)
    found = history(out)
    assert len(found) == len(set(found))
    assert len(current_marks(out)) == 21


def test_damaged_marks_are_said_and_kept(tmp_path):
    append_marks(tmp_path, [Mark(A, "reject")])
    whole = (tmp_path / "review.parquet").read_bytes()
    (tmp_path / "review.parquet").write_bytes(whole[:40] + bytes([whole[40] ^ 4]) + whole[41:])
    damaged = (tmp_path / "review.parquet").read_bytes()
    for use in (current_marks, lambda out: append_marks(out, [Mark(B, "accept")])):
        with pytest.raises(StoreError, match="no command makes anew") as caught:
            use(tmp_path)
        assert "--repair" not in str(caught.value)
    assert (tmp_path / "review.parquet").read_bytes() == damaged
