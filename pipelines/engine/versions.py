"""A digest of what each stage's code is: its module and everything of ours that it imports, as syntax trees.

Fingerprints trust a stage's `version`. `tests/pipelines/test_versions.py` compares these digests with a recorded
table, so that an edit which changes what a stage writes cannot pass without raising the version (or saying that it
alters nothing).
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from dataprep.stages.base import Step

_PACKAGES = ("dataprep",)


def code_digest(step: type[Step]) -> str:
    """16 hex digits over the syntax trees of the step's module and its first-party import closure.

    Comments, docstrings and formatting do not count.
    """
    modules = sorted(_closure(step.__module__))
    content = "".join(f"{module}:{_tree_digest(module)};" for module in modules)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _closure(module: str) -> set[str]:
    found: set[str] = set()
    pending = [module]
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += _imports(name)
    return found


@cache
def _imports(module: str) -> tuple[str, ...]:
    return tuple(_first_party_imports(_parse(module)))


def _first_party_imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in _PACKAGES:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if _path(submodule) else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in _PACKAGES)


@cache
def _path(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec and spec.origin else None


def _parse(module: str) -> ast.Module:
    path = _path(module)
    if path is None:
        raise ValueError(f"module {module} has no source file")
    return ast.parse(path.read_text())


@cache
def _tree_digest(module: str) -> str:
    tree = _parse(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
