"""Model files that the user supplies: what each is, where it comes from, and finding the one a setting names.

Nothing here downloads. A setting holds a path or the name of a file in the assets folder (`$SHHQ_HS_ASSETS`, by
default the platform's user-data folder). A file that is not there is an error, never replaced by another. The user's
page is docs/models.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from dataprep.errors import AssetError

RESEARCH_ONLY = "research-only"
_BFM_FORM = "faces.dmi.unibas.ch (form)"
_DEEP3D = "github.com/sicxu/Deep3DFaceRecon_pytorch"


@dataclass(frozen=True)
class LicensedFile:
    """A file behind a licence form or without a package. `setting` is what makes a stage use it."""

    filename: str
    enables: str
    licence: str
    source: str
    setting: str


LICENSED = (
    LicensedFile("SMPL_NEUTRAL.pkl", "SMPL body (v1.0, v1.1)", RESEARCH_ONLY, "smpl.is.tue.mpg.de (form)",
                 "body.model=SMPL_NEUTRAL.pkl"),
    LicensedFile("SMPL_NEUTRAL.npz", "SMPL body", RESEARCH_ONLY, "smpl.is.tue.mpg.de (form)",
                 "body.model=SMPL_NEUTRAL.npz"),
    LicensedFile("model_checkpoint.pt", "HMR regressor for EFT", RESEARCH_ONLY, "github.com/nkolot/SPIN",
                 "body.regressor=hmr"),
    LicensedFile("BFM_model_front.mat", "Basel face model", RESEARCH_ONLY, f"{_BFM_FORM}, then {_DEEP3D}",
                 "face.model=BFM_model_front.mat"),
    LicensedFile("01_MorphableModel.mat", "Basel face model 2009, raw", RESEARCH_ONLY, _BFM_FORM,
                 "face.model=01_MorphableModel.mat"),
    LicensedFile("Exp_Pca.bin", "expressions for BFM 2009", RESEARCH_ONLY, "github.com/Juyong/3DFace (form)", ""),
    LicensedFile("std_exp.txt", "expressions for BFM 2009", RESEARCH_ONLY, f"{_DEEP3D}, BFM/", ""),
    LicensedFile("BFM_front_idx.mat", "face region of BFM 2009", RESEARCH_ONLY, f"{_DEEP3D}, BFM/", ""),
    LicensedFile("BFM_exp_idx.mat", "face region of BFM 2009", RESEARCH_ONLY, f"{_DEEP3D}, BFM/", ""),
    LicensedFile("facemodel_info.mat", "topology of BFM 2009", RESEARCH_ONLY, f"{_DEEP3D}, BFM/", ""),
    LicensedFile("epoch_20.pth", "3DMM regressor (R-Net)", RESEARCH_ONLY, _DEEP3D, "face.method=rnet"),
    LicensedFile("BiRefNet-portrait-epoch_150.onnx", "finer person masks", "MIT", "github.com/ZhengPeng7/BiRefNet",
                 "matte.model=BiRefNet-portrait-epoch_150.onnx"),
    LicensedFile("foreground-segmentation-model-vitl16_384.onnx", "finer person masks", "MIT",
                 "github.com/microsoft/DAViD",
                 "matte.model=foreground-segmentation-model-vitl16_384.onnx matte.model_input=unit_bgr"),
)  # fmt: skip


def assets_folder() -> Path:
    """Where user-supplied model files are looked for."""
    return Path(os.environ.get("SHHQ_HS_ASSETS") or platformdirs.user_data_dir("shhq-hs"))


def find_file(named: str, setting: str) -> Path:
    """The file that `setting` (for example "body.model") names; AssetError says where it comes from when missing."""
    given, kept = Path(named), assets_folder() / named
    for path in (given, kept):
        if path.is_file():
            return path
    known = next((f for f in LICENSED if f.filename == given.name), None)
    origin = f" It comes from {known.source}." if known else ""
    raise AssetError(
        f"{setting}={named}: no such file, neither as a path nor in {kept.parent}.{origin} Put it there (or set "
        f"SHHQ_HS_ASSETS, or give its path), check with `shhq-hs assets`, and run the command again"
    )
