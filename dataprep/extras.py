"""Packages that only some settings need, as extras of `pyproject.toml`; commands that install what is absent."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from dataprep.errors import AssetError

# Import names of packages that are no dependencies, and the extra that brings each.
EXTRA_OF = {
    "basicsr": "realesrgan",
    "realesrgan": "realesrgan",
    "smplx": "smplx",
    "face_alignment": "face-alignment",
    "pillow_heif": "heic",
    "onnxruntime": "onnx",
    "s3fs": "s3",
    "lmdb": "lmdb",
    "wandb": "wandb",
}
# basicsr is built here: its build imports torch and calls what setuptools 81 no longer has.
_BEFORE = {"realesrgan": "pip install 'setuptools<81' wheel && "}
_OPTIONS = {"realesrgan": "--no-build-isolation "}
_CHECKOUT = Path(__file__).parents[1]
HEADLESS_OPENCV = "pip install --force-reinstall --no-deps 'opencv-contrib-python-headless<4.12'"


def requirement(extra: str) -> str:
    """Return what pip takes for an extra."""
    return f"shhq-hs[{extra}]"


def install_command(extra: str) -> str:
    """Return the command that installs an extra beside this package."""
    return f"{_BEFORE.get(extra, '')}pip install {_OPTIONS.get(extra, '')}'{requirement(extra)}'"


def require_extra(package: str, wanted_by: str) -> None:
    """Raise AssetError with the command to type where the package, by its import name, is absent."""
    if importlib.util.find_spec(package) is None:
        raise AssetError(f"{wanted_by} needs the package {package}; run: {install_command(EXTRA_OF[package])}")


def set_up_command() -> str:
    """Return what sets this program up again: in a checkout `make setup`, elsewhere pip."""
    if (_CHECKOUT / "Makefile").is_file() and (_CHECKOUT / "pyproject.toml").is_file():
        return "make setup"
    return "pip install --force-reinstall --no-deps shhq-hs && pip install shhq-hs"


def remedy_for_import(error: ImportError) -> str:
    """Return the command that puts right a dependency that is there and does not load, or is not there."""
    no_display = any(library in str(error) for library in ("libGL", "libgthread", "libxcb", "libSM", "libXext"))
    return HEADLESS_OPENCV if no_display and set_up_command() != "make setup" else set_up_command()
