"""Person masks by a network of the user's own, as an ONNX file: BiRefNet, DAViD's foreground model and their kind.

The file must take one float picture, 1 x 3 x height x width, and return one mask, 1 x 1 x height x width (of several
outputs the last: BiRefNet's finest, the foreground of DAViD's three tasks), as logits or as values in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dataprep.errors import AssetError
from dataprep.models.onnx_sessions import TYPES, described, open_session

Pixels = Literal["imagenet", "unit_bgr"]

_FREE_SIDE_PX = 1024  # for files that take any size: what BiRefNet was trained on
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # ImageNet's, RGB in [0, 1]
_LOGITS_BEYOND = 0.5  # masks overshoot [0, 1] by hundredths, logits of a real picture by units


class OnnxSegmenter:
    """A square picture in, a person mask out. Raises AssetError for a file that does not fit."""

    def __init__(self, path: Path, pixels: Pixels, device: str) -> None:
        self._path, self._pixels = path, pixels
        self._session = open_session(path, "matte.model", device, "matte.device")
        self._input, self._side_px, self._type = _fitting_input(path, self._session.get_inputs())
        self._output = _fitting_output(path, self._session.get_outputs())

    def __call__(self, rgb: UInt8[np.ndarray, "s s 3"]) -> UInt8[np.ndarray, "s s"]:
        """Person mask at the picture's size, 255 = person."""
        height, width = self._side_px
        picture = _resize(rgb, width, height).astype(np.float64) / 255
        picture = picture[..., ::-1] if self._pixels == "unit_bgr" else (picture - _MEAN) / _DEVIATION
        batch: np.ndarray = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], self._type)
        found = np.squeeze(np.asarray(self._session.run([self._output], {self._input: batch})[0]))
        if found.ndim != 2 or not np.isfinite(found).all():
            raise AssetError(
                f"matte.model={self._path}: output {self._output} came as {found.shape} or is not finite, expected one "
                f"mask 1 x 1 x height x width"
            )
        mask = _as_probability(found.astype(np.float64))
        return np.round(255 * np.clip(_resize(mask, rgb.shape[1], rgb.shape[0]), 0, 1)).astype(np.uint8)


def _fitting_input(path: Path, inputs: Sequence[Any]) -> tuple[str, tuple[int, int], type]:
    """Name, height and width, and number type of the one input."""
    found = described(inputs)
    if len(inputs) == 1 and inputs[0].type in TYPES and _fits(inputs[0].shape, channels=3):
        height, width = (side if isinstance(side, int) else _FREE_SIDE_PX for side in inputs[0].shape[2:])
        return inputs[0].name, (height, width), TYPES[inputs[0].type]
    raise AssetError(
        f"matte.model={path}: its inputs are {found}, expected one float or float16 picture 1 x 3 x height x width"
    )


def _fitting_output(path: Path, outputs: Sequence[Any]) -> str:
    if outputs and _fits(outputs[-1].shape, channels=1):
        return str(outputs[-1].name)
    raise AssetError(
        f"matte.model={path}: its outputs are {described(outputs)}, expected the last to be one mask 1 x 1 x height x "
        f"width"
    )


def _fits(shape: Sequence[int | str | None], channels: int) -> bool:
    """Whether the shape is 1 x channels x height x width; sizes that the file leaves open fit."""
    if len(shape) != 4:
        return False
    return all(not isinstance(shape[i], int) or shape[i] == wanted for i, wanted in enumerate((1, channels)))


def _as_probability(mask: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    if mask.min() < -_LOGITS_BEYOND or mask.max() > 1 + _LOGITS_BEYOND:
        return 1 / (1 + np.exp(-np.clip(mask, -50, 50)))
    return mask


def _resize(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    shrinks = height < picture.shape[0]
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
