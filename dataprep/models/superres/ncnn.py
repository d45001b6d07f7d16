"""Read a network of convolutions stored in ncnn's `.param` (text) and `.bin` (weights) pair, strictly.

`.param`: the magic number, the layer and blob counts, then one layer a line: type, name, number of inputs and of
outputs, their blob names, `key=value` fields; keys of -23300 and below are arrays (count first).
`.bin`: little endian, in layer order. A convolution stores a 32-bit flag (float16 or float32), its weights (float16
padded to four bytes) and its float32 bias; a PReLU its float32 slopes; MemoryData its float32 numbers, a constant of
the network; the other layers nothing.

Not by the package ncnn, which runs such files: our networks run in torch, and need the weights alone.

Everything unexpected is an `AssetError`: an unknown layer, a wrong count, bytes missing or left over.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from dataprep.errors import AssetError

_MAGIC = "7767517"
_FLAG_FLOAT32 = 0
_FLAG_FLOAT16 = 0x01306B47
_WEIGHTLESS = {"Input", "Split", "Concat", "Eltwise", "BinaryOp", "Interp", "PixelShuffle", "Sigmoid", "Swish"}
_WEIGHTED = {"Convolution", "PReLU", "MemoryData"}
_MAX_WEIGHTS = 1 << 28  # a count above this is a damaged file, not a network of ours

# ncnn's numeric keys of a Convolution
_OUT_CHANNELS, _KERNEL, _DILATION, _STRIDE, _PADDING, _HAS_BIAS, _WEIGHT_COUNT, _ACTIVATION = 0, 1, 2, 3, 4, 5, 6, 9
_ACTIVATION_ARGS = -23310
_SIDES = (0, 1, 2)  # width, height and channels of MemoryData
_LEAKY_RELU = 2

Value = float | tuple[float, ...]


@dataclass(frozen=True)
class NcnnLayer:
    """One line of a `.param` file."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    fields: dict[int, Value]

    def integer(self, key: int, default: int) -> int:
        value = self.fields.get(key, default)
        if isinstance(value, tuple) or value != int(value):
            raise AssetError(f"ncnn layer {self.name}: field {key} is {value}, expected a whole number")
        return int(value)


@dataclass(frozen=True)
class WeightedLayer:
    """A convolution (`weight` (out, in, k, k), `bias` (out,)), a PReLU (channels,) or a constant (n,), all float32."""

    kind: str
    name: str
    weight: np.ndarray
    bias: np.ndarray | None = None
    negative_slope: float | None = None  # of a LeakyReLU fused into a convolution


def read_network(param: str, weights: bytes) -> list[WeightedLayer]:
    """The layers that carry weights, in file order."""
    cursor = _Cursor(weights)
    found = []
    for layer in read_param(param):
        if layer.kind == "Convolution":
            found.append(_read_convolution(layer, cursor))
        elif layer.kind == "PReLU":
            slopes = cursor.floats(_checked_count(layer, layer.integer(0, 0)), np.float32)
            found.append(WeightedLayer("PReLU", layer.name, slopes))
        elif layer.kind == "MemoryData":
            count = math.prod(layer.integer(side, 1) for side in _SIDES)
            numbers = cursor.floats(_checked_count(layer, count), np.float32)
            found.append(WeightedLayer("MemoryData", layer.name, numbers))
    if cursor.left:
        raise AssetError(f"ncnn weights: {cursor.left} bytes left over after the last layer, expected none")
    return found


