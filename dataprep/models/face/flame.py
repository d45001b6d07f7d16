"""FLAME's head, from the user's own file: what its landmarks do as shape, expression and joints change.

The file is `generic_model.pkl` or `flame2023.pkl`; where the 68 landmarks lie on its triangles says
`landmark_embedding.npy`, as FLAME's PyTorch code carries it. Both are pickles, read as data
(`dataprep.models.pickles`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dataprep.errors import AssetError
from dataprep.models.pickles import read_npy_arrays, read_smpl_pickle

SHAPES, EXPRESSIONS, JOINTS = 300, 100, 5  # joints: root, neck, jaw, left eye, right eye
EMBEDDING = ("full_lmk_faces_idx", "full_lmk_bary_coords")


@dataclass(frozen=True, eq=False)
class FlameLandmarks:
    """The 68 landmarks of a FLAME file, float64; corners: the three vertices of each landmark's triangle."""

    corners: Float[np.ndarray, "204 3"]
    corner_dirs: Float[np.ndarray, "204 3 400"]
    corner_pose_dirs: Float[np.ndarray, "204 3 36"]
    corner_weights: Float[np.ndarray, "204 5"]
    weights: Float[np.ndarray, "68 3"]  # barycentric
    joints: Float[np.ndarray, "5 3"]
    joint_dirs: Float[np.ndarray, "5 3 400"]


def load_flame(model: Path, embedding: Path) -> FlameLandmarks:
    """Read FLAME's model and landmark file; AssetError when either is something else, metres and FLAME's axes."""
    arrays = read_smpl_pickle(_read(model), model.name)
    template, dirs = _of_shape(arrays, "v_template", (-1, 3), model), _of_shape(arrays, "shapedirs", (-1, 3, -1), model)
    if dirs.shape[2] != SHAPES + EXPRESSIONS:
        raise AssetError(f"{model.name}: {dirs.shape[2]} shape directions, expected FLAME's 300 and 100 of expression")
    vertices = len(template)
    pose_dirs = _of_shape(arrays, "posedirs", (vertices, 3, 9 * (JOINTS - 1)), model)
    skinning = _of_shape(arrays, "weights", (vertices, JOINTS), model)
    regressor = _of_shape(arrays, "J_regressor", (JOINTS, vertices), model)
    faces = np.asarray(arrays["f"]).astype(np.int64)
    where = read_npy_arrays(_read(embedding), EMBEDDING, embedding.name)
    triangles = np.asarray(where[EMBEDDING[0]]).ravel().astype(np.int64)
    if len(triangles) != 68 or triangles.max() >= len(faces):
        raise AssetError(f"{embedding.name}: {len(triangles)} landmarks, expected 68 on triangles of {model.name}")
    rows = faces[triangles].ravel()
    return FlameLandmarks(
        template[rows], dirs[rows], pose_dirs[rows], skinning[rows],
        np.asarray(where[EMBEDDING[1]], np.float64).reshape(68, 3),
        regressor @ template, np.einsum("jv,vck->jck", regressor, dirs),
    )  # fmt: skip


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AssetError(f"{path} cannot be read ({error.strerror}); FLAME comes from flame.is.tue.mpg.de") from error


def _of_shape(arrays: dict[str, object], key: str, shape: tuple[int, ...], path: Path) -> np.ndarray:
    if key not in arrays:
        raise AssetError(f"{path.name} has no {key}; it is no FLAME file")
    value = arrays[key]
    array = np.asarray(value.toarray() if hasattr(value, "toarray") else value, np.float64)
    if array.ndim != len(shape) or any(want not in (-1, have) for want, have in zip(shape, array.shape, strict=True)):
        raise AssetError(f"{path.name}: {key} is {array.shape}, expected {shape} of FLAME (-1: any)")
    return array
