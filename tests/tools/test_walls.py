"""The walls of the house stand, and each falls to a planted flaw: import-linter's contracts and tools/walls.py."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.walls import MOST_FILES, PACKAGES, crowded_folders, flaws

ROOT = Path(__file__).parents[2]
_LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


@pytest.fixture
def house(tmp_path):
    """A copy of the sources, to plant in."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=lambda folder, names: [n for n in names if _is_data(n)])
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _is_data(name):
    return ("." in name and not name.endswith(".py")) or name == "__pycache__"


def broken_contracts(root):
    """Names of the contracts that do not hold below a folder."""
    command = [sys.executable, "-c", _LINT, "--no-logo", "--no-cache"]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"})
    lines = said.stdout.splitlines()
    assert any(line.startswith("Contracts: ") for line in lines), said.stdout + said.stderr
    broken = [line.split(" BROKEN")[0].split(":")[0] for line in lines if " BROKEN" in line]
    assert said.returncode == bool(broken)
    return broken


def plant(root, place, code):
    path = root / place
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write(code)


def test_the_walls_stand():
    assert broken_contracts(ROOT) == []
    assert list(flaws(ROOT)) == []


PLANTED = {  # contract -> where an import against it is planted, one of every kind: plain, lazy, of types, and unlisted
    "tools and pipelines over gan over dataprep": ("dataprep/frames/euler.py", "import gan.config\n"),
    "dataprep": ("dataprep/tables/store.py", "if TYPE_CHECKING:\n    from dataprep.stages.base import Stage\n"),
    "gan": ("gan/networks/film.py", "def f():\n    from gan.training.loop import train\n"),
    "pipelines": ("pipelines/planted/__init__.py", ""),
    "no circle, of files or of folders": ("dataprep/models/body/smpl.py", "import dataprep.models.regressors.lifter\n"),
}


def test_an_import_against_a_wall_is_found(house):
    for place, code in PLANTED.values():
        plant(house, place, code)
    assert broken_contracts(house) == list(PLANTED)


def test_flaws_are_found_and_nothing_else(house):
    for place, code in (
        ("gan/rendering/masks.py", "import scipy\n\ndef mask():\n    import torch\n"),
        ("gan/rendering/late_masks.py", "class Masks:\n    def open(self):\n        import torch\n"),
        ("gan/rendering/onnx_masks.py", "def mask():\n    import onnxruntime\n"),
        ("gan/rendering/store.py", ""),
        ("gan/rendering/errors.py", ""),
        ("gan/rendering/stages.py", "class Stage: ...\n"),
        ("gan/rendering/own_stages.py", "class _Stage: ...\n"),
    ):
        plant(house, place, code)
    found = list(flaws(house))
    for said in (
        "gan/rendering/masks.py:4: import torch",
        "dataprep/tables/store.py, gan/rendering/store.py: one name",
        "gan/rendering/stages.py:1: all define class Stage",
    ):
        assert [said in flaw for flaw in found].count(True) == 1, found
    assert len(found) == 3, found


def test_a_crowded_folder_is_found(house):
    for i in range(MOST_FILES):
        plant(house, f"gan/planted/number_{i}.py", "")
    assert list(crowded_folders(house)) == []
    plant(house, "gan/planted/one_more.py", "")
    (flaw,) = crowded_folders(house)
    assert flaw.startswith(f"gan/planted: {MOST_FILES + 1} files, at most {MOST_FILES}")
