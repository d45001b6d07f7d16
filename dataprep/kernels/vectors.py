"""Vector instructions for numba: code generators that lay down LLVM's instructions on vectors of float32 numbers.

numba turns loops into vector code by itself, but it does not keep a block of a matrix product in registers, and without
that a product runs at a third of what a core can do. A function marked `emitted` is run once, while numba compiles the
loop that calls it, and what it does with `Code` becomes instructions there. Pointers are integers: addresses in bytes.

A *block* is what a register tile is wide: `BLOCK` numbers lying side by side.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from dataprep.kernels import guard

if guard.ON:
    import numba
    from llvmlite import ir
    from numba import types
    from numba.core import codegen
    from numba.extending import intrinsic


def _of_this_machine() -> str:
    """Return the words of what the machine can do, as numba has them; "" from a version that does not say.

    That function is numba's own affair. Without it loops take the narrow vectors that every processor has.
    """
    ask = getattr(codegen, "get_host_cpu_features", None)
    return "" if ask is None else str(ask())


def _features() -> set[str]:
    """Return what instructions numba may use: the machine's, or those its settings name; none where loops are off."""
    if not guard.ON:
        return set()
    chosen = getattr(numba.config, "CPU_FEATURES", None)
    words = _of_this_machine() if chosen is None else chosen
    return {word[1:] for word in words.split(",") if word.startswith("+")}


_FEATURES = _features()
_MANY_REGISTERS = bool(_FEATURES & {"avx512f", "neon"})  # 32 of them, else 16
LANES = 16 if "avx512f" in _FEATURES else 8 if "avx" in _FEATURES else 4
# ROWS x WIDE vectors of sums, WIDE of inputs and one coefficient stay in registers.
ROWS, WIDE = (8, 2) if _MANY_REGISTERS else (4, 2)
BLOCK = WIDE * LANES
BFLOAT16_PRODUCTS = {"avx512f", "avx512bf16"} <= _FEATURES

NUMBER_BYTES = 4
BLOCK_BYTES = BLOCK * NUMBER_BYTES
_FUSED = ("contract",)  # a multiplication and an addition may be one instruction
if guard.ON:
    _I32, _I64, _F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()
    _WORDS, _NUMBERS = ir.VectorType(_I32, LANES), ir.VectorType(_F32, LANES)


def emitted(integers: int, numbers: int = 0) -> Callable[[Callable[..., None]], Any]:
    """Make emit(code, *integers, *numbers) a function that compiled loops can call: addresses first, then float32.

    Where loops are off it stays what it is.
    """
    if not guard.ON:
        return lambda emit: emit
    signature = types.void(*[types.intp] * integers, *[types.float32] * numbers)
    names = ["typing_context", *(f"argument_{i}" for i in range(integers + numbers))]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]

    def make(emit: Callable[..., None]) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Sequence[Any]) -> Any:
            emit(Code(builder), *arguments)
            return context.get_dummy_value()

        def typed(typing_context: Any, *arguments: Any) -> Any:
            return signature, generate

        typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # numba reads it
        return intrinsic(typed)

    return make


