"""SMPL's pickles, read as data: no code of the file runs, and neither chumpy nor old module paths are needed.

A pickle is a program that may call anything. Here the few names that SMPL files use become inert nodes that keep what
they were given; every other name ends the reading with an error. Afterwards the arrays that SMPL needs are evaluated
from those nodes: numpy arrays and scalars, scipy's sparse matrices, chumpy's `Ch` (its array) and `Select` (a gather).

Not by pickle and chumpy: the file would run code of its own, and chumpy does not import beside a present-day numpy.
"""

from __future__ import annotations

import io
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.sparse

from dataprep.errors import AssetError

SMPL_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")

_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_BUFFER_MODULES = ("numpy.core.numeric", "numpy._core.numeric")
_SPARSE = ("csc_matrix", "csr_matrix", "coo_matrix")
_NODE_NAMES = {
    **{(module, name): name for module in _ARRAY_MODULES for name in ("_reconstruct", "scalar")},
    **{(module, "_frombuffer"): "_frombuffer" for module in _BUFFER_MODULES},
    ("torch._utils", "_rebuild_tensor_v2"): "tensor",
    ("torch.storage", "_load_from_bytes"): "storage",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
}
_DTYPE_KINDS = "biuf"
_MAX_DEPTH = 64  # nodes in nodes; SMPL's files have three
# What a truncated or invented pickle makes the machine raise, besides its own error.
_BROKEN = (
    pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError, ValueError, TypeError,
    OverflowError, MemoryError, RecursionError, AssertionError,
)  # fmt: skip


class _Node:
    """An object of the pickle, kept as data: its kind, what it was called with, and the state it was given."""

    kind = ""

    def __new__(cls, *args: Any) -> _Node:
        node = object.__new__(cls)
        node.args, node.state = args, None
        return node

    args: tuple[Any, ...]
    state: Any

    def __setstate__(self, state: Any) -> None:
        self.state = state


def read_smpl_pickle(data: bytes, name: str) -> dict[str, Any]:
    """Arrays of SMPL's keys from a pickle of Python 2 or 3; AssetError when it is broken, hostile or something else."""
    try:
        content = _InertUnpickler(io.BytesIO(data), encoding="latin1").load()
    except _Refused as refused:
        raise AssetError(
            f"{name}: the pickle asks for {refused}, which no SMPL file needs; nothing of it was run. Fetch the file "
            "again from smpl.is.tue.mpg.de"
        ) from None
    except _BROKEN as broken:
        raise AssetError(
            f"{name}: not a whole pickle ({type(broken).__name__}: {str(broken)[:120]}); fetch the file again from "
            "smpl.is.tue.mpg.de"
        ) from None
    if not isinstance(content, dict):
        raise AssetError(f"{name}: the pickle holds a {type(content).__name__}, expected SMPL's dict of arrays")
    return {key: _array_of(content[key], name, key) for key in SMPL_KEYS if key in content}


class _Refused(pickle.UnpicklingError):
    """A global outside the list."""


class _InertUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NODE_NAMES:
            return _node_class(_NODE_NAMES[module, name])
        if module in ("copy_reg", "copyreg") and name == "_reconstructor":
            return _Call(_reconstructor)
        if module in ("__builtin__", "builtins") and name in ("object", "set"):
            return set if name == "set" else _node_class("object")
        if (module, name) == ("_codecs", "encode"):
            return _Call(_encode_latin1)
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module == "scipy.sparse" or module.startswith("scipy.sparse.")) and name in _SPARSE:
            return _node_class(name)
        if module == "chumpy" or module.startswith("chumpy."):
            return _node_class(f"chumpy {module}.{name}")
        raise _Refused(f"{module}.{name}")


class _Call:
    """A function of ours, in a shell made anew for each use: a pickle may set attributes on what it is given."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def _node_class(kind: str) -> type[_Node]:
    return type(f"_Node_{kind}", (_Node,), {"kind": kind})


def _reconstructor(cls: Any, base: Any, state: Any) -> _Node:
    """copyreg._reconstructor for nodes: an empty object of the class, its state to follow."""
    if not (isinstance(cls, type) and issubclass(cls, _Node)):
        raise _Refused(f"copyreg._reconstructor of {cls!r}")
    return cls()


def _encode_latin1(text: str, encoding: str = "latin1") -> bytes:
    """How protocol 2 of Python 3 spells bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise _Refused(f"_codecs.encode to {encoding!r}")
    return text.encode("latin1")


def _array_of(value: Any, name: str, key: str) -> Any:
    try:
        return _evaluate(value)
    except AssetError as unknown:
        raise AssetError(f"{name}: {key}: {unknown}") from None
    except _BROKEN as broken:
        raise AssetError(f"{name}: {key} is not an array as SMPL files hold it ({str(broken)[:120]})") from None