def read_param(text: str) -> list[NcnnLayer]:
    """Parse the network description; every blob must be made exactly once and before it is used."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or lines[0].strip() != _MAGIC:
        raise AssetError(f"ncnn param: first line is {lines[0][:20] if lines else ''!r}, expected {_MAGIC}")
    try:
        n_layers, n_blobs = (int(word) for word in lines[1].split())
    except (IndexError, ValueError):
        raise AssetError("ncnn param: the second line must hold the number of layers and of blobs") from None
    if len(lines) - 2 != n_layers:
        raise AssetError(f"ncnn param: {len(lines) - 2} layer lines, the header promises {n_layers}")
    layers = [_parse_layer(line) for line in lines[2:]]
    made: set[str] = set()
    for layer in layers:
        if missing := set(layer.inputs) - made:
            raise AssetError(f"ncnn layer {layer.name}: input blob {sorted(missing)[0]!r} is not made before it")
        if again := made & set(layer.outputs):
            raise AssetError(f"ncnn layer {layer.name}: blob {sorted(again)[0]!r} is made twice")
        made |= set(layer.outputs)
    if len(made) != n_blobs:
        raise AssetError(f"ncnn param: {len(made)} blobs, the header promises {n_blobs}")
    return layers


def _parse_layer(line: str) -> NcnnLayer:
    words = line.split()
    try:
        kind, name, n_in, n_out = words[0], words[1], int(words[2]), int(words[3])
        blobs = words[4 : 4 + n_in + n_out]
        fields = dict(_parse_field(word) for word in words[4 + n_in + n_out :])
    except (IndexError, ValueError):
        raise AssetError(f"ncnn param: cannot read the layer line {line[:80]!r}") from None
    if n_in < 0 or n_out < 0 or len(blobs) != n_in + n_out:
        raise AssetError(f"ncnn layer {name}: {len(blobs)} blob names, expected {n_in} + {n_out}")
    if kind not in _WEIGHTLESS | _WEIGHTED:
        raise AssetError(f"ncnn layer {name}: type {kind!r} is not one that this reader knows")
    return NcnnLayer(kind, name, tuple(blobs[:n_in]), tuple(blobs[n_in:]), fields)


def _parse_field(word: str) -> tuple[int, Value]:
    key_text, value_text = word.split("=")
    key = int(key_text)
    if key > -23300:
        return key, float(value_text)
    count, *values = value_text.split(",")
    if int(count) != len(values):
        raise ValueError(word)
    return key, tuple(float(value) for value in values)


def _read_convolution(layer: NcnnLayer, cursor: _Cursor) -> WeightedLayer:
    n_out, kernel = layer.integer(_OUT_CHANNELS, 0), layer.integer(_KERNEL, 0)
    count = _checked_count(layer, layer.integer(_WEIGHT_COUNT, 0))
    plain = layer.integer(_DILATION, 1) == 1 and layer.integer(_STRIDE, 1) == 1
    if n_out < 1 or kernel < 1 or count % (n_out * kernel * kernel) or not plain:
        raise AssetError(f"ncnn layer {layer.name}: {count} weights make no {n_out} plain {kernel}x{kernel} filters")
    if layer.integer(_PADDING, 0) != kernel // 2:
        raise AssetError(f"ncnn layer {layer.name}: padding must keep the size ({kernel // 2})")
    flag = cursor.flag()
    if flag == _FLAG_FLOAT16:
        weight = cursor.floats(count, np.float16)
        cursor.skip(-2 * count % 4)
    elif flag == _FLAG_FLOAT32:
        weight = cursor.floats(count, np.float32)
    else:
        raise AssetError(f"ncnn layer {layer.name}: weight flag {flag:#010x}, expected float16 or float32")
    bias = cursor.floats(n_out, np.float32) if layer.integer(_HAS_BIAS, 0) else None
    shape = (n_out, count // (n_out * kernel * kernel), kernel, kernel)
    return WeightedLayer("Convolution", layer.name, weight.reshape(shape), bias, _fused_slope(layer))


def _fused_slope(layer: NcnnLayer) -> float | None:
    activation = layer.integer(_ACTIVATION, 0)
    if activation == 0:
        return None
    arguments = layer.fields.get(_ACTIVATION_ARGS)
    if activation != _LEAKY_RELU or not isinstance(arguments, tuple) or len(arguments) != 1:
        raise AssetError(f"ncnn layer {layer.name}: fused activation {activation} is not a LeakyReLU")
    return arguments[0]


def _checked_count(layer: NcnnLayer, count: int) -> int:
    if not 0 < count <= _MAX_WEIGHTS:
        raise AssetError(f"ncnn layer {layer.name}: {count} weights, expected 1 to {_MAX_WEIGHTS}")
    return count


class _Cursor:
    """A position in the weight bytes that refuses to run past their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def skip(self, n_bytes: int) -> int:
        start = self._at
        if n_bytes > self.left:
            raise AssetError(f"ncnn weights: {n_bytes} bytes needed at {start}, only {self.left} left (truncated?)")
        self._at += n_bytes
        return start

    def flag(self) -> int:
        return int(struct.unpack_from("<I", self._data, self.skip(4))[0])

    def floats(self, count: int, kind: type[np.floating]) -> np.ndarray:
        """The next `count` numbers as float32; all must be finite."""
        dtype = np.dtype(kind).newbyteorder("<")
        values = np.frombuffer(self._data, dtype, count, self.skip(count * dtype.itemsize)).astype(np.float32)
        if not np.isfinite(values).all():
            raise AssetError("ncnn weights: not-a-number or infinity among the weights")
        return values