class Vector:
    """LANES numbers in a register, while code is generated."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: "Vector") -> "Vector":
        return Vector(self.builder, self.builder.fadd(self.value, other.value, flags=_FUSED))

    def __sub__(self, other: "Vector") -> "Vector":
        return Vector(self.builder, self.builder.fsub(self.value, other.value, flags=_FUSED))

    def __mul__(self, other: "Vector | float") -> "Vector":
        factor = other if isinstance(other, Vector) else Vector(self.builder, ir.Constant(_NUMBERS, [other] * LANES))
        return Vector(self.builder, self.builder.fmul(self.value, factor.value, flags=_FUSED))

    def __rmul__(self, factor: float) -> "Vector":
        return self * factor


class Code:
    """The place in a compiled function where instructions are laid down."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def shifted(self, address: Any, by: Any, times: int = 1) -> Any:
        """Return an address so many bytes further; the distance may be known now or only when the code runs."""
        if isinstance(by, int):
            return self.builder.add(address, _I64(times * by)) if times * by else address
        distance = by if times == 1 else self.builder.mul(by, _I64(times))
        return self.builder.add(address, distance) if times else address

    def load(self, address: Any, lanes_on: int = 0) -> Vector:
        return Vector(self.builder, self._read(self.shifted(address, NUMBER_BYTES * lanes_on), _NUMBERS))

    def load_spread(self, address: Any, numbers_on: int = 0) -> Vector:
        """Return one number in all lanes."""
        return self.spread(self._read(self.shifted(address, NUMBER_BYTES * numbers_on), _F32))

    def spread(self, number: Any) -> Vector:
        return Vector(self.builder, self._spread(number, _NUMBERS))

    def constant(self, number: float) -> Vector:
        return Vector(self.builder, ir.Constant(_NUMBERS, [number] * LANES))

    def store(self, vector: Vector, address: Any, lanes_on: int = 0) -> None:
        self._write(vector.value, self.shifted(address, NUMBER_BYTES * lanes_on))

    def by_turns(self, a: Vector, b: Vector) -> tuple[Vector, Vector]:
        """Return the first lanes of both, one of a and one of b by turns, and the last lanes."""
        pick = lambda start: ir.Constant(_WORDS, [start + i // 2 + i % 2 * LANES for i in range(LANES)])  # noqa: E731
        halves = (self.builder.shuffle_vector(a.value, b.value, pick(start)) for start in (0, LANES // 2))
        first, last = (Vector(self.builder, half) for half in halves)
        return first, last

    def prefetch(self, address: Any) -> None:
        """Begin to bring a line into the cache."""
        pointer = ir.IntType(8).as_pointer()
        function = self._function("llvm.prefetch.p0", ir.VoidType(), [pointer, _I32, _I32, _I32])
        self.builder.call(function, [self.builder.inttoptr(address, pointer), _I32(0), _I32(2), _I32(1)])

    def is_larger(self, a: Vector, b: Vector) -> Any:
        return self.builder.fcmp_ordered(">", a.value, b.value)

    def where(self, condition: Any, a: Vector, b: Vector) -> Vector:
        return Vector(self.builder, self.builder.select(condition, a.value, b.value))

    # -- numbers by their bits

    def negated_where_odd(self, x: Vector, whole: Vector) -> Vector:
        """Return -x in the lanes where the last bit of `whole` is one."""
        b = self.builder
        sign = b.shl(b.bitcast(whole.value, _WORDS), ir.Constant(_WORDS, [31] * LANES))
        return Vector(b, b.bitcast(b.xor(b.bitcast(x.value, _WORDS), sign), _NUMBERS))

    def store_bfloat16_pairs(self, even: Vector, odd: Vector, address: Any) -> None:
        """Write the numbers, rounded to the nearest of bfloat16, by turns: even in the lower halves of the words."""
        b, constant = self.builder, lambda number: ir.Constant(_WORDS, [number] * LANES)
        low, high = (b.add(b.bitcast(vector.value, _WORDS), constant(0x8000)) for vector in (even, odd))
        self._write(b.or_(b.lshr(low, constant(16)), b.and_(high, constant(0xFFFF0000))), address)

    # -- the loop of a matrix product

    def sum_of_products(
        self, start: list[Vector], a: Any, x: Any, depth: Any, x_step: int, pairs: bool
    ) -> list[Vector]:
        """Return start[r] + sum over k of a[k, r] x[k], r < ROWS, row by row; `depth` is k's end.

        Each is of as many vectors as there are starts for every row: WIDE, or fewer where a block is not full.
        `x_step` bytes lie between one x and the next.
        With `pairs` a and x hold pairs of bfloat16 numbers that are multiplied and added as pairs, in float32.
        """
        b, wide = self.builder, len(start) // ROWS
        before, loop, after = b.block, b.append_basic_block("products"), b.append_basic_block("summed")
        b.branch(loop)
        b.position_at_end(loop)
        step, a_here, x_here = b.phi(_I64), b.phi(_I64), b.phi(_I64)
        sums = [b.phi(_NUMBERS) for _ in start]
        kind = _WORDS if pairs else _NUMBERS
        inputs = [self._read(self.shifted(x_here, NUMBER_BYTES * LANES * w), kind) for w in range(wide)]
        results = []
        for r in range(ROWS):
            factor = self._spread(self._read(self.shifted(a_here, NUMBER_BYTES * r), kind.element), kind)
            results += [self._added(s, factor, y, pairs) for s, y in zip(sums[wide * r :], inputs, strict=False)]
        following = b.add(step, _I64(1))
        advance = (
            *((step, _I64(0), following), (a_here, a, self.shifted(a_here, NUMBER_BYTES * ROWS))),
            (x_here, x, self.shifted(x_here, x_step)),
            *zip(sums, [vector.value for vector in start], results, strict=True),
        )
        for phi, first, then in advance:
            phi.add_incoming(first, before)
            phi.add_incoming(then, loop)
        b.cbranch(b.icmp_signed("<", following, depth), loop, after)
        b.position_at_end(after)
        return [Vector(b, result) for result in results]

    def _added(self, total: Any, factor: Any, x: Any, pairs: bool) -> Any:
        b = self.builder
        if not pairs:
            return b.fadd(b.fmul(factor, x, flags=_FUSED), total, flags=_FUSED)
        dot = self._function("llvm.x86.avx512bf16.dpbf16ps.512", _NUMBERS, [_NUMBERS, _WORDS, _WORDS])
        return b.call(dot, [total, factor, x])

    def _function(self, name: str, result: Any, arguments: list[Any]) -> Any:
        known = self.builder.module.globals.get(name)
        return known or ir.Function(self.builder.module, ir.FunctionType(result, arguments), name)

    def _read(self, address: Any, kind: Any) -> Any:
        return self.builder.load(self.builder.inttoptr(address, kind.as_pointer()), align=NUMBER_BYTES)

    def _write(self, value: Any, address: Any) -> None:
        self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer()), align=NUMBER_BYTES)

    def _spread(self, number: Any, kind: Any) -> Any:
        b, nothing = self.builder, ir.Constant(kind, ir.Undefined)
        return b.shuffle_vector(b.insert_element(nothing, number, _I32(0)), nothing, ir.Constant(_WORDS, [0] * LANES))
