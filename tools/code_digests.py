"""A digest of what each stage's code is: its module and everything of ours that it imports, as syntax trees.

Fingerprints trust a stage's `version`. `tests/pipelines/test_versions.py` compares these digests with a recorded
table, so that an edit which changes what a stage writes cannot pass without raising the version (or saying that it
alters nothing). grimp, which import-linter brings, says who imports whom: in functions and for types, too.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from functools import cache
from pathlib import Path

import grimp

from dataprep.stages.base import Step

PACKAGES = ("dataprep", "gan")  # whatever a stage may import: an edit of the generator's code is seen, too


def code_digest(step: type[Step]) -> str:
    """16 hex digits over the syntax trees of the step's module and its first-party import closure.

    Comments, docstrings and formatting do not count.
    """
    content = "".join(f"{module}:{tree_digest(_source(module))};" for module in sorted(closure(step.__module__)))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def closure(module: str, graph: grimp.ImportGraph | None = None) -> set[str]:
    """A module and all it imports, directly or not; `graph`: in place of that of our packages."""
    return {module, *(graph or _graph()).find_upstream_modules(module)}


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, cache_dir=None)


@cache
def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ValueError(f"module {module} has no source file")
    return Path(spec.origin).read_text()


@cache
def tree_digest(source: str) -> str:
    """Digest of a module's syntax tree without its docstrings."""
    tree = ast.parse(source)
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
