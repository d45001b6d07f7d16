"""Reading SHHQ-HS as its authors describe their hand-out: portraits, face crops, cameras, SMPL and 3DMM coefficients.

The hand-out itself is not public and its field names are not published: FIELDS holds every name that is assumed, in one
table, and each can be renamed (`--field smpl_pose=pose`). Labels lie beside the images, one file a person, `NAME.npz`,
`NAME.npy` (a structured array), `NAME.mat` or `NAME.json`.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from jaxtyping import Float

from dataprep.errors import ConfigError, Unreadable
from dataprep.files.filenames import escape
from dataprep.files.foreign_files import read_bytes
from dataprep.files.untrusted import lies_within, parse_json
from dataprep.fits.canonical_head import face_pitch_yaw
from dataprep.fits.generator_labels import cam2world, intrinsics, joints_zyx, rotations_from_rotvecs
from dataprep.frames.face_frames import head_from_3dmm
from dataprep.tables.labels import (
    BFM_ANGLE,
    BFM_EXP,
    BFM_ID,
    CAM2WORLD,
    CAMERA_PITCH_YAW,
    FACE_PITCH_YAW,
    INTRINSICS,
    JOINTS_ZYX,
    LANDMARKS68,
    SMPL_BETAS,
    SMPL_BODY_POSE,
    SMPL_GLOBAL_ORIENT_PORTRAIT,
)

LABEL_SUFFIXES = (".npz", ".npy", ".mat", ".json")
_MAX_BYTES = 16 << 20  # of one person's labels, packed or not: they are a few thousand numbers
_SHOWN = 200  # characters of a reader's own words
FOLDERS = {"portrait": "portraits", "face": "faces", "alpha": "alphas", "labels": "labels"}


@dataclass(frozen=True)
class Field:
    """One assumed field of a label file."""

    name: str  # in the label file; another one with --field NAME=THEIRS
    shapes: tuple[tuple[int, ...], ...]  # accepted; flat ones of the same size too
    meaning: str
    required: bool = True


FIELDS = (
    Field("camera", ((2,), (25,), (4, 4)), "portrait camera: pitch and yaw in rad, both pi/2 in front; or EG3D's 25 "
          "numbers; or a camera-to-world matrix (OpenCV axes, about the point between the shoulders)"),
    Field("smpl_pose", ((72,), (24, 3)), "SMPL pose, rotation vectors in rad, the root first"),
    Field("smpl_shape", ((10,),), "SMPL shape coefficients, standard deviations"),
    Field("id", ((80,),), "3DMM identity coefficients, standard deviations"),
    Field("exp", ((64,),), "3DMM expression coefficients, standard deviations"),
    Field("angle", ((3,),), "3DMM head rotation, Euler x, y, z in rad, in Deep3DFaceRecon's order"),
    Field("face_camera", ((2,),), "face camera: pitch and yaw in rad, in the axes in which the generator turns the "
          "head; from `angle` when absent", required=False),
    Field(LANDMARKS68, ((68, 2),), "68 landmarks in px of the portrait; zeros when absent: training reads none",
          required=False),
)  # fmt: skip


@dataclass(frozen=True)
class HandedPerson:
    """One person of the hand-out: files of the images and the labels in the manifest's names and frames."""

    sample_id: str
    name: str
    images: Mapping[str, Path]  # portrait, face, and alpha where there is one
    labels: Mapping[str, np.ndarray]


def renames(settings: list[str]) -> dict[str, str]:
    """`NAME=THEIRS` settings as a table; ConfigError on a name that no field has."""
    known = [field.name for field in FIELDS]
    table = {name: name for name in known}
    for setting in settings:
        name, separator, theirs = setting.partition("=")
        if not separator or name not in table or not theirs:
            raise ConfigError(f"--field {setting!r}: expected NAME=THEIRS with NAME of {', '.join(known)}")
        table[name] = theirs
    return table


def read_handout(
    folder: Path, names: Mapping[str, str], head_offset: Float[np.ndarray, "3 3"]
) -> Iterator[HandedPerson]:
    """Every portrait with its labels, sorted by name; pairing is by name alone, and nothing is skipped.

    `head_offset` is that of the models which the coefficients belong to (`fits.head_tie`).

    Raises ConfigError naming the file and the field when something is missing or has another shape.
    """
    for name in FOLDERS.values():
        if not lies_within(folder / name, folder):
            raise ConfigError(f"{folder / name} is a link that leads out of {folder}; put the folder itself there")
    portraits = _pictures(folder / FOLDERS["portrait"])
    if not portraits:
        expected = ", ".join(f"{name}/" for name in FOLDERS.values())
        raise ConfigError(f"{folder} holds no pictures in {FOLDERS['portrait']}/; expected {expected}")
    faces, alphas = (_pictures(folder / FOLDERS[kind]) for kind in ("face", "alpha"))
    labels = {path.stem: path for path in (folder / FOLDERS["labels"]).glob("*") if path.suffix in LABEL_SUFFIXES}
    for name, portrait in sorted(portraits.items()):
        for kind, found in (("face", faces), ("labels", labels)):
            if name not in found:
                raise ConfigError(f"{portrait}: nothing of the name {name} in {folder / FOLDERS[kind]}")
        images = {"portrait": portrait, "face": faces[name]}
        if name in alphas:
            images["alpha"] = alphas[name]
        sample_id = hashlib.sha256(os.fsencode(name) + b"\0" + read_handed(portrait)).hexdigest()[:32]
        columns = manifest_labels(read_labels(labels[name], names), head_offset)
        yield HandedPerson(sample_id, escape(name), images, _finite(columns, labels[name]))