def _evaluate(value: Any, depth: int = 0) -> Any:
    """The array, sparse matrix or plain value that a node stands for."""
    if depth > _MAX_DEPTH:
        raise AssetError("objects are nested without end")
    if not isinstance(value, _Node):
        return value

    def inner(other: Any) -> Any:
        return _evaluate(other, depth + 1)

    if value.kind == "_reconstruct":
        return _from_array_state(value.state)
    if value.kind == "_frombuffer":
        buffer, dtype, shape, order = value.args
        return np.frombuffer(_as_bytes(buffer), _dtype(dtype)).copy().reshape(shape, order=order)
    if value.kind == "scalar":
        return np.frombuffer(_as_bytes(value.args[1]), _dtype(value.args[0]))[0]
    if value.kind == "tensor":
        return _load(*value.args[:4])
    if value.kind in _SPARSE:
        return _sparse(value.kind, {key: inner(item) for key, item in value.state.items()})
    if value.kind.startswith("chumpy "):
        return _from_chumpy(value, inner)
    raise AssetError(f"holds a {value.kind}, expected an array")


def _load(storage: Any, offset: Any, size: Any, stride: Any) -> np.ndarray:
    """A tensor, as DECA's landmark file holds some; torch reads its storage and runs nothing of it."""
    import torch

    if not isinstance(storage, _Node) or storage.kind != "storage":
        raise AssetError("holds a tensor without its numbers, expected an array")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that storages of a type are of former times: so is the file
        found = torch.load(io.BytesIO(_as_bytes(storage.args[0])), map_location="cpu", weights_only=True)
        typed = torch.tensor([], dtype=found.dtype)
        shaped = typed.set_(found.untyped(), int(offset), tuple(map(int, size)), tuple(map(int, stride)))
    return shaped.numpy().copy()


def _from_array_state(state: Any) -> np.ndarray:
    _, shape, dtype, fortran, content = state
    array = np.frombuffer(_as_bytes(content), _dtype(dtype)).copy()
    return array.reshape(shape, order="F" if fortran else "C")


def _from_chumpy(node: _Node, inner: Any) -> Any:
    kind = node.kind.rpartition(".")[2]
    if kind == "Ch":
        return inner(node.state["x"])
    if kind == "Select":
        chosen = np.ravel(inner(node.state["a"]))[np.asarray(inner(node.state["idxs"])).astype(np.int64)]
        return chosen.reshape(inner(node.state["preferred_shape"]))
    raise AssetError(f"holds a {node.kind}; only Ch and Select are known. Save the array itself instead")


def _sparse(kind: str, state: Mapping[str, Any]) -> Any:
    shape = tuple(int(n) for n in state.get("_shape", state.get("shape", ())))
    if kind == "coo_matrix":
        row, col = state["coords"] if "coords" in state else (state["row"], state["col"])
        return scipy.sparse.coo_matrix((state["data"], (_evaluate(row), _evaluate(col))), shape=shape)
    make = scipy.sparse.csc_matrix if kind == "csc_matrix" else scipy.sparse.csr_matrix
    matrix = make((state["data"], state["indices"], state["indptr"]), shape=shape)
    matrix.check_format(full_check=True)
    return matrix


def _as_bytes(content: Any) -> bytes:
    """Python 2's str arrives as text in latin1."""
    if isinstance(content, str):
        return content.encode("latin1")
    if not isinstance(content, bytes | bytearray):
        raise AssetError("holds an array of objects, expected numbers")
    return bytes(content)


def _dtype(node: Any) -> np.dtype[Any]:
    """A plain number type from numpy.dtype('f8', ...) and its state (version, byte order, ...)."""
    dtype = np.dtype(node.args[0]) if isinstance(node.args[0], str) else None
    if dtype is None or dtype.kind not in _DTYPE_KINDS or dtype.fields:
        raise AssetError(f"holds an array of type {node.args[0]!r}, expected plain numbers")
    big_endian = bool(node.state) and node.state[1] == ">"
    return dtype.newbyteorder(">") if big_endian else dtype.newbyteorder("<")


def read_npy_arrays(data: bytes, keys: tuple[str, ...], name: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return arrays by key from a dict that `numpy.save` pickled, as FLAME's landmark file; AssetError as above.

    Those of `optional` are there where the file has them.
    """
    stream = io.BytesIO(data)
    try:
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        read_header[np.lib.format.read_magic(stream)](stream)
        content = _InertUnpickler(stream, encoding="latin1").load()
        (found,) = content.state[4]
        return {key: _array_of(found[key], name, key) for key in (*keys, *(one for one in optional if one in found))}
    except _Refused as refused:
        raise AssetError(f"{name}: the pickle asks for {refused}; nothing of it was run") from None
    except _BROKEN as broken:
        raise AssetError(f"{name}: no dict with {', '.join(keys)} ({type(broken).__name__})") from None
