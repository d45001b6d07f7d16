"""Linear face models of Deep3DFaceRecon's schema (BFM_model_front.mat): loading, shape, texture, lighting.

Frame: decimetres, mean at the origin, x right in the image, y up, z to the camera; 80 identity, 64 expression and 80
texture coefficients in standard deviations. Row-vector convention of the reference: rotated = x @ R_rows, where
R_rows is the transpose of the column-vector matrix used everywhere else here.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from jaxtyping import Float, Int
from scipy.io.matlab import MatReadError

from dataprep.errors import AssetError
from dataprep.models.shipped import SHIPPED_FOLDER

STANDIN_PATH = SHIPPED_FOLDER / "face_anny.npz"
ID, EXP, TEX, LANDMARKS = 80, 64, 80, 68

# What scipy raises on damaged .mat files, on other files, and on version 7.3, which it does not read.
MAT_ERRORS = (
    OSError, ValueError, TypeError, KeyError, IndexError, EOFError, NotImplementedError, MatReadError, zlib.error,
)  # fmt: skip

# Real spherical harmonics up to degree 2 as the reference scales them.
_A = np.pi, 2 * np.pi / np.sqrt(3), 2 * np.pi / np.sqrt(8)
_C = 1 / np.sqrt(4 * np.pi), np.sqrt(3) / np.sqrt(4 * np.pi), 3 * np.sqrt(5) / np.sqrt(12 * np.pi)
INITIAL_LIGHT = np.array([0.8, 0, 0, 0, 0, 0, 0, 0, 0])


@dataclass(frozen=True, eq=False)
class FaceModel:
    """Bases are float32, flattened per vertex as (N, 3, coefficients); indices are 0-based."""

    name: str
    sha256: str
    licence: str
    mean: np.ndarray  # (N, 3) dm, centred
    id_base: np.ndarray  # (N, 3, 80)
    exp_base: np.ndarray  # (N, 3, 64)
    mean_texture: np.ndarray  # (N, 3) 0-255
    tex_base: np.ndarray  # (N, 3, 80)
    triangles: np.ndarray  # (T, 3)
    point_buf: np.ndarray  # (N, 8) triangles around a vertex, padded with T
    landmarks: np.ndarray  # (68,)
    skin: np.ndarray  # (N,) 0 or 1
    face_from_body: np.ndarray | None = None  # (3, 4) dm from m of the mean body in T pose (stand-in only)
    body_vertex: np.ndarray | None = None  # (N,) index of each vertex in the body stand-in
    meta: Mapping[str, Any] = field(default_factory=dict)

    def shape(self, identity: Float[np.ndarray, "80"], expression: Float[np.ndarray, "64"]) -> np.ndarray:
        """(N, 3) vertices in decimetres."""
        return self.mean + _combined(self.id_base, identity) + _combined(self.exp_base, expression)

    def texture(self, tex: Float[np.ndarray, "80"]) -> np.ndarray:
        """(N, 3) albedo, 0-255."""
        return self.mean_texture + _combined(self.tex_base, tex)

    def landmark_bases(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (68, 3) and joint basis (68, 3, 144), identity first, float64."""
        rows = self.landmarks
        basis = np.concatenate((self.id_base[rows], self.exp_base[rows]), axis=2).astype(np.float64)
        return self.mean[rows].astype(np.float64), basis

    def normals(self, vertices: Float[np.ndarray, "n 3"]) -> np.ndarray:
        """Unit vertex normals: sum of the unit normals of the faces around each vertex."""
        a, b, c = (vertices[self.triangles[:, i]] for i in range(3))
        face = _unit(np.cross(a - b, b - c))
        face = np.concatenate((face, np.zeros((1, 3))))
        return _unit(face[self.point_buf].sum(1))


