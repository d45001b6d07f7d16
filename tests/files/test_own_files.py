"""Folders that processes hold are not taken away under them."""

import subprocess
import sys
from pathlib import Path

from dataprep.files.own_files import HeldFolder, remove_abandoned

ROOT = Path(__file__).parents[2]
SWEEPER = """
import sys
from pathlib import Path
from dataprep.files.own_files import remove_abandoned
print("ready", flush=True)
while not Path(sys.argv[1], "stop").exists():
    for folder in Path(sys.argv[1]).glob("held-*"):
        remove_abandoned(folder)
"""


def test_a_folder_is_there_when_its_maker_goes_on(tmp_path):
    command = [sys.executable, "-c", SWEEPER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as sweeper:
        assert sweeper.stdout.readline() == b"ready\n"
        try:
            for _ in range(3000):
                folder = HeldFolder(tmp_path, "held-")
                assert folder.path.is_dir()
                folder.remove()
        finally:
            (tmp_path / "stop").touch()
    assert not remove_abandoned(tmp_path / "nothing")
