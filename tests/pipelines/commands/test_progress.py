"""The progress line: never wider than its terminal, alive while nothing ends, an ETA before every stage was seen."""

import io
import os
import re
import struct
import sys
import termios
import threading
from contextlib import suppress
from fcntl import ioctl

import pytest

from pipelines.engine import progress as module
from pipelines.engine.cost.assumed_costs import assumed_s
from pipelines.engine.cost.forecast import Forecast
from pipelines.engine.progress import Progress
from pipelines.machine.terminal import LogFile, Terminal
from pipelines.paper_stages import build

STAGES = build().stages
TOTAL = {stage.name: 1234 for stage in STAGES}


@pytest.fixture
def terminal(monkeypatch):
    """Returns a function from a width to both ends of a terminal of that width."""
    monkeypatch.setenv("TERM", "xterm")
    master, slave = os.openpty()

    def of(columns):
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
        return os.fdopen(slave, "w"), master

    yield of
    os.close(master)


def sent(stream, master):
    """All that the terminal was sent; closes it."""
    stream.close()
    read = b""
    with suppress(OSError):  # the end of a terminal is an error
        while more := os.read(master, 1 << 16):
            read += more
    return read.decode()


def shown(stream, master):
    """What the terminal was sent, as the pieces between erasures and line ends."""
    text = sent(stream, master)
    return [piece for piece in re.split(r"\r\x1b\[2K|\r\n", text) if piece]


@pytest.mark.parametrize("columns", [20, 60, 80, 120])
def test_no_line_is_as_wide_as_the_terminal(terminal, columns, monkeypatch):
    monkeypatch.setattr(module, "_LIVE_EVERY_S", 0.0)
    stream, master = terminal(columns)
    progress = Progress(TOTAL, 2, stream=stream, assumed_s=assumed_s(STAGES))
    for stage in TOTAL:
        progress.advance(stage, 117, 1.0)
    progress.close()
    lines = shown(stream, master)
    assert len(lines) == len(TOTAL) + 1
    assert max(map(len, lines)) < columns
    assert columns < 60 or all("ETA" in line for line in lines)
    assert columns < 120 or "ingest 117/1234" in lines[-1]


