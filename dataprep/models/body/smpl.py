"""Body models of SMPL's schema: arrays, loaded and checked.

Two kinds of file hold the same arrays: our stand-in (npz, sparse joint regressor, key-point regressors inside) and
the licensed `SMPL_NEUTRAL.npz` or `.pkl` (dense joint regressor, pose blend shapes). `body_points` poses joints and key
points, `body_mesh` the full mesh. Frame: y up, +x = the subject's left, z = where the subject faces; metres.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from dataprep.errors import AssetError
from dataprep.frames.smpl_joints import JOINTS, PARENTS
from dataprep.models.pickles import SMPL_KEYS, read_smpl_pickle
from dataprep.models.shipped import SHIPPED_FOLDER

BETAS = 10
STANDIN_PATH = SHIPPED_FOLDER / "body_anny.npz"

_WEIGHT_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class BodyModel:
    """A linear-blend-skinned body with SMPL's 24 joints and 10 shape coefficients.

    `keypoint_names` are namespaced ("mediapipe/nose", "coco/left_ear", "ibug/30"); rows of `keypoint_regressor` sum
    to 1. Official files carry none: the tuple is then empty.
    """

    name: str
    sha256: str
    licence: str
    v_template: np.ndarray  # (V, 3) m
    shapedirs: np.ndarray  # (V, 3, 10) m per standard deviation
    posedirs: np.ndarray | None  # (V, 3, 207) or None when zero
    weights: np.ndarray  # (V, 24), rows sum to 1
    faces: np.ndarray  # (F, 3), 0-based
    joint_regressor: scipy.sparse.csr_matrix  # (24, V)
    keypoint_names: tuple[str, ...]
    keypoint_regressor: scipy.sparse.csr_matrix  # (K, V)
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def topology(self) -> str:
        """Name of the vertex order: two models mix only when it agrees."""
        return f"{self.name}-{len(self.v_template)}"

    def keypoint_rows(self, names: tuple[str, ...]) -> scipy.sparse.csr_matrix:
        """Regressor rows of `names`, in that order; AssetError names the ones this model lacks."""
        index = {name: row for row, name in enumerate(self.keypoint_names)}
        missing = [name for name in names if name not in index]
        if missing:
            raise AssetError(f"body model {self.name}: no key-point regressor for {', '.join(missing[:5])}")
        return self.keypoint_regressor[[index[name] for name in names]]


def load_body(path: Path = STANDIN_PATH) -> BodyModel:
    """Read a body model from an .npz or .pkl of SMPL's schema; AssetError says what is wrong with the file."""
    try:
        data = path.read_bytes()
        arrays = read_smpl_pickle(data, f"body model {path.name}") if path.suffix == ".pkl" else _read_npz(data)
    except FileNotFoundError as missing:
        raise AssetError(f"body model {path.name}: no such file in {path.parent}; see `shhq-hs assets`") from missing
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as broken:
        raise AssetError(f"body model {path.name}: not a readable npz without pickles ({broken})") from broken
    return body_from_arrays(arrays, path.stem, hashlib.sha256(data).hexdigest())


def _read_npz(data: bytes) -> dict[str, Any]:
    """SMPL's keys and ours; others may hold pickles and are left alone."""
    wanted = ("meta", "J_regressor_", "keypoint_", *SMPL_KEYS)
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files if key.startswith(wanted)}


