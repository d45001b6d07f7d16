"""Model files the project knows: what each enables, its licence, where it comes from, and where we look for it.

The free tier lies in this package and in packages of the set-up. Files with licence forms or without a package go to
the assets folder: `$SHHQ_HS_ASSETS`, by default the platform's user-data folder (docs/models.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dataprep.files.file_hashes import file_sha256
from dataprep.models.detection import fan
from dataprep.models.detection.blendshapes import LANDMARKER_PATH, LANDMARKER_SHA256
from dataprep.models.detection.mediapipe_graphs import MODEL_SHA256, package_folder
from dataprep.models.licensed import LICENSED, assets_folder
from dataprep.models.shipped import SHIPPED_FOLDER
from dataprep.models.superres.superres_files import MODEL_NAMES, model_file

# fmt: off
_SHIPPED = {  # file -> what it enables, licence, sha256
    "blendshapes_anny.npz": ("what blendshapes tell of an expression, for the 3DMM", "Apache-2.0",
        "c9904c0b6ed843a7caf292989cb58d5c588ae23f7750804b9cb2788f998419e1"),
    "body_anny.npz": ("body fits (SMPL-format stand-in)", "CC0",
        "12adcf90d8ba4bb74f12dd82a0715c46e113a1924756a7906738c610441661bd"),
    "face_anny.npz": ("3DMM fits (BFM-format stand-in)", "CC0",
        "0089c9e2c68398fa97603b484188e79110b83239cc0e7e3095de6f72db67e61c"),
    "face_estimator_anny.npz": ("stand-in face estimator: Eq. 9 of training", "Apache-2.0",
        "45c6ea2941e86d0ef09b747d7b2dae5651c5e587f850c824db5db9c938920ba6"),
    "face_units_anny.npz": ("facial units of the face stand-in", "CC0",
        "e1cac5f7c1e969f6a7088323a19cb7f12b0c606bf10a59f8dd1e14ab85bbd079"),
    "landmarks_anny.npz": ("MediaPipe's measured landmark errors, for the 3DMM", "Apache-2.0",
        "caddd9bbd319e85aba920b4244f62470208fc28c75144a3575f551fa3623075b"),
    "lifter_anny.npz": ("body regressor for EFT", "Apache-2.0",
        "2b5330b2d07e11ef44f6969472ee271ccf0170a249476c55309daf8e23a5212c"),
    "mediapipe_anny.npz": ("MediaPipe's measured body-point errors", "Apache-2.0",
        "46146ea19c136404baea1b9ce4d839627b268e09ac6e2a875711601de93fe019"),
}
# fmt: on
_LICENCES = {"mit": "MIT", "apache-2.0": "Apache-2.0"}  # class in the rows of a data set -> as it is spelt
_PUBLISHED = {  # file of the authors -> what it enables
    "sshq512.pt": "the published generator",
    "valid_smpl_knn_index.npy": "the vertices its pictures are made with",
    "sampler_npy/id_shape_sampler_body.npy": "people for it, and truncation",
    "sampler_npy/camera_pose_joint_sample.npy": "motions for it",
    "sampler_npy/expression_body.npy": "expressions for it",
}


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
    for name, (enables, licence, sha256) in _SHIPPED.items():
        yield Asset(name, enables, licence, "shipped", "free", SHIPPED_FOLDER, sha256)
    enables = "blendshapes, and landmarks beside the mesh's"
    folder, sha256 = LANDMARKER_PATH.parent, LANDMARKER_SHA256
    yield Asset(LANDMARKER_PATH.name, enables, "Apache-2.0", "MediaPipe, shipped", "free", folder, sha256)
    for name in MODEL_NAMES:
        file = model_file(name)
        enables = f"super-resolution model {name}"
        licence = _LICENCES[file.licence]
        yield Asset(file.path.name, enables, licence, file.source, "free", file.path.parent, file.sha256)
    for name, sha256 in MODEL_SHA256.items():
        folder = package_folder() / "modules" / Path(name).parent
        yield Asset(Path(name).name, "detection", "Apache-2.0", "package mediapipe 0.10.21", "free", folder, sha256)
    hub = fan.default_path().parent
    yield Asset(fan.FILE_NAME, "detect.landmarks=fan", "BSD-3-Clause", "face-alignment", "user", hub, fan.SHA256_PREFIX)
    for known in LICENSED:
        enables = f"{known.enables}: {known.setting}" if known.setting else known.enables
        yield Asset(known.filename, enables, known.licence, known.source, "user", sha256=known.sha256)
    for name, enables in _PUBLISHED.items():
        yield Asset(name, enables, "see its authors", "github.com/YueWuHKUST/AniPortraitGAN", "user")


def state_of(asset: Asset) -> str:
    """found, missing, or corrupt (another hash than the published one)."""
    if not asset.path.is_file():
        return "missing"
    found = file_sha256(asset.path)
    return "found" if found.startswith(asset.sha256) else f"corrupt (sha256 {found[:12]}..)"