def test_a_dumb_terminal_gets_plain_lines(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream, master = terminal(80)
    Progress({"one": 1}, 1, stream=stream).close()
    assert "\x1b" not in sent(stream, master)


class Heard(io.StringIO):
    """A pipe; `line` is set as something is written."""

    def __init__(self):
        super().__init__()
        self.line = threading.Event()

    def write(self, text):
        self.line.set()
        return super().write(text)


def test_a_pipe_hears_of_work_that_does_not_end(monkeypatch):
    monkeypatch.setattr(module, "_BEAT_S", 0.01)
    monkeypatch.setattr(module, "_PLAIN_AT_LEAST_EVERY_S", 0.02)
    pipe = Heard()
    progress = Progress({"shards": 1}, 1, "outputs", pipe)
    progress.begin("shards")
    with progress.beating():
        assert pipe.line.wait(20)
    assert re.match(r"\[ {20}\] 0/1 outputs  0:0\d elapsed  shards\n", pipe.getvalue())
    said = pipe.getvalue()
    assert not pipe.line.clear()
    assert not pipe.line.wait(0.1), "nothing is said after the block"
    assert pipe.getvalue() == said


def test_a_pipe_hears_of_the_end_once(monkeypatch):
    monkeypatch.setattr(module, "_PLAIN_EVERY_S", 0.0)
    stream = io.StringIO()
    progress = Progress({"one": 2}, 1, stream=stream)
    progress.advance("one", 2, 0.1)
    progress.close()
    assert stream.getvalue().count("2/2") == 1


def test_an_error_leaves_no_half_line(terminal, monkeypatch):
    monkeypatch.setattr(module, "_LIVE_EVERY_S", 0.0)
    stream, master = terminal(80)
    progress = Progress({"one": 2}, 1, stream=stream)

    def fail():
        with progress.beating():
            progress.advance("one", 1, 1.0)
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert sent(stream, master).endswith("\r\x1b[2K")


def test_what_others_print_stands_above_the_line(terminal, monkeypatch):
    monkeypatch.setattr(module, "_LIVE_EVERY_S", 0.0)
    stream, master = terminal(80)
    monkeypatch.setattr(sys, "stderr", stream)
    progress = Progress({"one": 2}, 1)
    with progress.beating():
        progress.advance("one", 1, 1.0)
        print("a word", file=sys.stderr)
        progress.advance("one", 1, 1.0)
    erase = r"\r\x1b\[2K"
    assert sys.stderr is stream
    assert re.search(rf"{erase}\[[# ]*\] 1/2[^\r\n]*{erase}a word\r\n{erase}\[", sent(stream, master))


def test_the_eta_stands_before_a_stage_was_seen():
    progress = Progress({"ingest": 100, "superres": 100}, 2, assumed_s={"ingest": 0.1, "superres": 2.0})
    assert progress.eta_s() == pytest.approx(105, abs=5)
    progress.advance("ingest", 100, 40.0)  # this machine is a quarter as fast as assumed
    assert progress.eta_s() == pytest.approx(200, abs=5), "twenty assumed seconds count beside the forty measured"
    progress.advance("superres", 50, 50.0)  # and a network four times as fast as that
    assert progress.eta_s() == pytest.approx(25, abs=5)


def test_a_stage_that_nobody_measured_leaves_no_eta():
    progress = Progress({"ingest": 10, "own": 10}, 1, assumed_s={"ingest": 0.1})
    assert progress.eta_s() is None
    progress.advance("own", 1, 1.0)
    assert progress.eta_s() == pytest.approx(10, abs=1)


def test_every_stage_of_the_paper_has_an_assumed_cost():
    assert assumed_s(STAGES).keys() == TOTAL.keys()
    quick = assumed_s(build(["superres.model=span"]).stages)
    assert quick["superres"] < assumed_s(STAGES)["superres"] / 5


def test_rows_that_were_lost_before_cost_nothing_later():
    progress = Progress({"look": 100, "paint": 100}, 1, stream=io.StringIO(), assumed_s={"look": 1.0, "paint": 10.0})
    progress.advance("look", 100, 100.0, lost=60)
    assert progress.eta_s() == pytest.approx(400.0, abs=1)
    progress.advance("paint", 50, 200.0, idle=30)
    assert progress.eta_s() == pytest.approx(200.0, abs=1)
    progress.advance("paint", 10, 0.0, idle=10)
    assert progress.eta_s() == pytest.approx(200.0, abs=1), "forty were left; of those that are now, twenty have work"


def through_a_terminal(terminal, log, quiet, columns=80):
    """What a terminal and a log file get of a short progress."""
    stream, master = terminal(columns)
    log_file = LogFile(log.open("w"))
    progress = Progress({"one": 2}, 1, stream=Terminal(stream, log_file, quiet))
    progress.advance("one", 1, 1.0)
    progress.say("a remark")
    progress.close()
    log_file.close()
    return sent(stream, master), log.read_text()


def test_a_log_file_has_whole_lines_where_the_terminal_has_a_live_one(terminal, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LIVE_EVERY_S", 0.0)
    shown, kept = through_a_terminal(terminal, tmp_path / "log", quiet=False)
    assert "\r\x1b[2K" in shown
    assert "\x1b" not in kept
    assert "\r" not in kept
    assert [line.split(" ", 1)[1][:8] for line in kept.splitlines()] == ["a remark", "[#######"]


def test_quiet_shows_no_progress_and_logs_it(terminal, tmp_path):
    shown, kept = through_a_terminal(terminal, tmp_path / "log", quiet=True)
    assert shown == "a remark\r\n"
    assert "1/2 image-stages" in kept


def test_a_slow_first_file_is_not_taken_for_the_pace():
    """Seen on a busy machine: twelve rows of a quick stage in 80 s made an ETA of an hour out of half a minute."""
    progress = Progress({"read": 68, "look": 68}, 1, stream=io.StringIO(), assumed_s={"read": 0.02, "look": 0.4})
    assert progress.eta_s() == pytest.approx(28.6, abs=0.5)
    progress.advance("read", 12, 80.0)
    assert progress.eta_s() < 300
    progress.advance("look", 34, 34 * 1.6)
    assert 27 < progress.eta_s() < 2 * 34 * 1.6, "what is measured outweighs what was assumed"


def test_the_line_names_the_stage_that_most_is_left_of():
    forecast = Forecast({"quick": 100, "slow": 10}, assumed_s={"quick": 0.01, "slow": 1.0})
    assert forecast.slowest() == "slow"
    forecast.note("slow", 9, 9.0)
    forecast.note("quick", 10, 10.0)  # a hundred times as slow as assumed
    assert forecast.slowest() == "quick"
    forecast.note("slow", 1, 1.0)
    assert forecast.slowest() == "", "one stage is left, and the line names it anyhow"
    assert Forecast({"a": 1, "b": 1}).slowest() == "", "unknown"


def test_a_stage_that_took_no_time_before_says_nothing_of_the_next_rows():
    progress = Progress({"quick": 4, "slow": 4}, 1, stream=io.StringIO(), assumed_s={"quick": 0.0, "slow": 2.0})
    progress.advance("slow", 1, 2.0)
    assert progress.eta_s() is None
    progress.advance("quick", 1, 0.0)
    assert progress.eta_s() == pytest.approx(6.0, rel=0.2)


def test_a_terminal_that_has_just_closed_is_no_error_of_the_run(monkeypatch, tmp_path):
    """The signal that says so may come a moment after the write that fails."""
    terminal, its_side = os.openpty()
    with os.fdopen(its_side, "w") as stream, (tmp_path / "log").open("w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        monkeypatch.setattr(sys, "stdout", file)
        progress = Progress({"body": 4}, 1, stream=stream)
        progress.advance("body", 1, 0.1)
        os.close(terminal)
        with pytest.raises(OSError, match="Input/output"):
            os.write(its_side, b"x")
        progress.say("a sentence")
        progress.advance("body", 3, 0.1)
        progress.close()
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), its_side)  # what it holds goes somewhere as it closes
