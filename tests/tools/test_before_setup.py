"""Before the set-up: one sentence about this Python, the disk or the network, and nothing made; offline goes on."""

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tools import before_setup

ROOT = Path(__file__).parents[2]
NOWHERE = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
SETTINGS_OF_PIP = re.compile(r"(?i)pip_.*|.*_proxy|make.*|mflags")


@pytest.fixture
def checkout(tmp_path):
    """What a set-up reads, in a folder of its own."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "tools/before_setup.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    return tmp_path


def made(checkout: Path, goal: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not SETTINGS_OF_PIP.fullmatch(name)}
    python = Path(sys.base_prefix) / "bin" / "python3"
    command = ["make", goal, f"PYTHON={python}"]
    return subprocess.run(command, cwd=checkout, env=kept | environment, capture_output=True, text=True, timeout=60)


def sentence(outcome: subprocess.CompletedProcess[str]) -> str:
    """The only line that is not make's own."""
    assert outcome.returncode == 2
    (line,) = [line for line in (outcome.stdout + outcome.stderr).splitlines() if not line.startswith("make")]
    return line


def test_another_python_is_refused_before_anything_is_made(checkout):
    wanted = (checkout / "pyproject.toml").read_text().replace('">=3.11,<3.13"', '">=3.97,<3.99"')
    (checkout / "pyproject.toml").write_text(wanted)
    line = sentence(made(checkout, "dataset"))
    assert line.startswith(f"Python {sys.version.split()[0]} (")
    assert line.endswith("3.97 or 3.98 is needed; install one, then run: make dataset PYTHON=python3.97")
    assert not (checkout / ".venv").exists()


def test_an_environment_of_another_python_is_to_be_removed(checkout):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    wanted = (checkout / "pyproject.toml").read_text().replace('">=3.11,<3.13"', '">=3.97,<3.99"')
    (checkout / "pyproject.toml").write_text(wanted)
    assert "run: rm -rf .venv && make test PYTHON=" in sentence(made(checkout, "test"))


def test_no_network_is_one_sentence_before_anything_is_made(checkout):
    line = sentence(made(checkout, "test", **NOWHERE))
    assert line.startswith("no network: pip's proxy 127.0.0.1:9 cannot be reached (Connection refused)")
    assert line.endswith("then run: make test")
    assert not (checkout / ".venv").exists()


def test_whoever_has_everything_works_offline(checkout):
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)
    torch = re.search(r"^TORCH \?= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    (checkout / ".venv" / ".torch").write_text(f"{torch[1]}\n")
    (checkout / ".venv" / ".ready").touch()
    outcome = made(checkout, "setup", **NOWHERE)
    assert (outcome.returncode, outcome.stderr) == (0, "")


@pytest.mark.parametrize("named", [{"PIP_NO_INDEX": "1"}, {"PIP_INDEX_URL": "file:///srv/packages"}])
def test_packages_in_local_folders_need_no_network(monkeypatch, named):
    for name, value in (NOWHERE | named).items():
        monkeypatch.setenv(name, value)
    assert before_setup.network_fault("setup") == ""


def test_the_index_is_the_one_that_pip_asks(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.getsockname()[1]}/simple")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert before_setup.network_fault("setup") == ""
    assert "cannot be reached" in before_setup.network_fault("setup")


def test_a_full_disk_is_named(monkeypatch):
    monkeypatch.setattr(before_setup, "NEEDED_BYTES", 1 << 60)
    assert f"{ROOT} has" in before_setup.disk_fault("dataset")
    assert before_setup.disk_fault("dataset").endswith("then run: make dataset")


def test_old_pythons_come_as_far_as_the_sentence():
    ast.parse((ROOT / "tools" / "before_setup.py").read_text(), feature_version=(3, 6))


def test_a_failed_step_shows_what_was_said_and_where_the_rest_is(checkout):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    outcome = made(checkout, "setup", PIP_NO_INDEX="1")
    assert outcome.returncode == 2
    assert re.fullmatch(r"set-up 2/4: torch==[0-9.]+\n", outcome.stdout)
    assert "No module named pip" in outcome.stderr
    assert "all of it: .venv/set-up.log; to try again: make setup" in outcome.stderr
    assert not (checkout / ".venv" / ".ready").exists()
