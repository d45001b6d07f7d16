"""`make check-gpu` without a GPU: everything at tiny sizes; what fails is named, and the rest goes on."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from gan.training.cost.gpu_check import CheckResult, GpuCheck, read_check
from tools.gpu_check.__main__ import main, run_checks
from tools.gpu_check.check_list import CHECKS, WHOLE_S, Planned
from tools.gpu_check.check_page import page
from tools.gpu_check.isolated_worker import Worker
from tools.gpu_check.training_checks import largest_micro
from tools.gpu_check.trial import Missed, NotHere, Numbers, Trial, require

TINY = Trial("cpu", "tiny", "float32")


def works(trial: Trial) -> Numbers:
    return {"process": os.getpid(), "size": trial.size}


def breaks(trial: Trial) -> Numbers:
    raise ValueError("no kernel\nfor this")


def misses(trial: Trial) -> Numbers:
    return require({"0.2 s is at most 0.15 s": False, "it is finite": True}, {"frame_s": 0.2})


def is_not_here(trial: Trial) -> Numbers:
    raise NotHere("no weights")


def dies(trial: Trial) -> Numbers:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def hangs(trial: Trial) -> Numbers:
    time.sleep(3600)
    return {}


@pytest.mark.slow
def test_everything_works_at_tiny_sizes(tmp_path: Path, capsys: pytest.CaptureFixture):
    path = tmp_path / "check.json"
    assert main(["--device", "cpu", "--json", str(path)]) == 0, capsys.readouterr().out
    found = read_check(path)
    assert [check.name for check in found.checks] == ["machine", *(check.name for check in CHECKS)]
    assert {check.status for check in found.checks} == {"ok"}
    assert {"name", "torch"} <= found.machine.keys()
    numbers = {check.name: check.numbers for check in found.checks}
    for stage in ("stage1", "stage2"):
        assert float(numbers[stage]["images_per_second"]) > 0
        assert numbers[stage]["precision"] == "float32"
    assert found.settings["micro"] == "auto"
    assert all(check.peak_gb > 0.05 for check in found.checks)
    assert path.with_suffix(".md").read_text() == page(found)


def test_what_fails_is_named_and_the_rest_goes_on(tmp_path: Path):
    functions = (works, breaks, misses, is_not_here, works, dies, works)
    planned = [Planned(f"{i} {function.__name__}", function, 60) for i, function in enumerate(functions)]
    path = tmp_path / "check.json"
    found = run_checks(TINY, planned, path, 600)
    assert read_check(path) == found
    _, first, broken, missed, absent, second, dead, third = found.checks
    assert [check.status for check in found.checks[1:]] == ["ok", "failed", "failed", "skipped", "ok", "failed", "ok"]
    assert broken.reason.startswith("ValueError: no kernel (test_gpu_check.py:")
    assert broken.reason.endswith(", breaks)")
    assert missed.reason == "not so: 0.2 s is at most 0.15 s"
    assert missed.numbers == {"frame_s": 0.2}
    assert absent.reason == "no weights"
    assert "SIGKILL" in dead.reason
    assert first.numbers == second.numbers
    assert third.numbers["process"] != first.numbers["process"]
    assert "**Failed: 1 breaks, 2 misses, 5 dies.**" in page(found)


def test_a_check_that_hangs_ends_after_its_time():
    worker = Worker(TINY)
    try:
        found = worker.check("hangs", hangs, 0.2)
    finally:
        worker.close()
    assert (found.status, found.reason) == ("failed", "took more than 0.2 s")


def test_when_the_whole_is_over_the_rest_is_skipped(tmp_path: Path):
    found = run_checks(TINY, [Planned("late", works, 60)], tmp_path / "check.json", 0)
    assert found.checks[1].status == "skipped"
    assert "--minutes" in found.checks[1].reason
    assert json.loads((tmp_path / "check.json").read_text())["checks"][1]["name"] == "late"


def test_the_checks_fit_into_eight_minutes():
    assert sum(check.budget_s for check in CHECKS) <= WHOLE_S


def test_a_failure_ends_with_1_and_bad_options_with_2(capsys: pytest.CaptureFixture):
    assert main(["--device", "tpu"]) == 2
    assert "expected auto, cpu or cuda" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("batch", "one", "two", "free", "wanted"),
    [(32, 10, 15, 100, 16), (32, 10, 15, 1, 1), (32, 10, 10, 100, 32), (12, 10, 20, 75, 6), (16, 50, 90, 80, 1)],
)
def test_memory_of_one_and_two_pictures_says_how_many_fit(batch: int, one: int, two: int, free: int, wanted: int):
    assert largest_micro(batch, one, two, free) == wanted


def test_a_page_says_what_was_found_whatever_it_holds():
    odd = CheckResult("odd", "failed", "RuntimeError: a|b <script> `x`\nmore", 1.0, 2.0, {"psnr_db": 41.23456})
    text = page(GpuCheck({"name": "NVIDIA L4"}, {"size": "paper"}, (odd,)))
    assert "# GPU check: NVIDIA L4" in text
    assert "<script>" not in text
    assert "a/b" in text
    assert "psnr db: 41.23" in text


def test_missed_keeps_its_numbers():
    with pytest.raises(Missed, match="not so: it is at most 2") as caught:
        require({"it is at most 2": False}, {"found": 3})
    assert caught.value.numbers == {"found": 3}