def _combined(basis: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """(N, 3) float32 in one product: a float64 vector would have the whole basis copied (BFM: 66 ms instead of 3)."""
    return (basis.reshape(-1, basis.shape[-1]) @ coefficients.astype(np.float32)).reshape(-1, 3)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def harmonics(normals: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 9"]:
    """Lighting basis at rotated unit normals."""
    x, y, z = normals.T
    return np.stack(
        (
            np.full_like(x, _A[0] * _C[0]),
            -_A[1] * _C[1] * y,
            _A[1] * _C[1] * z,
            -_A[1] * _C[1] * x,
            _A[2] * _C[2] * x * y,
            -_A[2] * _C[2] * y * z,
            _A[2] * _C[2] * (3 * z**2 - 1) / (2 * np.sqrt(3)),
            -_A[2] * _C[2] * x * z,
            _A[2] * _C[2] * (x**2 - y**2) / 2,
        ),
        axis=1,
    )


def lit_colour(
    albedo: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], gamma: Float[np.ndarray, "27"]
) -> np.ndarray:
    """Vertex colours in the albedo's range: (Y (gamma + initial light)) x albedo, gamma as three rows of nine."""
    light = gamma.reshape(3, 9) + INITIAL_LIGHT
    return harmonics(normals) @ light.T * albedo


def load_face(path: Path = STANDIN_PATH) -> FaceModel:
    """Read a face model (.npz, or the .mat of Deep3DFaceRecon); raises AssetError that says what is wrong."""
    try:
        data = path.read_bytes()
        arrays = _read_arrays(data, path.suffix)
    except FileNotFoundError as missing:
        raise AssetError(f"face model {path.name}: no such file in {path.parent}; see `shhq-hs assets`") from missing
    except (*MAT_ERRORS, zipfile.BadZipFile) as broken:
        raise AssetError(f"face model {path.name}: neither a readable .npz nor a .mat file ({broken})") from broken
    return face_from_arrays(arrays, path.stem, hashlib.sha256(data).hexdigest())


def _read_arrays(data: bytes, suffix: str) -> dict[str, Any]:
    if suffix == ".mat":
        return {key: value for key, value in scipy.io.loadmat(io.BytesIO(data)).items() if not key.startswith("__")}
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def face_from_arrays(arrays: Mapping[str, Any], name: str, sha256: str) -> FaceModel:
    """Check arrays of BFM_model_front's schema and gather them. Raises AssetError."""
    required = ("meanshape", "meantex", "idBase", "exBase", "texBase", "tri", "point_buf", "keypoints", "skinmask")
    missing = [key for key in required if key not in arrays]
    if missing:
        raise AssetError(f"face model {name}: key {', '.join(missing)} missing; expected {', '.join(required)}")
    count = np.asarray(arrays["meanshape"]).size // 3
    sizes = {
        "meanshape": 3 * count, "meantex": 3 * count, "idBase": 3 * count * ID, "exBase": 3 * count * EXP,
        "texBase": 3 * count * TEX, "point_buf": 8 * count, "keypoints": LANDMARKS, "skinmask": count,
    }  # fmt: skip
    for key, size in sizes.items():
        found = np.asarray(arrays[key])
        if found.size != size:
            raise AssetError(f"face model {name}: {key} has shape {found.shape}, expected {size} numbers in all")
        if not np.isfinite(found.astype(np.float64)).all():
            raise AssetError(f"face model {name}: {key} holds numbers that are not finite")
    triangles = np.asarray(arrays["tri"]).astype(np.int64) - 1
    point_buf = np.asarray(arrays["point_buf"]).astype(np.int64).reshape(count, 8) - 1
    landmarks = np.asarray(arrays["keypoints"]).astype(np.int64).ravel() - 1
    _check_indices(name, triangles, point_buf, landmarks, count)
    meta = json.loads(str(arrays["meta"])) if "meta" in arrays else {}
    mean = np.asarray(arrays["meanshape"], np.float64).reshape(count, 3)
    optional = {key: np.array(arrays[key]) for key in ("face_from_body", "body_vertex") if key in arrays}
    if "face_from_body" in optional:  # it leads to the file's mean, we use the centred one
        optional["face_from_body"][:, 3] -= mean.mean(0)
    return FaceModel(
        name=str(meta.get("name", name)),
        sha256=sha256,
        licence=str(meta.get("licence", "research-only")),
        mean=(mean - mean.mean(0)).astype(np.float32),
        id_base=_basis(arrays["idBase"], count, ID),
        exp_base=_basis(arrays["exBase"], count, EXP),
        mean_texture=np.asarray(arrays["meantex"], np.float32).reshape(count, 3),
        tex_base=_basis(arrays["texBase"], count, TEX),
        triangles=triangles,
        point_buf=point_buf,
        landmarks=landmarks,
        skin=np.asarray(arrays["skinmask"], np.float32).ravel(),
        meta=meta,
        **optional,
    )


def _basis(array: Any, count: int, coefficients: int) -> np.ndarray:
    return np.asarray(array, np.float32).reshape(count, 3, coefficients)


def _check_indices(
    name: str, triangles: Int[np.ndarray, "t 3"], point_buf: np.ndarray, landmarks: np.ndarray, count: int
) -> None:
    limits = {"tri": (triangles, count), "point_buf": (point_buf, len(triangles) + 1), "keypoints": (landmarks, count)}
    for key, (indices, limit) in limits.items():
        if indices.min() < 0 or indices.max() >= limit:
            raise AssetError(f"face model {name}: {key} is 1-based and must lie in 1..{limit}")