def read_handed(path: Path) -> bytes:
    """A file of the hand-out; raises ConfigError for what is none: links lead anywhere, and pipes never end."""
    try:
        return read_bytes(path.parent, path.name, follow=False)
    except Unreadable as error:
        raise ConfigError(f"{path}: {error}; put the file itself there") from error


def read_labels(path: Path, names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Fields of one label file, by our names, in the first of their accepted shapes that fits."""
    data = read_handed(path)
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path}: {len(data):,} bytes, expected the labels of a person in at most {_MAX_BYTES:,}")
    try:
        content = _READERS[path.suffix](data)
    except Exception as error:  # on hostile bytes readers raise anything: BadZipFile, RecursionError, MemoryError, ...
        why = " ".join(str(error).split())[:_SHOWN] or type(error).__name__
        raise ConfigError(f"{path}: no readable {path.suffix} file ({why})") from error
    found = {}
    for field in FIELDS:
        theirs = names[field.name]
        if theirs not in content:
            if field.required:
                present = ", ".join(sorted(map(str, content))) or "nothing"
                raise ConfigError(
                    f"{path} has no field {theirs!r} ({field.meaning}); it holds {present}. If it is called otherwise: "
                    f"--field {field.name}=THEIRS"
                )
            continue
        found[field.name] = _shaped(_numbers(content[theirs], field, path), field, path)
    return found


def manifest_labels(fields: Mapping[str, np.ndarray], head_offset: Float[np.ndarray, "3 3"]) -> dict[str, np.ndarray]:
    """The manifest's columns from the hand-out's fields."""
    rotations = rotations_from_rotvecs(fields["smpl_pose"].reshape(24, 3)[0], fields["smpl_pose"].reshape(24, 3)[1:])
    camera = _pitch_yaw(fields["camera"])
    pose = fields["smpl_pose"].reshape(24, 3)
    return {
        CAMERA_PITCH_YAW: camera,
        FACE_PITCH_YAW: fields.get("face_camera", face_pitch_yaw(head_from_3dmm(fields["angle"]), head_offset)),
        JOINTS_ZYX: joints_zyx(rotations),
        CAM2WORLD: cam2world(camera),
        INTRINSICS: intrinsics(),
        BFM_ID: fields["id"],
        BFM_EXP: fields["exp"],
        BFM_ANGLE: fields["angle"],
        "head_offset": head_offset,
        SMPL_BETAS: fields["smpl_shape"],
        SMPL_GLOBAL_ORIENT_PORTRAIT: pose[0],
        SMPL_BODY_POSE: pose[1:],
        LANDMARKS68: fields.get(LANDMARKS68, np.zeros((68, 2))),
    }


def _pitch_yaw(camera: np.ndarray) -> Float[np.ndarray, "2"]:
    """Angles as given, or of the camera's place in a matrix."""
    if camera.size == 2:
        return camera.reshape(2)
    x, y, z = camera.ravel()[:16].reshape(4, 4)[:3, 3]
    return np.array([np.arccos(y / np.sqrt(x * x + y * y + z * z)), np.arctan2(z, x)])


def _shaped(values: np.ndarray, field: Field, path: Path) -> np.ndarray:
    for shape in field.shapes:
        if values.size == int(np.prod(shape)):
            return _finite({field.name: values.reshape(shape)}, path)[field.name]
    expected = " or ".join(str(shape) for shape in field.shapes)
    raise ConfigError(f"{path}: {field.name} has shape {values.shape}, expected {expected}: {field.meaning}")


def _numbers(value: Any, field: Field, path: Path) -> np.ndarray:
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{path}: {field.name} holds no numbers ({error}), expected {field.meaning}") from error


def _finite(labels: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """The labels, unless one is not finite in float32, as which they are kept."""
    with np.errstate(over="ignore", invalid="ignore"):
        for name, values in labels.items():
            if not np.isfinite(values.astype(np.float32)).all():
                raise ConfigError(f"{path}: {name} holds values that are not finite as float32")
    return labels


def _pictures(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in folder.glob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg")}


def _read_npy(data: bytes) -> Mapping[str, Any]:
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.dtype.names is None:
        raise ValueError("a plain array without field names; save a structured one, or .npz")
    return {name: array[name] for name in array.dtype.names}


def _read_npz(data: bytes) -> Mapping[str, Any]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _require_small(sum(member.file_size for member in archive.infolist()))
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return dict(arrays)


def _read_mat(data: bytes) -> Mapping[str, Any]:
    _require_small(sum(8 * math.prod(shape) for _, shape, _ in scipy.io.whosmat(io.BytesIO(data))))
    return scipy.io.loadmat(io.BytesIO(data))


def _require_small(size: int) -> None:
    """Before it is unpacked."""
    if size > _MAX_BYTES:
        raise ValueError(f"{size:,} bytes when unpacked, expected at most {_MAX_BYTES:,}")


def _read_json(data: bytes) -> Mapping[str, Any]:
    content = parse_json(data)
    if not isinstance(content, dict):
        raise ValueError("expected an object with the fields")
    return content


_READERS: dict[str, Callable[[bytes], Mapping[str, Any]]] = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".mat": _read_mat,
    ".json": _read_json,
}
