"""Gather what the documentation's site is made of: `python -m tools.docs.site FOLDER` (`make site`).

Pages keep their places below the checkout, so that their links to each other hold; README.md is the first page. A link
to a file that is no page, source code say, would lead nowhere on a site: what it names stays as text. The notebook
becomes a page with the outputs that it holds.
"""

from __future__ import annotations

import re
import shutil
import sys
from functools import partial
from pathlib import Path

from tools.docs import notebook
from tools.docs.notebook import NOTEBOOK

ROOT = Path(__file__).parents[2]
_PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md", "dataprep/**/*.md", "samples/*.md")
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def gather(folder: Path) -> int:
    """Fill `folder` anew with pages and their images; returns how many pages."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = {path for pattern in _PAGES for path in ROOT.glob(pattern)}
    for page in sorted(pages):
        text = _LINK.sub(partial(_link, page=page, pages=pages, folder=folder), page.read_text(encoding="utf-8"))
        _place(page, folder).write_text(text, encoding="utf-8")
    page = _place(NOTEBOOK.with_suffix(".md"), folder)
    page.write_text(notebook.as_page(notebook.read(), page.parent, NOTEBOOK.stem), encoding="utf-8")
    return len(pages) + 1


def _place(path: Path, folder: Path) -> Path:
    place = folder / ("index.md" if path == ROOT / "README.md" else path.relative_to(ROOT))
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _link(link: re.Match[str], page: Path, pages: set[Path], folder: Path) -> str:
    """The link as the site has it; images are copied."""
    mark, text, target, anchor = link[1], link[2], link[3], link[4] or ""
    path = (page.parent / target).resolve()
    if re.match(r"https?:", target) or path in pages - {ROOT / "README.md"}:
        return link[0]
    if path == NOTEBOOK:
        return f"[{text}]({target.removesuffix(NOTEBOOK.suffix)}.md{anchor})"
    if path == ROOT / "README.md":
        up = "../" * (len(page.relative_to(ROOT).parts) - 1)
        return f"[{text}]({up}index.md{anchor})"
    if mark:
        shutil.copyfile(path, _place(path, folder))
        return link[0]
    return text


if __name__ == "__main__":
    print(f"{gather(Path(sys.argv[1]))} pages")
