"""`make lint` spells: a planted slip and a word of the house's list are found, with what to write."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


SLIPS = {"esilitu"[::-1]: "use", "het"[::-1]: "the"}  # backwards, since this file is looked at, too


def test_a_planted_slip_and_a_word_that_few_know_are_found(tmp_path):
    (command,) = re.findall(r"^\t\$\(BIN\)/codespell (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    page = tmp_path / "page.md"
    page.write_text(f"We {' '.join(SLIPS)} thing.\n")
    run = [sys.executable, "-m", "codespell_lib", *command.split(), str(page)]
    told = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    said = [line.split(": ")[1] for line in told.stdout.splitlines()]
    assert said == [f"{slip} ==> {word}" for slip, word in SLIPS.items()]
