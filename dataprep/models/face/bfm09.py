"""The Basel Face Model 2009 as its owners hand it out, brought to Deep3DFaceRecon's arrays.

Six files of one folder: `01_MorphableModel.mat` (53,490 vertices: shape and texture), `Exp_Pca.bin` with `std_exp.txt`
(53,215 vertices: expressions), two index files, and `facemodel_info.mat` (topology of the 35,709 front vertices).
Lengths become decimetres; bases are scaled by their standard deviations.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from jaxtyping import Float

from dataprep.errors import AssetError
from dataprep.files.file_hashes import remembered_sha256
from dataprep.models.face.bfm import EXP, ID, MAT_ERRORS, TEX, FaceModel, face_from_arrays
from dataprep.models.licensed import LICENSED

MAIN_FILE = "01_MorphableModel.mat"
FILES = (MAIN_FILE, "Exp_Pca.bin", "std_exp.txt", "BFM_front_idx.mat", "BFM_exp_idx.mat", "facemodel_info.mat")
RAW_VERTICES, EXP_VERTICES = 53_490, 53_215

_DM_PER_UNIT = 1e-5  # micrometres


def bfm09_sha256(folder: Path) -> str:
    """One hash for the six files: over their own hashes, in the order of FILES. AssetError when one is missing."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        origin = "; ".join(f"{f.filename}: {f.source}" for f in LICENSED if f.filename in missing)
        raise AssetError(f"face model {MAIN_FILE}: {', '.join(missing)} missing in {folder}. They come from {origin}")
    return hashlib.sha256("".join(remembered_sha256(folder / name) for name in FILES).encode()).hexdigest()


def load_bfm09(folder: Path) -> FaceModel:
    """Build the face model from the six files; AssetError names the file and what is wrong with it."""
    sha256 = bfm09_sha256(folder)
    main = _mat(folder / MAIN_FILE, ("shapePC", "shapeEV", "shapeMU", "texPC", "texEV", "texMU"))
    for key in ("shapePC", "texPC", "shapeMU", "texMU"):
        if len(main[key]) != 3 * RAW_VERTICES:
            raise AssetError(f"{MAIN_FILE}: {key} has {len(main[key])} rows, expected {3 * RAW_VERTICES}")
    front = _indices(folder / "BFM_front_idx.mat", "idx", EXP_VERTICES)
    trimmed = _indices(folder / "BFM_exp_idx.mat", "trimIndex", RAW_VERTICES)
    if len(trimmed) != EXP_VERTICES:
        raise AssetError(f"BFM_exp_idx.mat: {len(trimmed)} indices, expected {EXP_VERTICES}")
    kept = trimmed[front]
    info = _mat(folder / "facemodel_info.mat", ("tri", "point_buf", "keypoints", "skinmask"))
    arrays = {
        "meanshape": _pick(main["shapeMU"].reshape(-1, 1), kept) * _DM_PER_UNIT,
        "meantex": _pick(main["texMU"].reshape(-1, 1), kept),
        "idBase": _pick(_scaled(main["shapePC"], main["shapeEV"], ID), kept) * _DM_PER_UNIT,
        "texBase": _pick(_scaled(main["texPC"], main["texEV"], TEX), kept),
        "exBase": _pick(_expressions(folder), front) * _DM_PER_UNIT,
        **info,
    }
    return face_from_arrays(arrays, "BFM09", sha256)


def _pick(rows: Float[np.ndarray, "v3 k"], vertices: np.ndarray) -> np.ndarray:
    return rows.reshape(-1, 3, rows.shape[1])[vertices].reshape(-1, rows.shape[1])


def _scaled(components: np.ndarray, deviations: np.ndarray, count: int) -> np.ndarray:
    return components[:, :count] * deviations.ravel()[:count]


def _expressions(folder: Path) -> np.ndarray:
    """(3 x 53,215, 64) expression components times their deviations."""
    data = (folder / "Exp_Pca.bin").read_bytes()
    coordinates = 3 * EXP_VERTICES
    count = int.from_bytes(data[:4], "little")
    if not EXP <= count <= 1000 or len(data) < 4 * (1 + coordinates * (1 + count)):
        raise AssetError(
            f"Exp_Pca.bin: {len(data)} bytes do not hold {count} components of {EXP_VERTICES} vertices (an int32 "
            f"count, then float32 mean and components; at least {EXP} are needed); fetch it again"
        )
    components = np.frombuffer(data, "<f4", EXP * coordinates, offset=4 * (1 + coordinates)).reshape(EXP, -1).T
    try:
        deviations = np.loadtxt(folder / "std_exp.txt").ravel()
    except (ValueError, OSError) as broken:
        raise AssetError(f"std_exp.txt: not a list of numbers ({broken})") from None
    if len(deviations) < EXP:
        raise AssetError(f"std_exp.txt: {len(deviations)} numbers, expected at least {EXP}")
    return components * deviations[:EXP]


def _mat(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    try:
        content = scipy.io.loadmat(io.BytesIO(path.read_bytes()), variable_names=list(keys))
    except MAT_ERRORS as broken:
        raise AssetError(f"{path.name}: not a readable .mat file ({str(broken)[:120]})") from None
    missing = [key for key in keys if key not in content]
    if missing:
        raise AssetError(f"{path.name}: key {', '.join(missing)} missing; expected {', '.join(keys)}")
    return {key: content[key] for key in keys}


def _indices(path: Path, key: str, limit: int) -> np.ndarray:
    """1-based in the file, 0-based here."""
    indices = _mat(path, (key,))[key].ravel().astype(np.int64) - 1
    if not len(indices) or indices.min() < 0 or indices.max() >= limit:
        raise AssetError(f"{path.name}: {key} must lie in 1..{limit}")
    return indices
