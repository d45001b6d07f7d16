"""The wheel: every data file is in it, and it builds a data set outside the checkout."""

import fnmatch
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

from tools.docs.site import gather

ROOT = Path(__file__).parents[2]
PACKAGES = ("dataprep", "gan", "pipelines")


def data_files():
    """Files of the packages that are no code, as the checkout has them."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if "__pycache__" in path.parts or path.suffix == ".py" or path.name == "README.md":
                continue
            if path.is_file():
                yield path.relative_to(ROOT)


def test_every_data_file_is_declared():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    files = list(data_files())
    assert len(files) > 10
    for path in files:
        ends = ["/".join(path.parts[i:]) for i in range(1, len(path.parts))]
        assert any(fnmatch.fnmatch(end, pattern) for end in ends for pattern in patterns), path


def test_the_site_has_every_page_and_its_links_stay_inside(tmp_path):
    assert gather(tmp_path / "site") > 20
    index = (tmp_path / "site" / "index.md").read_text(encoding="utf-8")
    assert "](docs/tutorial.md)" in index
    assert "](LICENSE)" not in index
    assert (tmp_path / "site" / "docs" / "images" / "story.jpg").is_file()


@pytest.mark.slow
def test_the_wheel_runs_outside_the_checkout(tmp_path):
    source = tmp_path / "checkout"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "__pycache__", "*.egg-info"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {str(path) for path in data_files()} <= set(archive.namelist())
    shutil.rmtree(source)

    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    # The dependencies are those that are installed; a .pth file that lies there, of this checkout, is not read.
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", wheel], check=True)
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(ROOT / "samples" / "people" / "photos" / "p020.jpg", photos)
    command = [environment / "bin" / "shhq-hs", "run", photos, "--out", tmp_path / "out", "--workers", "1"]
    command += ["--set", "superres.model=span"]
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    where = [python, "-c", "import dataprep; print(dataprep.__file__)"]
    shown = subprocess.run(where, cwd=tmp_path, env=clean, check=True, capture_output=True, text=True).stdout
    assert Path(shown.strip()).is_relative_to(environment)
    subprocess.run(command, cwd=tmp_path, env=clean, check=True)
    assert (tmp_path / "out" / "manifest.parquet").is_file()
    assert (tmp_path / "out" / "report" / "index.html").is_file()
