"""Networks of linear layers applied to many points, in machine code: D_e, M and phi for inference on a CPU.

A few blocks of points go through all layers while their activations lie in the cache; what follows a product is done to
it in registers. Torch's threads share the blocks.

Suffixes: N points, I and O channels in and out.
"""

import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dataprep.kernels.machine_code import compiled, grouped, require, share
from dataprep.kernels.vectors import (
    BFLOAT16_PRODUCTS,
    BLOCK,
    BLOCK_BYTES,
    LANES,
    NUMBER_BYTES,
    ROWS,
    WIDE,
    Code,
    Vector,
    emitted,
)

BLOCKS_AT_ONCE = 4  # for one reading of the weights
ONE_OVER_PI = float(np.float32(1 / np.pi))
PI_PARTS = 3.1414794921875, 0.000113159418106079, 1.984187258941006e-09
ROUNDING = 1.5 * 2**23  # added to a number it leaves a whole one, in the last bits of the sum
# sin r = r + r^3 (...) for |r| <= pi / 2: the odd polynomial of ninth degree with the least error.
SINE_3, SINE_5, SINE_7, SINE_9 = -0.166666597127914, 0.00833307858556509, -0.000198106907191686, 2.60831598097866e-06

Activation = Literal["none", "relu", "sine"]


class PointLayer(NamedTuple):
    """f(x W^T + b)."""

    weight_OI: Float[Tensor, "o i"]
    bias_O: Float[Tensor, " o"]
    activation: Activation = "none"


class LayerStep(NamedTuple):
    """A layer as the loop sees it: rows of the workspace that it reads and writes, and which code does it."""

    input_row: int
    depth: int
    output_row: int
    groups: int
    rows_per_group: int
    code: int


