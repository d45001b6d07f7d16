"""3D joints of a person from pixels, by the user's own network as an ONNX file: InstantHMR and its kind.

Inputs: `image` (1, 3, side, side) and `cliff_cond` (1, 3), where the person stands in the photograph. Two outputs are
read: `joints_3d` (1, 70, 3), metres about the body, and `cam_trans` (1, 3), the body in the camera; axes are cam's. The
parameters of Meta's body model (MHR), which come out, too, are left alone: they fit no other body.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from dataprep.errors import AssetError
from dataprep.frames import geometry
from dataprep.models.onnx_sessions import TYPES, described, open_session
from dataprep.models.regressors.hmr import cut, normalised

SETTING = "body.regressor"
JOINTS = 70
NECK = 69
# The joints that MediaPipe's pose has, too, by its names; left is the person's left.
MHR_INDEX = {
    "nose": 0, "left_eye": 1, "right_eye": 2, "left_ear": 3, "right_ear": 4, "left_shoulder": 5, "right_shoulder": 6,
    "left_elbow": 7, "right_elbow": 8, "left_hip": 9, "right_hip": 10, "left_knee": 11, "right_knee": 12,
    "left_ankle": 13, "right_ankle": 14, "left_foot_index": 15, "left_heel": 17, "right_foot_index": 18,
    "right_heel": 20, "right_wrist": 41, "left_wrist": 62,
}  # fmt: skip

_FREE_SIDE_PX = 224  # for files that take any size: what InstantHMR was trained on
_MARGIN = 1.2  # the square around a person, as in its training
_FOCAL_OF_DIAGONAL = 1.05  # its guess of an unknown camera, where the file wants angles
_Shape = tuple[int | str | None, ...]  # "batch" must take one, None is any side
_INPUTS: dict[str, _Shape] = {"image": ("batch", 3, None, None), "cliff_cond": ("batch", 3)}
_OUTPUTS: dict[str, _Shape] = {"cam_trans": ("batch", 3), "joints_3d": ("batch", JOINTS, 3)}


@dataclass(frozen=True, eq=False)
class PersonJoints:
    """Joints in metres, and the neck in the camera; cam axes: x right, y down, z away."""

    joints_m: Float[np.ndarray, "70 3"]
    neck_cam_m: Float[np.ndarray, "3"]


class MhrJoints:
    """A photograph and a person's box in, joints out. Raises AssetError for a file that does not fit."""

    def __init__(self, path: Path, device: str) -> None:
        self._path = path
        self._session = open_session(path, SETTING, device, "body.device")
        inputs = _fitting(path, "inputs", self._session.get_inputs(), _INPUTS)
        _fitting(path, "outputs", self._session.get_outputs(), _OUTPUTS)
        side = inputs["image"].shape[2]
        self._side_px = side if isinstance(side, int) else _FREE_SIDE_PX
        self._types = {name: TYPES[one.type] for name, one in inputs.items()}
        about = self._session.get_modelmeta().custom_metadata_map
        self._wants_angles = about.get("cliff_focal", "").lower() == "true"

    def __call__(self, photograph: UInt8[np.ndarray, "h w 3"], box_px: Float[np.ndarray, "4"]) -> PersonJoints:
        """Joints of the person in the box x0 y0 x1 y1."""
        height, width = photograph.shape[:2]
        box = np.asarray(box_px, np.float64)
        centre_px, side_px = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max())
        matrix = geometry.square_from_source(centre_px, _MARGIN * side_px, 0.0, self._side_px)
        where = self._condition(centre_px, side_px, np.array([width, height], np.float64))
        given = {"image": normalised(cut(photograph, matrix, self._side_px)).numpy()[None], "cliff_cond": where[None]}
        feed = {name: value.astype(self._types[name]) for name, value in given.items()}
        moved, joints = (np.asarray(one[0], np.float64) for one in self._session.run(list(_OUTPUTS), feed))
        if not (np.isfinite(joints).all() and np.isfinite(moved).all()):
            raise AssetError(f"{SETTING}={self._path}: the network answers numbers that are not finite")
        return PersonJoints(joints, joints[NECK] + moved)

    def _condition(self, centre_px: np.ndarray, side_px: float, size_px: np.ndarray) -> Float[np.ndarray, "3"]:
        """Where the box lies: as parts of the photograph, or as angles where the file says `cliff_focal`."""
        if not self._wants_angles:
            return np.array([*(2 * centre_px / size_px - 1), side_px / size_px.max()])
        focal_px = _FOCAL_OF_DIAGONAL * math.hypot(*size_px)
        return np.array([*np.arctan((centre_px - size_px / 2) / focal_px), side_px / focal_px])


def _fitting(path: Path, what: str, found: Sequence[Any], wanted: Mapping[str, _Shape]) -> dict[str, Any]:
    """The inputs or outputs by their names."""
    named = {one.name: one for one in found}
    for name, shape in wanted.items():
        if name not in named or named[name].type not in TYPES or not _fits(named[name].shape, shape):
            expected = ", ".join(
                f"{one} ({' x '.join(str(n or 'side') for n in sizes)})" for one, sizes in wanted.items()
            )
            hint = (
                "; a file without joints_3d leaves them to Meta's body model: export one that has them"
                if name == "joints_3d" and name not in named
                else ""
            )
            raise AssetError(f"{SETTING}={path}: its {what} are {described(found)}, expected floats {expected}{hint}")
    return named


def _fits(shape: Sequence[int | str | None], wanted: _Shape) -> bool:
    """Whether fixed sizes are as wanted; the batch must take one."""
    if len(shape) != len(wanted):
        return False
    sizes = zip(shape, wanted, strict=True)
    return all(not isinstance(n, int) or w is None or n == (1 if w == "batch" else w) for n, w in sizes)
