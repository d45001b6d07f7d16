"""Choosing rows of a manifest by an expression, for example `abs(yaw) < 0.35 and q_sharpness > 0.5`.

The expression is Python's own syntax, read as a tree and evaluated over columns: names of columns, numbers, texts,
comparisons, `and`, `or`, `not`, `in`, arithmetic of numbers, `column[i]` for the i-th number of a list, and the
functions FUNCTIONS. Beside the manifest's columns stand the DERIVED ones: the error of every cross-check of the report,
and in how many splits the person of a row stands. Nothing else is let in, so that an expression from anywhere can do
no harm: every value is a float, a text of the expression or a column, nothing grows, and long or deep expressions are
not read.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float

from dataprep.errors import ConfigError
from dataprep.report.census import Census
from dataprep.report.checks import CHECKS, errors_of
from dataprep.report.persons import splits_of_people
from dataprep.tables.columns import is_vector

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "abs": np.abs,
    "degrees": np.degrees,
    "radians": np.radians,
    "isnull": lambda values: np.array([value is None or value != value for value in np.atleast_1d(values)], bool),
}
PERSON_SPLITS = "person_splits"
DERIVED = (*(f"check_{check.key}" for check in CHECKS), PERSON_SPLITS)
MAX_LENGTH, MAX_DEPTH = 4096, 50  # of an expression: characters, and parts that lie within each other
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_SHOWN = 160  # characters of an expression that are repeated
_HELP = "for example: abs(yaw) < 0.35 and q_sharpness > 0.5 and split == 'train'"


def matching(census: Census, expression: str, more: Mapping[str, np.ndarray] | None = None) -> Bool[np.ndarray, " n"]:
    """Which rows an expression is true for; a null makes a comparison false. Raises ConfigError on what it is not.

    `more`: columns beside the manifest's, or in place of them; bool, float or texts, a value a row.
    """
    tree, said = _parsed(expression), _said(expression)
    with np.errstate(all="ignore"):  # what is out of range or no number compares as false
        result = np.asarray(_Evaluation(census, said, more or {}).value(tree))
    if result.dtype != bool:
        raise ConfigError(f"{said} is no condition: it gives values, not true or false; {_HELP}")
    return np.broadcast_to(result, (len(census),))


def _parsed(expression: str) -> ast.expr:
    if len(expression) > MAX_LENGTH:
        raise ConfigError(f"an expression of {len(expression):,} characters is not read, at most {MAX_LENGTH:,} are")
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError as error:
        raise ConfigError(
            f"{_said(expression)} is no expression ({error.msg}, column {error.offset}); {_HELP}"
        ) from None
    except (ValueError, MemoryError, RecursionError):  # null bytes, half characters, and what the parser gives up on
        raise ConfigError(f"{_said(expression)} is no expression that can be read; {_HELP}") from None
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise ConfigError(f"{_said(expression)} lies more than {MAX_DEPTH} parts deep; select in several steps")
    return tree


def _said(expression: str) -> str:
    """An expression in a message: whole, or how it begins."""
    return repr(expression if len(expression) <= _SHOWN else f"{expression[:_SHOWN]}...")


class _Evaluation:
    """Values of a tree over the rows; `said` names the expression in messages, `more` adds to the census's columns."""

    def __init__(self, census: Census, said: str, more: Mapping[str, np.ndarray]) -> None:
        self._census, self._said, self._more = census, said, more

    def value(self, node: ast.expr) -> Any:
        """An array over the rows, or a constant."""
        match node:
            case ast.Constant(value=bool() | str() | None):
                return node.value
            case ast.Constant(value=int() | float() as number):
                return self._number(number)
            case ast.Name():
                return self._column(node.id)
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=int(index))):
                return self._element(name, index)
            case ast.UnaryOp(op=ast.Not()):
                return ~self._condition(node.operand)
            case ast.UnaryOp(op=ast.USub()):
                return -self._numeric(node.operand)
            case ast.BoolOp():
                join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
                return reduce(join, [self._condition(one) for one in node.values])
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return _ARITHMETIC[type(node.op)](self._numeric(node.left), self._numeric(node.right))
            case ast.Compare():
                return self._compared(node)
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
                return FUNCTIONS[name](self.value(argument) if name == "isnull" else self._numeric(argument))
            case ast.Call(func=ast.Name(id=name)):
                raise ConfigError(f"{self._said}: no function {name!r} of one value; there are {', '.join(FUNCTIONS)}")
        raise ConfigError(f"{self._said}: {ast.unparse(node)!r} is not understood here; {_HELP}")

    def _number(self, value: int | float) -> np.float64:
        try:
            return np.float64(value)
        except OverflowError:
            raise ConfigError(f"a number of {self._said} is too large; {_HELP}") from None

    def _numeric(self, node: ast.expr) -> Any:
        """Numbers, as floats; texts would grow under arithmetic."""
        value = np.asarray(self.value(node))
        if value.dtype.kind not in "bf":
            raise ConfigError(f"{self._said}: {ast.unparse(node)!r} is no number; {_HELP}")
        return value.astype(np.float64)

    def _condition(self, node: ast.expr) -> Any:
        value = np.asarray(self.value(node))
        if value.dtype != bool:
            raise ConfigError(f"{self._said}: {ast.unparse(node)!r} is neither true nor false; {_HELP}")
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
                raise ConfigError(f"{self._said}: use == and != to compare; {_HELP}")
            result = result & np.asarray(self._apply(_COMPARE[type(op)], left, right), bool)
            left = right
        return result

    def _within(self, values: Any, node: ast.expr) -> Any:
        if not isinstance(node, ast.List | ast.Tuple | ast.Set):
            raise ConfigError(f"{self._said}: after `in` comes a list, as in split in ['train', 'val']")
        wanted = [self.value(one) for one in node.elts]
        if any(np.ndim(one) for one in wanted):
            raise ConfigError(f"{self._said}: after `in` comes a list of numbers and texts; {_HELP}")
        return np.array([value in wanted for value in np.atleast_1d(np.asarray(values, object))], bool)

    def _apply(self, function: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
        try:
            return function(left, right)
        except TypeError:
            raise ConfigError(f"{self._said} compares a text or a null with a number; {_HELP}") from None

    def _column(self, name: str) -> Any:
        if name in self._more:
            return self._more[name]
        if name in DERIVED:
            return self._derived(name)
        kind = self._field(name).type
        if is_vector(kind):
            raise ConfigError(f"column {name!r} holds {self._shape(name)} numbers; name one of them, as in {name}[0]")
        if pa.types.is_boolean(kind):
            return np.array([bool(value) for value in self._census.column(name)], bool)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return self._census.floats(name)
        return np.array(self._census.column(name), object)

    def _derived(self, name: str) -> Float[np.ndarray, " n"]:
        """A column that the manifest does not hold; NaN where a row is not accepted or lacks a label for it."""
        if name == PERSON_SPLITS:
            return splits_of_people(self._census)
        (check,) = (one for one in CHECKS if name == f"check_{one.key}")
        return errors_of(self._census, check)

    def _element(self, name: str, index: int) -> Any:
        self._field(name)
        if not is_vector(self._field(name).type):
            raise ConfigError(f"column {name!r} holds one value a row; name it without [{index}]")
        values = self._census.matrix(name)
        if not 0 <= index < values.shape[1]:
            raise ConfigError(f"{name}[{index}]: the column holds {values.shape[1]} numbers, counted from 0")
        return values[:, index].astype(np.float64)

    def _shape(self, name: str) -> str:
        return ((self._field(name).metadata or {}).get(b"shape") or b"several").decode()

    def _field(self, name: str) -> pa.Field:
        names = self._census.schema.names
        if name not in names:
            names = [*names, *DERIVED, *self._more]
            near = get_close_matches(name, names, n=3)
            hint = f"; near it: {', '.join(near)}" if near else "; docs/report.md says where they are listed"
            raise ConfigError(f"the manifest has no column {name!r}{hint}")
        return self._census.schema.field(name)