def body_from_arrays(arrays: Mapping[str, Any], name: str, sha256: str) -> BodyModel:
    """Check arrays of SMPL's schema and gather them; unknown keys are ignored. Raises AssetError."""
    required = ("v_template", "shapedirs", "weights", "kintree_table", "f")
    missing = [key for key in required if key not in arrays]
    if missing:
        raise AssetError(f"body model {name}: key {', '.join(missing)} missing; expected SMPL's {', '.join(required)}")
    for key, dimensions in (("v_template", 2), ("shapedirs", 3), ("weights", 2), ("kintree_table", 2), ("f", 2)):
        if np.ndim(arrays[key]) != dimensions:
            raise AssetError(f"body model {name}: {key} has shape {np.shape(arrays[key])}, expected {dimensions} axes")
    vertices = len(np.asarray(arrays["v_template"]))
    meta = json.loads(str(arrays["meta"])) if "meta" in arrays else {}
    regressor = _sparse(arrays, "J_regressor", vertices, name)
    if regressor is None:
        raise AssetError(f"body model {name}: key J_regressor missing (dense, or J_regressor_row/_col/_val)")
    keypoints = _sparse(arrays, "keypoint_regressor", vertices, name, rows=len(arrays.get("keypoint_names", ())))
    posedirs = np.asarray(arrays["posedirs"], np.float32) if "posedirs" in arrays else None
    model = BodyModel(
        name=str(meta.get("name", name)),
        sha256=sha256,
        licence=str(meta.get("licence", "research-only")),
        v_template=np.asarray(arrays["v_template"], np.float32),
        shapedirs=np.asarray(arrays["shapedirs"], np.float32)[:, :, :BETAS],
        posedirs=posedirs if posedirs is not None and posedirs.any() else None,
        weights=np.asarray(arrays["weights"], np.float32),
        faces=np.asarray(arrays["f"]).astype(np.int64),
        joint_regressor=regressor,
        keypoint_names=tuple(str(n) for n in arrays.get("keypoint_names", ())),
        keypoint_regressor=keypoints if keypoints is not None else scipy.sparse.csr_matrix((0, vertices)),
        meta=meta,
    )
    _check(model, np.asarray(arrays["kintree_table"]), name)
    return model


def _sparse(
    arrays: Mapping[str, Any], key: str, vertices: int, name: str, rows: int = len(JOINTS)
) -> scipy.sparse.csr_matrix | None:
    if key in arrays:
        return scipy.sparse.csr_matrix(arrays[key]).astype(np.float64)
    if f"{key}_val" not in arrays:
        return None
    row, col, val = (np.asarray(arrays[f"{key}_{part}"]) for part in ("row", "col", "val"))
    if len(row) and (row.max() >= rows or col.max() >= vertices or min(row.min(), col.min()) < 0):
        raise AssetError(f"body model {name}: {key} points outside its shape ({rows}, {vertices})")
    return scipy.sparse.csr_matrix((val.astype(np.float64), (row, col)), shape=(rows, vertices))


def _check(model: BodyModel, kintree: np.ndarray, name: str) -> None:
    vertices = len(model.v_template)
    expected: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
        "v_template": (model.v_template.shape, (vertices, 3)),
        "shapedirs": (model.shapedirs.shape, (vertices, 3, BETAS)),
        "weights": (model.weights.shape, (vertices, len(JOINTS))),
        "J_regressor": (model.joint_regressor.shape, (len(JOINTS), vertices)),
        "kintree_table": (kintree.shape, (2, len(JOINTS))),
    }
    if model.posedirs is not None:
        expected["posedirs"] = (model.posedirs.shape, (vertices, 3, 9 * (len(JOINTS) - 1)))
    for key, (found, wanted) in expected.items():
        if found != wanted:
            raise AssetError(f"body model {name}: {key} has shape {found}, expected {wanted}")
    for key in ("v_template", "shapedirs", "weights"):
        if not np.isfinite(getattr(model, key)).all():
            raise AssetError(f"body model {name}: {key} holds numbers that are not finite")
    if np.abs(model.weights.sum(1) - 1).max() > _WEIGHT_SUM_TOLERANCE:
        raise AssetError(f"body model {name}: rows of weights do not sum to 1")
    for key, regressor in (("J_regressor", model.joint_regressor), ("keypoint_regressor", model.keypoint_regressor)):
        if regressor.shape[0] and np.abs(np.asarray(regressor.sum(1)) - 1).max() > _WEIGHT_SUM_TOLERANCE:
            raise AssetError(f"body model {name}: rows of {key} do not sum to 1")
    # SMPL stores the root's missing parent as 4294967295; some converters write -1.
    if tuple(kintree[0][1:].astype(np.int64)) != PARENTS[1:]:
        raise AssetError(f"body model {name}: kintree_table is not SMPL's 24-joint tree")
    if model.faces.min() < 0 or model.faces.max() >= vertices:
        raise AssetError(f"body model {name}: f points outside the {vertices} vertices")
