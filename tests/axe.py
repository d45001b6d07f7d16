"""axe-core, from the file that AXE_CORE names or from npm; a test is skipped where neither has it."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest


@cache
def axe_core(folders: pytest.TempPathFactory) -> str:
    """The script."""
    if path := os.environ.get("AXE_CORE"):
        return Path(path).read_text()
    if not shutil.which("npm"):
        pytest.skip("no axe-core: npm is not installed and AXE_CORE names no file")
    folder = folders.mktemp("axe")
    command = ["npm", "install", "--no-save", "--prefix", str(folder), "axe-core@4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, cwd=folder, check=False)
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        pytest.skip(f"no axe-core: npm could not fetch it ({done.stderr[-200:]})")
    return script.read_text()
