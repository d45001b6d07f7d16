"""Choosing rows of a manifest by an expression, for example `abs(yaw) < 0.35 and q_sharpness > 0.5`.

The expression is Python's own syntax, read as a tree and evaluated over columns: names of columns, numbers, texts,
comparisons, `and`, `or`, `not`, `in`, arithmetic, `column[i]` for the i-th number of a list, and the functions
FUNCTIONS. Nothing else is let in, so that an expression from anywhere can do no harm.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from difflib import get_close_matches
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from dataprep.errors import ConfigError
from dataprep.report.census import Census

FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "abs": np.abs,
    "degrees": np.degrees,
    "radians": np.radians,
    "isnull": lambda values: np.array([value is None or value != value for value in values], bool),
}
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_HELP = "for example: abs(yaw) < 0.35 and q_sharpness > 0.5 and split == 'train'"


def matching(census: Census, expression: str) -> Bool[np.ndarray, " n"]:
    """Which rows an expression is true for; a null makes a comparison false. Raises ConfigError on what it is not."""
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except SyntaxError as error:
        raise ConfigError(f"{expression!r} is no expression ({error.msg}, column {error.offset}); {_HELP}") from None
    with np.errstate(invalid="ignore", divide="ignore"):
        result = np.asarray(_Evaluation(census, expression).value(tree.body))
    if result.dtype != bool:
        raise ConfigError(f"{expression!r} is no condition: it gives values, not true or false; {_HELP}")
    return np.broadcast_to(result, (len(census),))


class _Evaluation:
    def __init__(self, census: Census, expression: str) -> None:
        self._census, self._expression = census, expression

    def value(self, node: ast.expr) -> Any:
        """An array over the rows, or a constant."""
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None):
                return node.value
            case ast.Name():
                return self._column(node.id)
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=int(index))):
                return self._element(name, index)
            case ast.UnaryOp(op=ast.Not()):
                return ~self._condition(node.operand)
            case ast.UnaryOp(op=ast.USub()):
                return -self.value(node.operand)
            case ast.BoolOp():
                join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
                return reduce(join, [self._condition(one) for one in node.values])
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return self._apply(_ARITHMETIC[type(node.op)], self.value(node.left), self.value(node.right))
            case ast.Compare():
                return self._compared(node)
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
                return FUNCTIONS[name](self.value(argument))
            case ast.Call(func=ast.Name(id=name)):
                raise ConfigError(
                    f"{self._expression!r}: no function {name!r} of one value; there are {', '.join(FUNCTIONS)}"
                )
        raise ConfigError(f"{self._expression!r}: {ast.unparse(node)!r} is not understood here; {_HELP}")

    def _condition(self, node: ast.expr) -> Any:
        value = np.asarray(self.value(node))
        if value.dtype != bool:
            raise ConfigError(f"{self._expression!r}: {ast.unparse(node)!r} is neither true nor false; {_HELP}")
        return value

    def _compared(self, node: ast.Compare) -> Any:
        """Also chains: 0.2 < yaw < 0.5."""
        left, result = self.value(node.left), np.asarray(True)
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, ast.In | ast.NotIn):
                found = self._within(left, right_node)
                result = result & (found if isinstance(op, ast.In) else ~found)
                continue
            right = self.value(right_node)
            if type(op) not in _COMPARE:
                raise ConfigError(f"{self._expression!r}: use == and != to compare; {_HELP}")
            result = result & np.asarray(self._apply(_COMPARE[type(op)], left, right), bool)
            left = right
        return result

    def _within(self, values: Any, node: ast.expr) -> Any:
        if not isinstance(node, ast.List | ast.Tuple | ast.Set):
            raise ConfigError(f"{self._expression!r}: after `in` comes a list, as in split in ['train', 'val']")
        wanted = [self.value(one) for one in node.elts]
        return np.array([value in wanted for value in values], bool)

    def _apply(self, function: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
        try:
            return function(left, right)
        except TypeError:
            raise ConfigError(f"{self._expression!r} compares a text or a null with a number; {_HELP}") from None

    def _column(self, name: str) -> Any:
        kind = self._field(name).type
        if pa.types.is_list(kind):
            raise ConfigError(f"column {name!r} holds {self._shape(name)} numbers; name one of them, as in {name}[0]")
        if pa.types.is_boolean(kind):
            return np.array([bool(value) for value in self._census.column(name)], bool)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return self._census.floats(name)
        return np.array(self._census.column(name), object)

    def _element(self, name: str, index: int) -> Any:
        self._field(name)
        values = self._census.matrix(name)
        if not 0 <= index < values.shape[1]:
            raise ConfigError(f"{name}[{index}]: the column holds {values.shape[1]} numbers, counted from 0")
        return values[:, index].astype(np.float64)

    def _shape(self, name: str) -> str:
        return ((self._field(name).metadata or {}).get(b"shape") or b"several").decode()

    def _field(self, name: str) -> pa.Field:
        names = self._census.schema.names
        if name not in names:
            near = get_close_matches(name, names, n=3)
            hint = f"; near it: {', '.join(near)}" if near else "; docs/report.md says where they are listed"
            raise ConfigError(f"the manifest has no column {name!r}{hint}")
        return self._census.schema.field(name)