class LayerStack:
    """Layers one after the other, and heads that read some layers' outputs; the result is the sum of the heads.

    With `dtype` bfloat16 all but the first layer multiply numbers of that type, where the CPU has such products
    (`dataprep.kernels.vectors.BFLOAT16_PRODUCTS`); sums and what follows them stay in float32.
    """

    def __init__(
        self, layers: Sequence[PointLayer], heads: dict[int, PointLayer], dtype: torch.dtype = torch.float32
    ) -> None:
        self.pairs = dtype == torch.bfloat16 and BFLOAT16_PRODUCTS
        self.inputs, self.outputs = layers[0].weight_OI.shape[1], len(next(iter(heads.values())).weight_OI)
        parts = [*layers, *heads.values()]
        kinds = {x.dtype for part in parts for x in part[:2]}
        require(kinds == {torch.float32}, "layers", kinds, "float32")
        require(self.inputs > 0, "inputs of the first layer", self.inputs, "at least 1")
        widths = {len(head.weight_OI) for head in heads.values()}
        require(widths == {self.outputs}, "outputs of the heads", widths, "one number")
        biases = [(part.weight_OI.ndim, len(part.weight_OI), *part.bias_O.shape) for part in parts]
        require(all(a == 2 and [b] == c for a, b, *c in biases), "outputs of weights and numbers of biases", biases,
                "2 dimensions and equal numbers")  # fmt: skip
        require(set(heads) <= set(range(len(layers))), "layers with heads", sorted(heads), f"0 to {len(layers) - 1}")
        readers = [*enumerate(layers[1:]), *heads.items()]
        depths = [(len(layers[i].weight_OI), reader.weight_OI.shape[1]) for i, reader in readers]
        require(all(a == b for a, b in depths), "outputs of layers and inputs after them", depths, "equal ones")
        self._weights: list[Tensor] = []
        self._biases: list[Tensor] = []
        steps: list[LayerStep] = []
        widest = max(_up(len(layer.weight_OI), ROWS) for layer in layers)
        rows = 0, _up(self.inputs, ROWS), _up(self.inputs, ROWS) + widest  # points, and two places for activations
        self.total_row = rows[2] + widest
        source, pairs = rows[0], False
        for i, layer in enumerate(layers):
            target = rows[1 + i % 2]
            steps.append(self._step(layer, source, target, pairs, self.pairs, add=False))
            source, pairs = target, self.pairs
            if i in heads:
                add = any(step.output_row == self.total_row for step in steps)
                steps.append(self._step(heads[i], source, self.total_row, pairs, False, add))
        self.steps = np.array(steps, np.int64)
        self.rows = self.total_row + _up(self.outputs, ROWS)
        self.weights, self.biases = torch.cat(self._weights), torch.cat(self._biases)

    def __call__(self, points_NI: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        """Return the sum of the heads at these points; raises ValueError where the loops would write elsewhere."""
        given = points_NI.dtype, points_NI.ndim, points_NI.shape[-1]
        require(given == (torch.float32, 2, self.inputs), "points", given, f"float32 (points, {self.inputs})")
        points_NI = points_NI.detach().contiguous()
        count = len(points_NI)
        blocks = -(-count // BLOCK)
        out = torch.empty(blocks, self.outputs, BLOCK, dtype=torch.float32)
        addresses = self.weights.data_ptr(), self.biases.data_ptr()
        arrays = points_NI.numpy(), self.steps, out.numpy()
        share(functools.partial(_run, *arrays, *addresses, self.rows, self.total_row), blocks)
        return out.transpose(1, 2).reshape(-1, self.outputs)[:count]

    def _step(
        self, layer: PointLayer, source: int, target: int, from_pairs: bool, to_pairs: bool, add: bool
    ) -> LayerStep:
        """Pack a layer's weights and say how it is run."""
        grouped_GDRP = grouped(layer.weight_OI, from_pairs)
        groups, depth = grouped_GDRP.shape[:2]
        self._weights.append(grouped_GDRP.flatten().view(torch.float32))
        self._biases.append(F.pad(layer.bias_O, (0, ROWS * groups - len(layer.bias_O))))
        code = CODES.index((layer.activation, from_pairs, to_pairs, add))
        return LayerStep(source, depth, target, groups, ROWS // 2 if to_pairs else ROWS, code)


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _sine(code: Code, x: Vector) -> Vector:
    """Return sin x within 2e-7 up to |x| = 30,000 (Cody and Waite's reduction by pi).

    A processor without fused multiply-adds gets 1e-4 there.
    """
    rounded = x * ONE_OVER_PI + code.constant(ROUNDING)
    half_turns = rounded - code.constant(ROUNDING)
    for part in PI_PARTS:
        x = x - half_turns * part
    square = x * x
    series = code.constant(SINE_9)
    for coefficient in (SINE_7, SINE_5, SINE_3):
        series = series * square + code.constant(coefficient)
    return code.negated_where_odd(x + x * (square * series), rounded)


def _emit_layer(
    code: Code,
    a: Any,
    x: Any,
    bias: Any,
    out: Any,
    depth: Any,
    activation: Activation,
    from_pairs: bool,
    to_pairs: bool,
    add: bool,
) -> None:
    """Write f(sum over k of a[k, r] x[k] + bias[r]) for ROWS blocks, or add the sums to what is there."""
    places = [(r, w) for r in range(ROWS) for w in range(WIDE)]
    biases = [code.load_spread(bias, r) for r in range(ROWS)]
    start = [code.load(out, r * BLOCK + w * LANES) if add else biases[r] for r, w in places]
    sums = code.sum_of_products(start, a, x, depth, BLOCK_BYTES, from_pairs)
    if add:
        sums = [total + biases[r] for (r, _), total in zip(places, sums, strict=True)]
    if activation == "relu":
        zero = code.constant(0.0)
        sums = [code.where(code.is_larger(zero, total), zero, total) for total in sums]  # NaN stays
    elif activation == "sine":
        sums = [_sine(code, total) for total in sums]
    results = dict(zip(places, sums, strict=True))
    for (r, w), result in results.items():
        if not to_pairs:
            code.store(result, out, r * BLOCK + w * LANES)
        elif r % 2 == 0:
            there = code.shifted(out, NUMBER_BYTES * (r // 2 * BLOCK + w * LANES))
            code.store_bfloat16_pairs(result, results[r + 1, w], there)


# Activation, pairs in, pairs out, add.
CODES: tuple[tuple[Activation, bool, bool, bool], ...] = (
    *(("relu", False, False, False), ("sine", False, False, False)),
    *(("none", False, False, False), ("none", False, False, True)),
    *(("sine", False, True, False), ("sine", True, True, False)),
    *(("none", True, False, False), ("none", True, False, True)),
)
_relu, _sines, _linear, _add, _sines_to_pairs, _pairs_to_pairs, _of_pairs, _add_of_pairs = (
    emitted(integers=5)(
        functools.partial(_emit_layer, activation=f, from_pairs=x and BFLOAT16_PRODUCTS, to_pairs=y, add=add)
    )
    for f, x, y, add in CODES
)


@compiled
def _run(
    points: Any, steps: Any, out: Any, weights: int, biases: int, rows: int, total_row: int, first: int, last: int
) -> None:
    work = np.empty(BLOCKS_AT_ONCE * rows * BLOCK + LANES, np.float32)
    skip = -(work.ctypes.data // NUMBER_BYTES) % LANES
    start = work.ctypes.data + NUMBER_BYTES * skip
    count, inputs = points.shape
    for begin in range(first, last, BLOCKS_AT_ONCE):
        blocks = min(BLOCKS_AT_ONCE, last - begin)
        for b in range(blocks):
            for n in range((begin + b) * BLOCK, min((begin + b + 1) * BLOCK, count)):
                for i in range(inputs):
                    work[skip + (b * rows + i) * BLOCK + n % BLOCK] = points[n, i]
        a, bias = weights, biases
        for s in range(len(steps)):
            source, depth, target, groups, step, code = steps[s]
            for _ in range(groups):
                for b in range(blocks):
                    here = start + b * rows * BLOCK_BYTES
                    _layer(code, a, here + source * BLOCK_BYTES, bias, here + target * BLOCK_BYTES, depth)
                a += depth * ROWS * NUMBER_BYTES
                bias += ROWS * NUMBER_BYTES
                target += step
        for b in range(blocks):
            for o in range(out.shape[1]):
                here = skip + (b * rows + total_row + o) * BLOCK
                out[begin + b, o] = work[here : here + BLOCK]


@compiled
def _layer(code: int, a: int, x: int, bias: int, out: int, depth: int) -> None:
    """Run CODES[code]."""
    if code == 0:
        _relu(a, x, bias, out, depth)
    elif code == 1:
        _sines(a, x, bias, out, depth)
    elif code == 2:
        _linear(a, x, bias, out, depth)
    elif code == 3:
        _add(a, x, bias, out, depth)
    elif code == 4:
        _sines_to_pairs(a, x, bias, out, depth)
    elif code == 5:
        _pairs_to_pairs(a, x, bias, out, depth)
    elif code == 6:
        _of_pairs(a, x, bias, out, depth)
    else:
        _add_of_pairs(a, x, bias, out, depth)
