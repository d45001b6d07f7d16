"""`make lint` spells: a planted slip and a word of the house's list are found, with what to write."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_planted_slip_and_a_word_that_few_know_are_found(tmp_path):
    (command,) = re.findall(r"^\t\$\(BIN\)/codespell (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    page = tmp_path / "page.md"
    page.write_text("We utilise " + "te" + "h thing.\n")
    run = [sys.executable, "-m", "codespell_lib", *command.split(), str(page)]
    told = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert [line.split(": ")[1] for line in told.stdout.splitlines()] == ["utilise ==> use", "te" + "h ==> the"]
