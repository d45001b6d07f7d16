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
CONTOURS = ("dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords")
JAW, MOST_YAW = 17, 39  # landmarks of the jaw; the file has them for every whole degree up to this one, either way


@dataclass(frozen=True, eq=False)
class FlameLandmarks:
    """The 68 landmarks of a FLAME file, float64; corners: the three vertices of each landmark's triangle.

    Where the file has contours, 79 times the 17 of the jaw follow: for heads turned by 0 to 39 degrees, then by 1 to 39
    to the other side.
    """

    corners: Float[np.ndarray, "c 3"]
    corner_dirs: Float[np.ndarray, "c 3 400"]
    corner_pose_dirs: Float[np.ndarray, "c 3 36"]
    corner_weights: Float[np.ndarray, "c 5"]
    weights: Float[np.ndarray, "l 3"]  # barycentric
    joints: Float[np.ndarray, "5 3"]
    joint_dirs: Float[np.ndarray, "5 3 400"]

    def contour(self, rotation: Float[np.ndarray, "3 3"]) -> int:
        """Return which contour a head shows that is turned so before the camera; 0 where the file has none.

        By whole degrees about the vertical, to one side first, then to the other. FLAME's own code and DECA's take the
        same numbers for opposite sides; the contours themselves say for which they are.
        """
        if len(self.weights) == 68:
            return 0
        right = np.degrees(np.arctan2(-rotation[2, 0], np.hypot(rotation[0, 0], rotation[1, 0])))
        yaw = round(float(right if self._right_first() else -right))
        return min(yaw, MOST_YAW) if yaw >= 0 else MOST_YAW + min(-yaw, MOST_YAW)

    def _right_first(self) -> bool:
        """Whether the first contours are of heads that turn to the picture's right.

        On the cheek that turns away, the visible edge moves to the front of the face.
        """
        front_m = (self.corners.reshape(-1, 3, 3) * self.weights[..., None]).sum(1)[68:, 2].reshape(-1, JAW)
        moved_m = front_m[MOST_YAW] - front_m[0]
        return bool(moved_m[9:].mean() > moved_m[:8].mean())

    def showing(self, contour: int) -> FlameLandmarks:
        """Return the 68 landmarks with the jaw's on a contour."""
        if len(self.weights) == 68:
            return self
        first = 68 + JAW * contour
        rows = np.r_[first : first + JAW, JAW:68]
        corners = (3 * rows[:, None] + np.arange(3)).ravel()
        return FlameLandmarks(
            self.corners[corners], self.corner_dirs[corners], self.corner_pose_dirs[corners],
            self.corner_weights[corners], self.weights[rows], self.joints, self.joint_dirs,
        )  # fmt: skip


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
    triangles, weights = _landmarks(embedding)
    if triangles.max() >= len(faces) or triangles.min() < 0:
        raise AssetError(f"{embedding.name}: a landmark on triangle {triangles.max()}, {model.name} has {len(faces)}")
    rows = faces[triangles].ravel()
    return FlameLandmarks(
        template[rows], dirs[rows], pose_dirs[rows], skinning[rows],
        weights,
        regressor @ template, np.einsum("jv,vck->jck", regressor, dirs),
    )  # fmt: skip


def _landmarks(embedding: Path) -> tuple[np.ndarray, np.ndarray]:
    """Triangles and weights of the 68 landmarks, and of the contours where the file has them."""
    where = read_npy_arrays(_read(embedding), EMBEDDING, embedding.name, CONTOURS)
    triangles, weights = [], []
    for (index, coordinates), count in ((EMBEDDING, 68), (CONTOURS, JAW * (2 * MOST_YAW + 1))):
        if index not in where or coordinates not in where:
            continue
        found = np.asarray(where[index]).ravel().astype(np.int64)
        if len(found) != count or np.size(where[coordinates]) != 3 * count:
            raise AssetError(f"{embedding.name}: {index} has {len(found)} landmarks, expected {count}")
        triangles.append(found)
        weights.append(np.asarray(where[coordinates], np.float64).reshape(-1, 3))
    return np.concatenate(triangles), np.concatenate(weights)


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
