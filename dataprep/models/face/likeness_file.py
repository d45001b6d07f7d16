"""The file of the likeness network and the picture it wants, before anybody builds the network from it.

The weights lie in int8, one scale for each output channel: a quarter of the size, and embeddings move by a hundredth of
what tells two people apart (dataprep/models/data/README.md).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from dataprep.errors import AssetError
from dataprep.frames import geometry
from dataprep.models.shipped import NOT_SUCH_A_FILE, SHIPPED_FOLDER, read_shipped

LIKENESS_PATH = SHIPPED_FOLDER / "likeness_resnet.npz"
LIKENESS_SHA256 = "2f416d936d96ed189da163d8ba49f2312f7d1238bc89d31419f59c836386f31d"
LIKENESS_NAME, LIKENESS_LICENCE = "dlib-face-recognition-resnet-v1", "cc0-1.0"

FEATURES = 32
CHIP_PX = 150  # side of the picture that the network was trained on
FACE_PX = 100  # of these, from brow to brow
SCALE = "/scale"  # what the name of a weight's scales ends in, and the weight's does not
# iBUG's points of nose, eyes and upper lip, and where they lie in a chip: dlib's mean face, 100 px wide from brow to
# brow, with a quarter of that around it. Eyes, nose and mouth corners alone put faces less alike into one place: of
# rendered people on other days, 82% instead of 87% of the pairs were more alike than 99% of the pairs of two people.
_POINTS = (*range(27, 55), *range(60, 65))
# fmt: off
_CHIP_POINTS_PX = np.array([
    (74.01, 45.34), (74.01, 55.70), (74.01, 65.98), (74.01, 76.56), (61.69, 83.73), (67.60, 85.93), (74.01, 87.81),
    (80.42, 85.93), (86.34, 83.73), (37.17, 46.64), (43.71, 42.88), (51.58, 42.99), (58.46, 48.17), (51.09, 49.51),
    (43.27, 49.41), (89.56, 48.17), (96.44, 42.99), (104.31, 42.88), (110.85, 46.64), (104.75, 49.41), (96.93, 49.51),
    (50.41, 103.02), (59.10, 99.54), (67.89, 97.74), (74.01, 99.26), (80.14, 97.74), (88.93, 99.54), (97.61, 103.02),
    (54.04, 103.48), (67.81, 102.87), (74.01, 103.53), (80.22, 102.87), (93.99, 103.48),
])
# fmt: on


def chip_from_picture(landmarks68: Float[np.ndarray, "68 2"]) -> geometry.Affine:
    """Return the similarity that lays a face's eyes, nose and lips where the network expects them."""
    return _similarity(landmarks68[list(_POINTS)], _CHIP_POINTS_PX)


def likeness_chip(
    rgb: UInt8[np.ndarray, "h w 3"], landmarks68_px: Float[np.ndarray, "68 2"]
) -> UInt8[np.ndarray, "150 150 3"]:
    """Cut out the face; landmarks are iBUG's 68 in px of `rgb`."""
    return geometry.resample(rgb, chip_from_picture(landmarks68_px), CHIP_PX)


def likeness_arrays(path: Path = LIKENESS_PATH) -> dict[str, np.ndarray]:
    """Return the network's weights in float32 by layer; AssetError unless the file is the one that is known."""
    remedy = "it belongs to shhq-hs: install that again, or in a checkout take the file back with git"
    try:
        shipped = read_shipped(path)
    except NOT_SUCH_A_FILE as error:
        raise AssetError(f"likeness weights {path}: {error}; {remedy}") from None
    if shipped.sha256 != LIKENESS_SHA256:
        raise AssetError(f"{path.name}: sha256 {shipped.sha256[:12]}.., expected {LIKENESS_SHA256[:12]}..; {remedy}")
    return whole_weights(shipped.arrays)


def whole_weights(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return float32 weights of int8 ones and their scales."""
    out = {}
    for name, array in arrays.items():
        if not name.endswith(SCALE):
            scale = arrays.get(name + SCALE)
            out[name] = array if scale is None else array * scale.reshape(-1, *[1] * (array.ndim - 1))
    return out


def _similarity(source: Float[np.ndarray, "n 2"], target: Float[np.ndarray, "n 2"]) -> geometry.Affine:
    """Return the rotation, scale and shift that take points nearest to others, by least squares."""
    a, b = ((points - points.mean(axis=0)) @ [1, 1j] for points in (source, target))
    turn = np.vdot(a, b) / np.vdot(a, a)
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, target.mean(axis=0) - linear @ source.mean(axis=0)])
