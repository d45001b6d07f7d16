"""The walls that import-linter does not know: ``python -m tools.walls`` prints what stands where it must not.

`make lint` runs it; tests/tools/test_walls.py plants a flaw against each rule. Layers and circles are import-linter's
(pyproject.toml).
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

PACKAGES = ("dataprep", "gan", "pipelines", "tools")
MOST_FILES = 25  # a reader takes in a folder at a glance; the fullest of good neighbours hold 7 to 34
STEMS_AT_HOME_EVERYWHERE = {"__init__", "__main__", "base", "errors"}
LOADERS = {"load", "build", "open"}  # who plans or asks for help must not wait for what these import
OPTIONAL = {"fsspec", "onnxruntime", "pillow_heif", "wandb"}  # extras of pyproject.toml: they may be missing


def flaws(root: Path) -> Iterator[str]:
    """Everything below `root`, a checkout, that breaks a rule."""
    trees = {path: ast.parse(path.read_text()) for path in _modules(root)}
    yield from crowded_folders(root)
    yield from repeated_stems(root, trees)
    yield from repeated_classes(root, trees)
    yield from hidden_imports(root, trees)


def crowded_folders(root: Path) -> Iterator[str]:
    """Folders that hold more files than a reader takes in."""
    counts: dict[Path, int] = defaultdict(int)
    for package in (*PACKAGES, "tests"):
        for path in (root / package).rglob("*"):
            counts[path.parent] += path.is_file() and path.parent.name != "__pycache__"
    for folder, count in sorted(counts.items()):
        if count > MOST_FILES:
            yield f"{folder.relative_to(root)}: {count} files, at most {MOST_FILES}; a folder for each part of them"


def repeated_stems(root: Path, paths: Iterable[Path]) -> Iterator[str]:
    """Files of one name in several folders: say what is inside, so that a search finds one."""
    places = defaultdict(list)
    for path in paths:
        if path.stem not in STEMS_AT_HOME_EVERYWHERE:
            places[path.stem].append(str(path.relative_to(root)))
    yield from (f"{', '.join(found)}: one name" for found in places.values() if len(found) > 1)


def repeated_classes(root: Path, trees: Mapping[Path, ast.Module]) -> Iterator[str]:
    """Public classes of one name in several files."""
    places = defaultdict(list)
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{path.relative_to(root)}:{node.lineno}")
    yield from (f"{', '.join(found)}: all define class {name}" for name, found in places.items() if len(found) > 1)


def hidden_imports(root: Path, trees: Mapping[Path, ast.Module]) -> Iterator[str]:
    """Imports inside functions that load nothing: they hide circles, and what a module needs."""
    for path, tree in trees.items():
        place = path.relative_to(root).as_posix()
        for node in _imports_in_functions(tree):
            if not _packages(node) <= OPTIONAL:
                yield (f"{place}:{node.lineno}: {ast.unparse(node)} inside a function; import it above, or in a "
                       "function named load, build or open")  # fmt: skip


def _imports_in_functions(node: ast.AST, inside: bool = False) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if child.name.lstrip("_") not in LOADERS:
                yield from _imports_in_functions(child, inside=True)
        elif isinstance(child, ast.Import | ast.ImportFrom):
            if inside:
                yield child
        else:
            yield from _imports_in_functions(child, inside)


def _packages(node: ast.Import | ast.ImportFrom) -> set[str]:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return {name.split(".")[0] for name in names}


def _modules(root: Path) -> list[Path]:
    return sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))


def main() -> int:
    """Print every flaw; 1 when there is one."""
    found = list(flaws(Path(__file__).parents[1]))
    print("\n".join(found) or "the walls stand: folder sizes, file names, class names, imports in functions")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
