"""Faces that others annotated, in the files they publish: AFLW2000-3D (`.mat`) and iBUG's sets (`.pts`).

A picture of the same name lies beside each file. Points come back in continuous px of that picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from dataprep.errors import ConfigError
from dataprep.models.face.bfm import MAT_ERRORS
from dataprep.tables.sources import IMAGE_SUFFIXES
from dataprep.tracking.video_reader import read_pts

SETS = {".mat": "AFLW2000-3D", ".pts": "iBUG"}


@dataclass(frozen=True, eq=False)
class Annotation:
    """What people, or a fit that people checked, say of one face."""

    landmarks_px: Float[np.ndarray, "68 2"]
    head_from_face: Float[np.ndarray, "3 3"] | None = None  # GL axes, seen along the ray to the face; AFLW2000-3D only


def annotation_files(folder: Path) -> list[Path]:
    """Annotation files at any depth, sorted; ConfigError where there are none."""
    if not folder.is_dir():
        raise ConfigError(f"DIR {folder}: no such folder; give one of AFLW2000-3D or of iBUG's sets")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SETS)
    if not files:
        raise ConfigError(f"DIR {folder}: no .mat or .pts file there; expected pictures with one beside each")
    return files


def picture_beside(path: Path) -> bytes:
    """The file of the picture beside an annotation; ConfigError when it cannot be read, or there is not exactly one."""
    beside = sorted(one for one in path.parent.glob("*") if one.stem == path.stem)
    pictures = [one for one in beside if one.suffix.lower() in IMAGE_SUFFIXES]
    if len(pictures) != 1:
        raise ConfigError(f"{len(pictures)} pictures named {path.stem} lie beside it, expected one")
    try:
        return pictures[0].read_bytes()
    except OSError as error:
        raise ConfigError(f"{pictures[0].name} cannot be read ({error.strerror})") from error


def read_annotation(path: Path) -> Annotation:
    """Read a `.mat` or `.pts` file; ConfigError says what is wrong with it."""
    return _read_mat(path) if path.suffix.lower() == ".mat" else Annotation(_read_points(path))


def _read_points(path: Path) -> Float[np.ndarray, "68 2"]:
    """iBUG counts pixels from 1. Points that are whole numbers throughout were clicked in dlib's tool, from 0."""
    points = read_pts(path)
    clicked = bool((np.mod(points, 1) == 0.5).all())  # continuous px of whole numbers
    return points + 1.0 if clicked else points


def _read_mat(path: Path) -> Annotation:
    try:
        content = scipy.io.loadmat(str(path), variable_names=("Pose_Para", "pt3d_68"))
        pose = np.asarray(content["Pose_Para"], np.float64).ravel()
        points = np.asarray(content["pt3d_68"], np.float64)
    except MAT_ERRORS as error:
        raise ConfigError(f"not a .mat file of AFLW2000-3D ({error}); expected Pose_Para and pt3d_68") from error
    if points.shape != (3, 68) or pose.size != 7:
        raise ConfigError(f"pt3d_68 has shape {points.shape}, Pose_Para {pose.size} numbers; expected (3, 68) and 7")
    if not (np.isfinite(points).all() and np.isfinite(pose).all()):
        raise ConfigError("pt3d_68 or Pose_Para holds numbers that are not finite")
    return Annotation(points[:2].T - 0.5, head_from_pose(pose[:3]))  # MATLAB counts pixels from 1, too


def head_from_pose(pitch_yaw_roll_rad: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """R_x R_y R_z of 3DDFA's angles, whose matrices turn the other way round than ours: face to GL axes.

    A positive pitch looks up, a positive yaw towards image left. Camera and face are those of a scaled orthography.
    """
    return Rotation.from_euler("XYZ", -np.asarray(pitch_yaw_roll_rad)).as_matrix()
