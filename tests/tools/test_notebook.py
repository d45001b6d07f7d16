"""docs/notebook.ipynb: it runs, and its outputs are those of today's code."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from tools.docs import notebook
from tools.docs.site import gather


def outputs(book):
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            for output in cell["outputs"]:
                yield output.get("data", {"text/plain": output.get("text")})


def test_a_cell_shows_what_it_prints_and_its_last_line():
    names = {}
    assert notebook.run_cell("a = 2", names, "<cell>", 1) == []
    printed, shown = notebook.run_cell("print('hello')\na + 1", names, "<cell>", 2)
    assert printed["text"] == ["hello\n"]
    assert shown["data"] == {"text/plain": ["3"]}
    assert notebook.run_cell("a + 1;", names, "<cell>", 3) == []
    with pytest.raises(ZeroDivisionError):
        notebook.run_cell("a / 0", names, "<cell>", 4)


def test_the_notebook_was_run_in_order_and_shows_pictures():
    book = notebook.read()
    counts = [cell["execution_count"] for cell in book["cells"] if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    pictures = [data["image/jpeg"] for data in outputs(book) if "image/jpeg" in data]
    assert len(pictures) >= 4
    for picture in pictures:
        assert np.asarray(Image.open(io.BytesIO(base64.b64decode(picture)))).std() > 20, "an empty picture"
    assert notebook.NOTEBOOK.stat().st_size < 200_000
    assert "/tmp" not in json.dumps(book), "a path of the machine it ran on"


def test_the_site_shows_the_notebook_with_its_pictures(tmp_path):
    gather(tmp_path)
    page = (tmp_path / "docs" / "notebook.md").read_text(encoding="utf-8")
    assert "built.counts" in page
    assert "{'accepted': 4}" in page
    assert (tmp_path / "docs" / "notebook-1.jpg").stat().st_size > 1000
    assert "(notebook.md)" in (tmp_path / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_notebook_runs_and_its_outputs_are_those_of_this_code():
    kept = notebook.read()
    with notebook.workplace():
        fresh = notebook.executed(kept)
    for now, then in zip(outputs(fresh), outputs(kept), strict=True):
        assert now.keys() == then.keys()
        if "image/jpeg" not in now:
            assert now == then
            continue
        a, b = (
            np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"]))), np.float32) for data in (now, then)
        )
        assert a.shape == b.shape
        assert np.abs(a - b).mean() < 3  # other processors round otherwise
