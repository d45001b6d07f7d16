"""Apparent age and sex of a face by Cydral Technology's two networks of dlib-models (CC0), as ONNX files.

They say what a face looks like to them, not what a person is. Chips are cut as dlib cuts them for these networks: the
eyes' corners and the nose's base of the 68 landmarks go to dlib's mean face, with a rim of 0.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from dataprep.errors import AssetError
from dataprep.frames import geometry
from dataprep.models.face.apparent_files import find_known
from dataprep.models.onnx_sessions import described, open_session

if TYPE_CHECKING:
    import onnxruntime

_AGE_PX, _SEX_PX = 64, 32
_RIM = 0.2
_MEAN_RGB = np.array([122.782, 117.001, 104.298], np.float32)
_POINTS68 = (45, 42, 36, 39, 33)  # outer and inner corner of the left eye, of the right eye, base of the nose
_MEAN_FACE = np.array(
    [
        [0.8595675, 0.2134982],
        [0.6460605, 0.2289674],
        [0.1205751, 0.2137275],
        [0.3340851, 0.2290643],
        [0.4901123, 0.6277975],
    ]
)
_YEARS = np.array([0.25, *range(1, 81)])  # of the age network's 81 classes


@dataclass(frozen=True)
class Apparent:
    """What a face looks like: years, and the network's share of female, in [0, 1]."""

    age_years: float
    female: float


class ApparentNetworks:
    """Both networks, open in this process."""

    def __init__(self, age: str, sex: str) -> None:
        self._age = _opened(find_known(age, "balance.age_model"), "balance.age_model", (_AGE_PX, len(_YEARS)))
        self._sex = _opened(find_known(sex, "balance.sex_model"), "balance.sex_model", (_SEX_PX, 2))

    def __call__(self, portrait: UInt8[np.ndarray, "p p 3"], landmarks68: Float[np.ndarray, "68 2"]) -> Apparent:
        """Look at a face; landmarks68 in px of the portrait."""
        age = _run(self._age, chip(portrait, landmarks68, _AGE_PX))
        sex = _run(self._sex, chip(portrait, landmarks68, _SEX_PX))
        return Apparent(float(age @ _YEARS), float(sex[0]))


def chip(
    portrait: UInt8[np.ndarray, "p p 3"], landmarks68: Float[np.ndarray, "68 2"], side_px: int
) -> UInt8[np.ndarray, "s s 3"]:
    """Cut the face upright, by the similarity that brings its five points nearest to dlib's mean face."""
    target = (_MEAN_FACE + _RIM) / (1 + 2 * _RIM) * side_px
    return geometry.resample(portrait, _similarity(landmarks68[list(_POINTS68)], target), side_px)


def _similarity(source: Float[np.ndarray, "k 2"], target: Float[np.ndarray, "k 2"]) -> geometry.Affine:
    """Least-squares rotation, scale and shift from source to target (complex numbers: target = a source + b)."""
    from_, to = source @ [1, 1j], target @ [1, 1j]
    centred = from_ - from_.mean()
    a = np.vdot(centred, to - to.mean()) / np.vdot(centred, centred)
    b = to.mean() - a * from_.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def _opened(path: Path, setting: str, sizes: tuple[int, int]) -> onnxruntime.InferenceSession:
    session = open_session(path, setting, "cpu", setting)
    inputs, outputs, (side_px, classes) = session.get_inputs(), session.get_outputs(), sizes
    if [list(one.shape[1:]) for one in (*inputs, *outputs)] != [[3, side_px, side_px], [classes]]:
        raise AssetError(
            f"{setting}={path}: takes {described(inputs)} and gives {described(outputs)}, expected a picture of "
            f"{side_px} px and {classes} shares"
        )
    return session


def _run(session: Any, picture: UInt8[np.ndarray, "s s 3"]) -> Float[np.ndarray, " c"]:
    values = (picture.astype(np.float32) - _MEAN_RGB) / np.float32(256)
    (shares,) = session.run(None, {session.get_inputs()[0].name: values.transpose(2, 0, 1)[None]})
    return shares[0].astype(np.float64)
