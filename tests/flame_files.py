"""Files of FLAME's schema that hold the stand-in face: sizes, names and kinds of FLAME's own, no number of theirs."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from dataprep.fits.face.contour import contour_of
from dataprep.models.face.bfm import FaceModel
from dataprep.models.face.face_files import open_face

VERTICES = 5023


def write_flame(folder: Path, with_contours: bool = True, first_to: int = -1) -> tuple[Path, Path]:
    """Write generic_model.pkl and landmark_embedding.npy; the first contours are of heads turned left (-1) or right."""
    face = open_face()
    chosen = np.unique(np.r_[face.landmarks, np.linspace(0, len(face.mean) - 1, VERTICES - 68).astype(int)])
    rows = np.r_[chosen, np.zeros(max(0, VERTICES - len(chosen)), int)][:VERTICES]
    place = {int(vertex): i for i, vertex in reversed(list(enumerate(rows)))}
    template = face.mean[rows] / 10  # m from dm
    dirs = np.zeros((VERTICES, 3, 400))
    dirs[..., :80], dirs[..., 300:364] = face.id_base[rows] / 10, face.exp_base[rows] / 10
    joints = np.array(
        [[0, -0.12, -0.08], [0, -0.06, -0.06], [0, -0.02, -0.04], [0.03, 0.03, 0.02], [-0.03, 0.03, 0.02]]
    )
    weights = np.zeros((VERTICES, 5))
    weights[:, 2] = np.clip((-0.03 - template[:, 1]) / 0.02, 0, 1)  # the chin goes with the jaw
    weights[:, 1] = 1 - weights[:, 2]
    content = {
        "v_template": template,
        "shapedirs": dirs,
        "posedirs": np.zeros((VERTICES, 3, 36)),
        "J_regressor": scipy.sparse.csc_matrix(_regressor(template, joints)),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
        "weights": weights,
        "f": np.stack([(np.arange(VERTICES) + k) % VERTICES for k in range(3)], axis=1).astype(np.uint32),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }
    model, embedding = folder / "generic_model.pkl", folder / "landmark_embedding.npy"
    model.write_bytes(pickle.dumps(content, protocol=2))
    where = np.array([[place[int(vertex)] for vertex in face.landmarks]])
    bary = np.zeros((1, 68, 3))
    bary[..., 0] = 1
    contours = _contours(face, template, first_to)
    content = {"full_lmk_faces_idx": where, "full_lmk_bary_coords": bary}
    if with_contours:  # as DECA's file holds them: tensors beside arrays
        content |= {
            "dynamic_lmk_faces_idx": torch.from_numpy(contours),
            "dynamic_lmk_bary_coords": torch.eye(3)[torch.zeros(contours.shape, dtype=torch.long)],
        }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of torch, that storages of a type are deprecated
        np.save(embedding, content, allow_pickle=True)
    return model, embedding


def _contours(face: FaceModel, template: np.ndarray, first_to: int) -> np.ndarray:
    """Vertices of the jaw's landmarks on the visible edge of the mean face, by FLAME's 79 angles.

    In smplx's code an angle counts positive when the face turns to the left of the picture, in DECA's to its right.
    """
    nearest = cKDTree(template)
    at_rest = contour_of(face)
    jaw = face.mean[face.landmarks].astype(np.float64)
    found = []
    for angle in (*range(40), *range(-1, -40, -1)):
        turn = Rotation.from_euler("y", first_to * angle, degrees=True).as_matrix()
        mean, _ = at_rest.landmarks(jaw, np.zeros((68, 3, 144)), turn, np.zeros(144))
        found.append(nearest.query(mean[:17] / 10)[1])
    return np.array(found)


def _regressor(template: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Rows that reach the joints from few vertices, as FLAME's do: least squares, each summing to 1."""
    used = np.arange(0, VERTICES, 50)
    system = np.vstack([template[used].T, np.ones(len(used))])
    regressor = np.zeros((5, VERTICES))
    regressor[:, used] = np.linalg.lstsq(system, np.vstack([joints.T, np.ones(5)]), rcond=None)[0].T
    return regressor
