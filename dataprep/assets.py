"""Model files the project knows: what each enables, its licence, where it comes from, and where we look for it.

The free tier lies in this package and in packages of the set-up. Files with licence forms or without a package go to
the assets folder: `$SHHQ_HS_ASSETS`, by default the platform's user-data folder. (spec 4)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dataprep.licensed import LICENSED, assets_folder
from dataprep.store import file_sha256

_MODELS = Path(__file__).parent / "models" / "data"
# fmt: off
_SHIPPED = {  # file -> what it enables, licence, sha256
    "body_anny.npz": ("body fits (SMPL-format stand-in)", "CC0",
        "12adcf90d8ba4bb74f12dd82a0715c46e113a1924756a7906738c610441661bd"),
    "face_anny.npz": ("3DMM fits (BFM-format stand-in)", "CC0",
        "25bc6ea02990d65e341274ebf4002d53a12fec9f7a020591344d746ecf8a9e1c"),
    "face_estimator_anny.npz": ("stand-in face estimator: Eq. 9 of training", "Apache-2.0",
        "3518d0ded36834bf3e882a6a1a5b1a6936790ed25779a6016306f7a2d0a6edb2"),
    "face_units_anny.npz": ("facial units of the face stand-in", "CC0",
        "11b5bbf1b60c14d5d181e87d26d9ec4d8e41fcdcac040c928bde9c4220e2eb5f"),
    "landmarks_anny.npz": ("MediaPipe's measured landmark errors, for the 3DMM", "Apache-2.0",
        "ad36e711b0aad68bfd52cbe7072f221ba434a5e6095ae943e539b8bc7e9216d6"),
    "lifter_anny.npz": ("body regressor for EFT", "Apache-2.0",
        "0fed612bf63785cd3e4a0f8e129e3c7008e99510b7ec6dc5da5c556c97c5722b"),
    "mediapipe_anny.npz": ("MediaPipe's measured body-point errors", "Apache-2.0",
        "46146ea19c136404baea1b9ce4d839627b268e09ac6e2a875711601de93fe019"),
}
# fmt: on


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
    from dataprep.models import fan
    from dataprep.models.mediapipe_graphs import MODEL_SHA256, package_folder
    from dataprep.models.superres_files import INSTALL_COMMAND, MODEL_NAMES, model_file

    for name, (enables, licence, sha256) in _SHIPPED.items():
        yield Asset(name, enables, licence, "shipped", "free", _MODELS, sha256)
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
        folder = package_folder() / "modules" / Path(name).parent
        yield Asset(Path(name).name, "detection", "Apache-2.0", "package mediapipe 0.10.21", "free", folder, sha256)
    hub = fan.default_path().parent
    yield Asset(fan.FILE_NAME, "detect.landmarks=fan", "BSD-3-Clause", "face-alignment", "user", hub, fan.SHA256_PREFIX)
    for known in LICENSED:
        enables = f"{known.enables}: {known.setting}" if known.setting else known.enables
        yield Asset(known.filename, enables, known.licence, known.source, "user")
    yield Asset(
        "sshq512.pt", "the published generator", "see its authors", "github.com/kathrinawu/AniPortraitGAN", "user"
    )


def state_of(asset: Asset) -> str:
    """found, missing, or corrupt (another hash than the published one)."""
    if not asset.path.is_file():
        return "missing"
    found = file_sha256(asset.path)
    return "found" if found.startswith(asset.sha256) else f"corrupt (sha256 {found[:12]}..)"
