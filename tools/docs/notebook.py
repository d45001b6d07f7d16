"""The notebook of docs/: run it, keep its outputs, show it as a page. `python -m tools.docs.notebook`, `make notebook`.

Cells run one after another in one process, in an empty folder in which `samples` leads to the samples. Kept are what a
cell prints and what its last line shows: text, or a picture where it is one. Nothing of time, machine or order of runs
is in the file, so that the same code leaves the same bytes.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from dataprep.tables.store import atomic_file

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def executed(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return the notebook with the outputs of its code; raises what a cell raises."""
    names: dict[str, Any] = {"__name__": "__main__"}
    cells, count = [], 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            outputs = run_cell("".join(cell["source"]), names, f"<cell {count}>", count)
            cell = {**cell, "execution_count": count, "outputs": outputs}
        cells.append(cell)
    return {**notebook, "cells": cells}


def run_cell(source: str, names: dict[str, Any], title: str, count: int) -> list[dict[str, Any]]:
    """Run one cell among `names`; returns its outputs in the notebook's format."""
    body = ast.parse(source, title).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) and not source.rstrip().endswith(";") else None
    said = io.StringIO()
    shown = None
    with contextlib.redirect_stdout(said):
        exec(compile(ast.Module(body, []), title, "exec"), names)
        if isinstance(last, ast.Expr):
            shown = eval(compile(ast.Expression(last.value), title, "eval"), names)
    outputs: list[dict[str, Any]] = []
    if said.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": said.getvalue().splitlines(True)})
    if shown is not None:
        data: dict[str, Any] = {"text/plain": repr(shown).splitlines(True)}
        if isinstance(shown, Image.Image):
            data = {"image/jpeg": _jpeg(shown), "text/plain": [f"{shown.width} x {shown.height} pixels"]}
        outputs.append({"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"})
    return outputs


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """An empty folder to work in, with the samples; the folder before is the current one again afterwards."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="shhq-hs-notebook-") as folder:
        (Path(folder) / "samples").symlink_to(ROOT / "samples")
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


def as_page(notebook: Mapping[str, Any], pictures: Path, stem: str) -> str:
    """Return the notebook as a page of Markdown; its pictures are written into a folder, as `STEM-1.jpg` and so on."""
    text, count = [], 0
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            text.append(source)
            continue
        text.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/jpeg" in data:
                count += 1
                (pictures / f"{stem}-{count}.jpg").write_bytes(base64.b64decode(data["image/jpeg"]))
                text.append(f"![What the cell above shows]({stem}-{count}.jpg)")
            else:
                text.append(f"```text\n{''.join(data['text/plain']).rstrip()}\n```")
    return "\n\n".join(text) + "\n"


def read() -> dict[str, Any]:
    """Return the notebook as it lies in docs/."""
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def _jpeg(picture: Image.Image) -> str:
    """Return a picture in a fifth of a PNG's bytes: the notebook is part of every clone."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=88)
    return base64.b64encode(content.getvalue()).decode()


def main() -> int:
    """Run the notebook and write its outputs into it."""
    with workplace():
        done = executed(read())
    with atomic_file(NOTEBOOK) as file:
        file.write((json.dumps(done, indent=1, ensure_ascii=False) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
